"""The routes of memory: a look at it, and the jobs that cost something."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from starlette.responses import Response

from profkit.debug.answers import answer
from profkit.debug.memory.allocations import masked
from profkit.debug.memory.backrefs import (
    DEFAULT_OBJECTS,
    MAX_CHAINS,
    MOST_OBJECTS,
    SEARCHABLE,
    BackrefsReport,
    find_backrefs,
    held_by,
)
from profkit.debug.memory.bounds import MAX_SECONDS, MIN_SECONDS
from profkit.debug.memory.census import JOB_LIMIT as COUNT_LIMIT
from profkit.debug.memory.collector import JOB_LIMIT as COLLECT_LIMIT
from profkit.debug.memory.collector import OLDEST, CollectionReport, collect_garbage
from profkit.debug.memory.drawing import svg_of
from profkit.debug.memory.growth import MAX_TYPES, GrowthReport, measure_growth
from profkit.debug.memory.holds import TooLarge
from profkit.debug.memory.report import MemoryReport
from profkit.debug.memory.single import Busy
from profkit.debug.memory.tracing import LIMIT as TRACE_LIMIT
from profkit.debug.memory.tracing import MAX_FRAMES, MAX_LINES, Disturbed, TraceReport, trace_memory
from profkit.debug.negotiation import HTML, JSON, SVG
from profkit.debug.parameters import choice, flag, number, required, text, whole
from profkit.debug.presence import while_there
from profkit.debug.problems import Problem, busy
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope

T = TypeVar("T")
_JOB: Final = "memory job"
_LIMITS: Final = {"trace": TRACE_LIMIT, "count": COUNT_LIMIT, "collect": COLLECT_LIMIT}
"""Seconds for which each may stop the process."""

_MOST_TRACEBACKS = 50
"""That a page shows, whole: what allocates is a traceback's last line."""

TRACE_SECONDS = number(
    "seconds", "for how long allocations are traced", low=MIN_SECONDS, high=MAX_SECONDS, default=5.0
)
FRAMES = whole(
    "frames", "of how many frames a traceback is; 1: lines alone", low=1, high=MAX_FRAMES, default=1
)
LINES = whole("top", "how many lines, and tracebacks, at the most", low=1, high=MAX_LINES, default=25)
GROWTH_SECONDS = number("seconds", "between the two counts", low=MIN_SECONDS, high=MAX_SECONDS, default=10.0)
TYPES = whole("top", "how many types at the most", low=1, high=MAX_TYPES, default=25)
COLLECT = flag("collect", "whether garbage is collected before each count; not, if not given")
TYPE = required(text("type", "what to look for, as GET memory names it, such as builtins.dict"))
CHAINS = whole(
    "count", "how many chains at the most, those to most objects first", low=1, high=MAX_CHAINS, default=3
)
SEARCH_SECONDS = number(
    "seconds", "for how long it may be looked", low=MIN_SECONDS, high=MAX_SECONDS, default=15.0
)
OBJECTS = whole(
    "objects", "into how many objects may be looked", low=1000, high=MOST_OBJECTS, default=DEFAULT_OBJECTS
)
IMAGE = choice("format", "the answer's form, whatever is accepted", ("json", "svg"))
GENERATION = whole(
    "generation", "the oldest that is collected: 0 for the youngest alone", low=0, high=OLDEST, default=OLDEST
)


async def memory(call: Call) -> Response:
    """Memory use, the allocators, the garbage collector and the commonest types."""
    data = await call.context.workers.run("memory", call.context.memory)
    return await answer(call, data, "memory.html", searchable=SEARCHABLE, limits=_LIMITS)


async def trace(call: Call) -> Response:
    """Trace allocations for a while; ends early when the caller goes away."""
    given = call.parameters
    seconds, frames, top = given[TRACE_SECONDS], given[FRAMES], given[LINES]
    data = await _job(call, seconds, lambda stop: trace_memory(seconds, frames=frames, top=top, stop=stop))
    masker = call.context.masker
    data["lines"] = masked(data["lines"], masker)
    for one in data["tracebacks"]:
        one["frames"] = masked(one["frames"], masker)
    return await answer(
        call, data, "trace.html", tracebacks=data["tracebacks"], most_tracebacks=_MOST_TRACEBACKS
    )


