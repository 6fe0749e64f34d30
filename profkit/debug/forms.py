"""A profile as an answer: two pages to look at, and files to keep."""

from __future__ import annotations

from typing import Final, NamedTuple

from starlette.responses import Response

from profkit.debug.context import DebugContext
from profkit.debug.masked import masked
from profkit.debug.negotiation import HTML
from profkit.debug.parameters import choice
from profkit.debug.problems import Problem
from profkit_storage import ConfigurationError, Profile
from profkit_storage.formats import FORMATS, flamegraph, html

_TIMEOUT = 15.0


class _File(NamedTuple):
    """Its media type, and how its name ends."""

    kind: str
    ending: str


VIEWS: Final = ("html", "flamegraph")
DOWNLOADS: Final = {
    "pyinstrument": _File("application/json", "pyisession"),
    "speedscope": _File("application/json", "speedscope.json"),
    "pprof": _File("application/octet-stream", "pb.gz"),
    "folded": _File("text/plain; charset=utf-8", "folded.txt"),
    "text": _File("text/plain; charset=utf-8", "txt"),
    "json": _File("application/json", "json"),
}
FORMS: Final = (*VIEWS, *DOWNLOADS)
"""What `format=` takes."""
FORMAT: Final = choice("format", "the profile itself, as a page to look at or as a file", FORMS)


async def rendered(context: DebugContext, profile: Profile, form: str) -> Response:
    """Return a profile in one of `FORMS`, masked; raises a `Problem` (501) if what makes it is not installed."""
    workers = context.workers
    try:
        made = await workers.run_alone(
            lambda: FORMATS[form](masked(profile, context.masker)), within=_TIMEOUT
        )
    except ConfigurationError as error:  # pprof without protobuf
        raise Problem(501, f"This process cannot make it: {error}.") from None
    content = made.encode("utf-8", "replace") if isinstance(made, str) else made
    if form == "flamegraph":
        return Response(
            content,
            headers={"content-security-policy": flamegraph.content_security_policy()},
            media_type=HTML,
        )
    if form == "html":
        policy = await workers.run_alone(lambda: html.content_security_policy(str(made)))
        return Response(content, headers={"content-security-policy": policy}, media_type=HTML)
    kind, ending = DOWNLOADS[form]
    headers = {"content-disposition": f'attachment; filename="{profile.id}.{ending}"'}
    return Response(content, headers=headers, media_type=kind)
