"""What the clients talk to, run by a uvicorn in a process of its own: slow answers, large ones, and a chat model."""

from __future__ import annotations

import asyncio
import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

_LARGE = json.dumps(
    [{"id": number, "name": f"row {number}", "parts": [number] * 10} for number in range(60_000)]
)
_WORDS = ("An", " answer", " in", " six", " short", " words")


async def slow(request: Request) -> Response:
    await asyncio.sleep(float(request.query_params["seconds"]))
    return JSONResponse({"ok": True})


async def large(_request: Request) -> Response:
    return Response(_LARGE, media_type="application/json")


async def chat(request: Request) -> Response:
    wanted = await request.json()
    if wanted.get("stream"):
        return StreamingResponse(_chunks(), media_type="text/event-stream")
    await asyncio.sleep(0.15)
    message = {"role": "assistant", "content": "".join(_WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
    return JSONResponse(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }
    )


async def _chunks():
    for word in _WORDS:
        await asyncio.sleep(0.03)
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        chunk = {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


app = Starlette(
    routes=[
        Route("/slow", slow),
        Route("/large", large),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
)
