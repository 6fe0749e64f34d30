"""The routes that do something for a while: a capture of the process, a trace of its allocations."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, TypedDict, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from profkit.debug.answers import answer
from profkit.debug.context import DebugContext
from profkit.debug.forms import FORMAT, FORMS, rendered
from profkit.debug.memory import MAX_LINES, MAX_SECONDS, MIN_SECONDS, Busy, trace_memory
from profkit.debug.negotiation import HTML
from profkit.debug.parameters import number, whole
from profkit.debug.problems import busy
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope
from profkit.debug.summary import ProfileSummary, summary
from profkit.process_capture import MAX_SECONDS as MAX_CAPTURE
from profkit.process_capture import CaptureBusy

T = TypeVar("T")
MIN_CAPTURE = 0.1
CAPTURE_SECONDS = number(
    "seconds", "for how long it is watched", low=MIN_CAPTURE, high=MAX_CAPTURE, default=5.0
)
TRACE_SECONDS = number(
    "seconds", "for how long allocations are traced", low=MIN_SECONDS, high=MAX_SECONDS, default=5.0
)
TOP = whole("top", "how many lines at the most", low=1, high=MAX_LINES, default=25)
_GRACE = 20.0
"""Seconds that building the result may take after the time asked for."""


class Capture(TypedDict):
    """A capture of the whole process that was just made."""

    id: str
    stored: Annotated[
        bool, "it goes to the store; without one it can be had here until three others are made"
    ]
    links: Annotated[dict[str, str], "where it is in each format, relative to the routes' root"]
    profile: ProfileSummary


async def capture(call: Call) -> Response:
    """Capture the whole process now; ends early when the caller goes away."""
    seconds, form = call.parameters[CAPTURE_SECONDS], call.parameters[FORMAT]
    profiler = call.context.current_profiler()
    try:
        profile = await _while_there(
            call.request,
            call.context,
            seconds,
            lambda stop: profiler.capture(seconds, stop=stop),
        )
    except CaptureBusy:
        raise busy("A capture of this process is going on, and there is one at a time.", 5) from None
    call.context.recent.append(profile)
    if form is not None:
        return await rendered(call.context.workers, profile, form)
    way = f"profile/{profile.id}"
    if call.wants == HTML:
        return Response(status_code=303, headers={"location": way})
    links = {form: f"{way}?format={form}" for form in FORMS}
    described = await call.context.workers.run_alone(lambda: summary(profile, call.context.masker))
    data: Capture = {
        "id": profile.id,
        "stored": profiler.storage is not None,
        "links": links,
        "profile": described,
    }
    return await answer(call, data, "report.html")


async def trace(call: Call) -> Response:
    """Trace allocations for a while; ends early when the caller goes away."""
    seconds, top = call.parameters[TRACE_SECONDS], call.parameters[TOP]
    try:
        data = await _while_there(
            call.request, call.context, seconds, lambda stop: trace_memory(seconds, top=top, stop=stop)
        )
    except Busy:
        raise busy("A memory trace of this process is going on, and there is one at a time.", 5) from None
    return await answer(call, data, "report.html", title="memory trace")


async def _while_there(
    request: Request, context: DebugContext, seconds: float, work: Callable[[threading.Event], T]
) -> T:
    """Run `work` in a thread; set its event when the client goes away or the server gives the request up."""
    stop = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        stop.set()

    watcher = asyncio.create_task(watch())
    try:
        return await context.workers.run_alone(lambda: work(stop), within=seconds + _GRACE)
    finally:
        stop.set()
        watcher.cancel()
        # Its own failure (a broken connection) is no failure of the work.
        await asyncio.gather(watcher, return_exceptions=True)


ROUTES = (
    DebugRoute(
        method="POST",
        path="/profile",
        scope=Scope.PROFILE,
        summary="capture the whole process now, for 0.1 to 60 seconds",
        handler=capture,
        answers=Capture,
        also=(303, 501),
        parameters=(CAPTURE_SECONDS, FORMAT),
        job="capture",
    ),
    DebugRoute(
        method="POST",
        path="/memory/trace",
        scope=Scope.MEMORY,
        summary="trace allocations for 1 to 60 seconds; slows Python's allocations meanwhile",
        handler=trace,
        parameters=(TRACE_SECONDS, TOP),
        job="memory trace",
    ),
)
