"""A freight carrier's API: prompt for parcels, slow for what needs a lorry."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PARCEL_SECONDS = 0.03
FREIGHT_SECONDS = 0.8


async def _look_up(request: Request) -> None:
    await asyncio.sleep(FREIGHT_SECONDS if request.query_params.get("size") == "freight" else PARCEL_SECONDS)


async def quote(request: Request) -> JSONResponse:
    """What the delivery costs."""
    await _look_up(request)
    return JSONResponse({"order": request.path_params["order"], "cents": 4900})


async def slot(request: Request) -> JSONResponse:
    """When the delivery can come."""
    await _look_up(request)
    return JSONResponse({"order": request.path_params["order"], "day": "Tuesday", "hours": "8-12"})


routes = [Route("/carrier/{order:int}/quote", quote), Route("/carrier/{order:int}/slot", slot)]
