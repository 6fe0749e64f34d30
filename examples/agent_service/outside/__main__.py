"""`python -m outside FD`: both outside services on one inherited socket."""

from __future__ import annotations

import sys

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from outside import carrier, llm_server
from serving import serve


async def health(_: object) -> PlainTextResponse:
    return PlainTextResponse("ok")


serve(Starlette(routes=[Route("/health", health), *llm_server.routes, *carrier.routes]), int(sys.argv[1]))
