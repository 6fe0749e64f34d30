"""What has not ended: the operations in flight, each with its stack as it is now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

from profkit.operations import Operation
from profkit.sampling.calltree import SUSPENDED
from profkit.sampling.codes import CodeTable
from profkit.sampling.frames import locate
from profkit.sampling.resolution import line_at
from profkit.sampling.sampler import Sampler


class InFlight(NamedTuple):
    """An operation that has not ended. `age` and `threshold` are seconds; `stack` is outermost first."""

    name: str
    category: str
    age: float
    threshold: float
    thread: str
    request_id: str
    stack: list[str]


def list_in_flight(operations: Iterable[Operation], sampler: Sampler, threshold: float) -> list[InFlight]:
    """Return the operations with their stacks, the oldest first; `threshold` is that of those without their own."""
    now = time.perf_counter()
    threads = {thread.ident: thread.name for thread in threading.enumerate()}
    found: list[InFlight] = []
    with sampler.lock:
        for operation, stack, state, _ in sampler.looks(operations):
            lines = [_describe(place, sampler.codes) for place in reversed(stack or ())]
            lines += ["[await]"] if state == SUSPENDED else []
            name, category, own = operation.site
            request_id = operation.request.request_id if operation.request else ""
            thread = threads.get(operation.thread.ident, "")
            limit = threshold if own is None else own
            age = now - operation.started
            found.append(InFlight(name, category, age, limit, thread, request_id, lines))
    return sorted(found, key=lambda one: -one.age)


def _describe(place: int, codes: CodeTable) -> str:
    index, offset = codes.resolve(place)
    entry = codes.entries[index]
    if entry.code is None:
        return entry.name
    return f"{entry.name} ({locate(entry.code.co_filename)[1]}:{line_at(entry.code, offset)})"
