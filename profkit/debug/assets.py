"""The files that the pages are made with: stylesheets, scripts and the icon, from this host alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from starlette.responses import Response

from profkit.debug.problems import not_found
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope
from profkit_storage.formats import flamegraph

_STATIC = Path(__file__).parent / "static"
_CSS: Final = "text/css"
_JAVASCRIPT: Final = "text/javascript"
_SVG: Final = "image/svg+xml"


class _Asset(NamedTuple):
    """Its media type, and what reads it."""

    kind: str
    read: Callable[[], str]


@cache
def _text(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")


def _own(kind: str, *names: str) -> dict[str, _Asset]:
    return {name: _Asset(kind, partial(_text, name)) for name in names}


ASSETS: Final = {
    **_own(_CSS, "style.css"),
    **_own(_JAVASCRIPT, "tables.js", "refresh.js", "jobs.js"),
    **_own(_SVG, "icon.svg"),
    "flamegraph.css": _Asset(_CSS, partial(flamegraph.resource, "flamegraph.css")),
    **{name: _Asset(_JAVASCRIPT, partial(flamegraph.resource, name)) for name in flamegraph.SCRIPTS},
}
"""Every file by its name; there are no others."""


async def asset(call: Call) -> Response:
    """One file."""
    found = ASSETS.get(str(call.request.path_params["name"]))
    if found is None:
        raise not_found()
    return Response(found.read(), media_type=found.kind)


ROUTES = (
    DebugRoute(
        method="GET",
        path="/assets/{name}",
        scope=Scope.READ,
        summary="a stylesheet, script or icon of the pages",
        handler=asset,
        offers=(_CSS, _JAVASCRIPT, _SVG),
        listed=False,
    ),
)