async def growth(call: Call) -> Response:
    """Count types twice; ends early when the caller goes away."""
    given = call.parameters
    seconds, top, collect = given[GROWTH_SECONDS], given[TYPES], given[COLLECT] or False
    masker = call.context.masker
    data = await _job(
        call,
        seconds,
        lambda stop: measure_growth(seconds, top=top, collect=collect, stop=stop, masker=masker),
    )
    return await answer(call, data, "growth.html", searchable=SEARCHABLE)


async def backrefs(call: Call) -> Response:
    """Find what keeps objects of a type alive; ends early when the caller goes away."""
    if not SEARCHABLE:
        raise Problem(501, "A process of Python 3.12 is not searched: that can crash it. Others are.")
    given = call.parameters
    name, seconds, count = given[TYPE], given[SEARCH_SECONDS], given[CHAINS]
    objects, form = given[OBJECTS], given[IMAGE]
    masker = call.context.masker
    data = await _job(
        call,
        seconds,
        lambda stop: find_backrefs(
            name, count=count, seconds=seconds, objects=objects, stop=stop, masker=masker
        ),
    )
    if form == "svg" or (form is None and call.wants == SVG):
        return await _image(call, data)
    return await answer(call, data, "backrefs.html", held_by=held_by, image=lambda: svg_of(data))


async def collect(call: Call) -> Response:
    """Collect garbage now."""
    generation = call.parameters[GENERATION]
    data = await _job(call, COLLECT_LIMIT, lambda _: collect_garbage(generation))
    return await answer(call, data, "collected.html")


async def _job(call: Call, seconds: float, work: Callable[[threading.Event], T]) -> T:
    try:
        return await while_there(call, seconds, work)
    except Busy:  # asked for elsewhere in this process
        raise busy(
            "A memory job of this process is going on that was not asked for here, and there is one at a time.",
            5,
        ) from None
    except TooLarge as error:
        raise Problem(422, f"This process is too large for that now: {error}.") from None
    except Disturbed as error:
        raise Problem(503, f"This was disturbed: {error}.") from None


async def _image(call: Call, report: BackrefsReport) -> Response:
    content = await call.context.workers.run_alone(lambda: svg_of(report).encode("utf-8", "replace"))
    return Response(
        content, headers={"content-disposition": 'inline; filename="backrefs.svg"'}, media_type=SVG
    )


ROUTES = (
    DebugRoute(
        method="GET",
        path="/memory",
        scope=Scope.READ,
        summary="memory use, allocators, garbage collector, commonest types; what would cost too much is left out",
        handler=memory,
        answers=MemoryReport,
    ),
    DebugRoute(
        method="POST",
        path="/memory/trace",
        scope=Scope.MEMORY,
        summary="trace allocations for 1 to 60 seconds, by line and traceback; slows Python's allocations meanwhile",
        handler=trace,
        answers=TraceReport,
        parameters=(TRACE_SECONDS, FRAMES, LINES),
        job=_JOB,
        doing="tracing allocations",
    ),
    DebugRoute(
        method="POST",
        path="/memory/growth",
        scope=Scope.MEMORY,
        summary="count objects by type twice, 1 to 60 seconds apart (collect=true: after collecting garbage)",
        handler=growth,
        answers=GrowthReport,
        parameters=(GROWTH_SECONDS, TYPES, COLLECT),
        job=_JOB,
        doing="counting objects by type",
    ),
    DebugRoute(
        method="POST",
        path="/memory/backrefs",
        scope=Scope.MEMORY,
        summary="what keeps objects of a type alive: chains of references from a root, as data or image (format=svg)",
        handler=backrefs,
        answers=BackrefsReport,
        also=(501,),
        parameters=(TYPE, CHAINS, SEARCH_SECONDS, OBJECTS, IMAGE),
        offers=(JSON, HTML, SVG),
        job=_JOB,
        doing="looking for what keeps objects alive",
    ),
    DebugRoute(
        method="POST",
        path="/memory/gc",
        scope=Scope.MEMORY,
        summary="collect garbage now; the process stands still meanwhile",
        handler=collect,
        answers=CollectionReport,
        parameters=(GENERATION,),
        job=_JOB,
        doing="collecting garbage",
    ),
)
