"""The Starlette application, and the ten lines that put profkit into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

import profkit
from profkit.asgi import ProfilingMiddleware
from profkit.debug import DiagnosticEndpoints, TokenAuth
from shop import agent
from shop.messages import Message
from shop.resources import Resources, open_resources
from shop.settings import Settings


def create_app(settings: Settings) -> ProfilingMiddleware:
    """Build the service; its debug routes take the token in PROFKIT_DEBUG_TOKENS."""
    profkit.configure(storage=settings.profiles, service="shop", threshold=1.0)
    resources = open_resources(settings)
    debug = DiagnosticEndpoints(
        auth=TokenAuth.from_env(),
        config=settings,
        pools={"db": resources.engine, "llm": resources.llm, "carrier": resources.carrier},
    )
    app = Starlette(
        routes=[
            Route("/agent", answer_message, methods=["POST"]),
            Route("/health", health),
            Mount("/debug", debug),
        ],
        lifespan=_lifespan,
    )
    app.state.resources = resources
    return ProfilingMiddleware(app)  # outermost, so that each answer has a request id, an error's too


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    await app.state.resources.close()
    profkit.shutdown()  # what is still queued is written before the process ends


async def answer_message(request: Request) -> Response:
    """POST /agent: one message in, one answer out."""
    try:
        message = Message.model_validate_json(await request.body())
    except ValidationError as error:
        return Response(error.json(include_url=False), 422, media_type="application/json")
    resources: Resources = request.app.state.resources
    return Response(await agent.route(message, resources), media_type="application/json")


async def health(_: Request) -> Response:
    """GET /health: the service is up."""
    return PlainTextResponse("ok")
