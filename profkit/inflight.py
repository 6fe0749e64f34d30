"""What has not ended: the operations in flight, each with its stack as it is now."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from profkit.operations import Operation, request_of
from profkit.sampling.codes import CodeTable
from profkit.sampling.origins import locate
from profkit.sampling.resolution import STATES, line_at
from profkit.sampling.sampler import Sampler
from profkit.sampling.sights import see
from profkit.sampling.timeline import AWAITING
from profkit_storage import State


class InFlight(NamedTuple):
    """An operation that has not ended. `age` and `threshold` are seconds; `stack` is outermost first.

    `threshold` is infinite where it is to leave no profile. `state` is what it does now, as far as can be seen.
    """

    name: str
    category: str
    age: float
    state: State
    threshold: float
    thread: str
    request_id: str
    stack: list[str]


def list_in_flight(operations: Iterable[Operation], sampler: Sampler) -> list[InFlight]:
    """Return the operations with their stacks, the oldest first."""
    with sampler.lock:
        found = sampler.without_collections(lambda: _look(operations, sampler))
    return sorted(found, key=lambda one: -one.age)


def _look(operations: Iterable[Operation], sampler: Sampler) -> list[InFlight]:
    now = time.perf_counter()
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    found: list[InFlight] = []
    lines_of: dict[int, str] = {}  # most have most of them in common
    view = sampler.view()
    for operation in operations:
        sight = see(operation, view)
        lines = [_line(place, sampler.codes, lines_of) for place in reversed(sight.stack or ())]
        lines += ["[await]"] if sight.state in AWAITING else []
        tally = operation.tally
        request = request_of(operation)
        found.append(
            InFlight(
                tally.name,
                tally.category,
                now - operation.started,
                STATES[sight.state],
                math.inf if operation.discarded else tally.slow_from,
                threads.get(operation.thread.ident, ""),
                request.request_id if request else "",
                lines,
            )
        )
    view.close()
    return found


def _line(place: int, codes: CodeTable, known: dict[int, str]) -> str:
    line = known.get(place)
    if line is None:
        line = known[place] = describe(place, codes)
    return line


def describe(place: int, codes: CodeTable) -> str:
    """Return a place as a line of text: `function (file:line)`."""
    index, offset = codes.resolve(place)
    entry = codes.entries[index]
    if entry.code is None:
        return entry.name
    return f"{entry.name} ({locate(entry.code.co_filename)[1]}:{line_at(entry.code, offset)})"
