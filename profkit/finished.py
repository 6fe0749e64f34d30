"""A finished slow operation, and the `Profile` made of it in the background."""

from __future__ import annotations

import math
import os
import platform
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from profkit.config import Settings
from profkit.masking import masker
from profkit.operations import Operation, longest
from profkit.requests import RequestContext
from profkit.sampling import pauses
from profkit.sampling.calltree import CallTree
from profkit.sampling.recording import Recording
from profkit.sampling.resolution import Resolver
from profkit.sampling.sampler import Sampler
from profkit.sampling.switching import USUAL
from profkit.strands import branches_of, samples_of, strands_of
from profkit_storage import ChildOperation, Enclosing, Profile, Sampling
from profkit_storage.ulid import new_ulid

_MAX_TAGS = 100
_MAX_ENCLOSING = 50
_TAIL = 2.0
"""How many intervals after the last tick still belong to what was seen there,"""
_LONGEST_TAIL = 0.05
"""and how many seconds at the most, where the governor has stretched them."""
_SWITCH_WAIT = 2.0
"""And how many of the interpreter's switch intervals: a tick waits that long for the GIL."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the caller's side hands over: the recorder's thread is the first to look into it."""

    operation: Operation
    start_ns: int
    threshold: float
    weight: float
    request: RequestContext | None
    enclosing: tuple[Enclosing, ...]


def profile_of(finished: Finished, settings: Settings, sampler: Sampler) -> Profile:
    """Build the profile of an operation that is no longer in flight."""
    operation = finished.operation
    children = operation.children or []
    if len(children) > settings.max_children:
        operation.dropped_children += len(children) - settings.max_children
        children = longest(children, settings.max_children)
    wall = operation.ended - operation.started
    with sampler.lock:  # a tick that still saw the operation in flight has ended after this
        pauses.drain()
        recording, operation.recording = operation.recording, None
    if recording is None:
        recording = Recording(CallTree(sampler.codes), operation.started, settings.max_samples, sampler.cpu)
    recording.finish(operation.ended, tail_allowance(settings.interval, sampler.real_interval))
    resolver = Resolver(recording.tree)
    strands = strands_of(recording, operation)
    samples = samples_of(strands, resolver)
    request = finished.request
    return Profile(
        id=new_ulid(finished.start_ns),
        operation=masker.mask_text(operation.tally.name),
        category=masker.mask_text(operation.tally.category),
        start_ns=finished.start_ns,
        wall=wall,
        cpu=None if operation.thread.cpu is None else sum(sample.cpu for sample in samples),
        threshold=finished.threshold,
        weight=finished.weight,
        status=operation.status,
        service=settings.service,
        version=settings.version,
        host=host_name(),
        pid=os.getpid(),
        python=platform.python_version(),
        request_id=str(masker.mask(request.request_id, "request_id"))
        if request
        else "",  # the caller's words
        trace_id=request.trace_id if request else "",
        span_id=request.span_id if request else "",
        tags=masked_tags(operation.tags),
        number=operation.number,
        enclosing=finished.enclosing,
        frames=resolver.frames,
        nodes=resolver.nodes,
        samples=samples,
        children=children_of(children, operation),
        branches=branches_of(strands, operation),
        sampling=Sampling(
            interval=settings.interval,
            ticks=recording.ticks,
            sampler_cpu=max(0.0, sampler.cpu - recording.sampler_cpu),
            unobserved=recording.unobserved,
            dropped_children=operation.dropped_children,
        ),
    )


def enclosing(operation: Operation, number: Callable[[Operation], int]) -> tuple[Enclosing, ...]:
    """Return the operations around one that ends, the innermost first; `number` gives each its number."""
    found: list[Enclosing] = []
    outer = operation.parent
    while outer is not None and len(found) < _MAX_ENCLOSING:
        ended = outer.ended or operation.ended  # a task may go on when what began it is over
        found.append(Enclosing(number(outer), ended - outer.started >= outer.tally.limit))
        outer = outer.parent
    return tuple(found)


def tail_allowance(interval: float, real_interval: float = 0.0) -> float:
    """Return how many seconds after a tick may still be taken to belong to what it saw.

    `interval` is the one that was asked for, `real_interval` what the governor made of it.
    """
    return max(_TAIL * interval, min(_TAIL * real_interval, _LONGEST_TAIL)) + _SWITCH_WAIT * USUAL


def children_of(ended: Iterable[Operation], operation: Operation) -> tuple[ChildOperation, ...]:
    """Return the operations that ended inside `operation` as its profile has them, in order of their start."""
    children = sorted(((_start(child, operation), child) for child in ended), key=lambda one: one[0])
    index = {id(child): position for position, (_, child) in enumerate(children)}
    wall = operation.ended - operation.started
    return tuple(_child_of(child, start, wall, index) for start, child in children)


def _start(child: Operation, operation: Operation) -> float:
    """Return the seconds from the start of `operation` to that of one inside it."""
    start = 0.0
    inner: Operation | None = child
    while inner is not None and inner is not operation:
        start += inner.offset
        inner = inner.parent
    return start


def _child_of(child: Operation, start: float, wall: float, index: Mapping[int, int]) -> ChildOperation:
    started = min(max(start, 0.0), wall)
    ended = min(start + child.ended - child.started, wall)
    parent = index.get(id(child.parent), -1)
    name = masker.mask_text(child.tally.name)
    category = masker.mask_text(child.tally.category)
    return ChildOperation(name, category, started, max(started, ended), masked_tags(child.tags), parent)


def masked_tags(tags: Mapping[str, object] | None) -> dict[str, object]:
    """Return tags as a profile holds them: masked, flat, and at most 100."""
    if not tags:
        return {}
    return dict(_masked_tags(list(tags.items())[:_MAX_TAGS]))


def _masked_tags(tags: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    for name, value in tags:
        masked = masker.mask(value, name)
        yield name, masked if _is_storable(masked) else str(masked)


def _is_storable(value: object) -> bool:
    """Tell whether the encoding holds a tag as it is: text, true, false, None, a finite or a 64-bit number."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str)


@cache
def host_name() -> str:
    """Return this machine's name."""
    return socket.gethostname()
