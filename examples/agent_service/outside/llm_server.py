"""An OpenAI-compatible chat endpoint with latency, streaming and rate limits.

`shop-small` answers at once and refuses one call in 25 for a moment; `shop-large` is slow, and so busy that it
refuses every first attempt and asks the client to come back in a second.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class Model(NamedTuple):
    """Seconds before the first token, and between two of them."""

    first: float
    between: float


MODELS = {"shop-small": Model(0.03, 0.004), "shop-large": Model(0.5, 0.02)}
ANSWER = "Oak likes oil twice a year , and no radiator beside it .".split()
TOOLS = {"order": "orders", "deliver": "delivery", "catalogue": "catalogue", "plan": "plan"}
SMALL_REFUSES_EVERY = 25

_calls = itertools.count(1)


async def chat_completions(request: Request) -> Response:
    """POST /v1/chat/completions."""
    if request.headers.get("authorization", "") in ("", "Bearer "):
        return _error(401, "no API key")
    body = await request.json()
    model = MODELS.get(body["model"])
    if model is None:
        return _error(404, f"no model {body['model']!r}")
    if refusal := _rate_limit(request, body["model"]):
        return refusal
    words = _words(body["messages"])
    if body.get("stream"):
        return StreamingResponse(_stream(body["model"], model, words), media_type="text/event-stream")
    await asyncio.sleep(model.first + model.between * len(words))
    message = {"role": "assistant", "content": " ".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": len(words), "total_tokens": 20 + len(words)}
    return JSONResponse({**_envelope("chat.completion", body["model"]), "choices": [choice], "usage": usage})


def _rate_limit(request: Request, model: str) -> Response | None:
    attempt = int(request.headers.get("x-stainless-retry-count", "0"))
    if model == "shop-large":
        return _error(429, "the model is busy", {"retry-after": "1"}) if attempt == 0 else None
    if next(_calls) % SMALL_REFUSES_EVERY == 0:
        return _error(429, "too many requests", {"retry-after-ms": "60"})
    return None


def _words(messages: list[dict[str, str]]) -> list[str]:
    """Asked to choose a tool, name one; asked anything else, give the one answer there is."""
    if not messages[0]["content"].startswith("Choose a tool"):
        return ANSWER
    question = messages[-1]["content"].lower()
    return [next((tool for word, tool in TOOLS.items() if word in question), "answer")]


async def _stream(name: str, model: Model, words: list[str]) -> AsyncIterator[str]:
    await asyncio.sleep(model.first)
    envelope = _envelope("chat.completion.chunk", name)
    for word in words:
        await asyncio.sleep(model.between)
        yield _event({**envelope, "choices": [{"index": 0, "delta": {"content": f"{word} "}}]})
    yield _event({**envelope, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield "data: [DONE]\n\n"


def _envelope(kind: str, model: str) -> dict[str, object]:
    return {"id": "chatcmpl-demo", "object": kind, "created": int(time.time()), "model": model}


def _event(chunk: dict[str, object]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "type": "demo", "code": None}}, status, headers)


routes = [Route("/v1/chat/completions", chat_completions, methods=["POST"])]
