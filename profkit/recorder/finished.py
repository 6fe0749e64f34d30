"""What is handed over of an operation that is to be kept, and the `Profile` made of it in the background."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from profkit.config import Settings
from profkit.masking import masker
from profkit.masking.keys import Kind
from profkit.operations import Operation, longest
from profkit.recorder.related import children_of, enclosing
from profkit.recorder.strands import branches_of, samples_of, strands_of
from profkit.recorder.tags import masked_tags
from profkit.request_context import RequestContext
from profkit.sampling import pauses
from profkit.sampling.calltree import CallTree
from profkit.sampling.recording import Recording
from profkit.sampling.sampler import Sampler
from profkit.sampling.switching import USUAL
from profkit_storage import Profile, Sampling, Trigger
from profkit_storage.ulid import new_ulid

_TAIL = 2.0
"""How many intervals after the last tick still belong to what was seen there,"""
_LONGEST_TAIL = 0.05
"""and how many seconds at the most, where the governor has stretched them."""
_SWITCH_WAIT = 2.0
"""And how many of the interpreter's switch intervals: a tick waits that long for the GIL."""


class Finished(NamedTuple):
    """What the caller's side hands over: the recorder's thread is the first to look into it.

    `start_ns` is UTC, nanoseconds since the epoch. `outers` are the operations around it, the innermost first; `inside`
    tells whether one of them was slow. `id` is empty where the profile has none yet.

    One that is `running` has not finished, but has been at it for long; see the module `running`. Once it is a copy,
    `copy_of` is the operation in flight.
    """

    operation: Operation
    trigger: Trigger
    start_ns: int
    threshold: float
    weight: float = 0.0
    request: RequestContext | None = None
    outers: tuple[Operation, ...] = ()
    inside: bool = False
    id: str = ""
    running: bool = False
    copy_of: Operation | None = None


def profile_of(
    finished: Finished, settings: Settings, sampler: Sampler, number: Callable[[Operation], int]
) -> Profile:
    """Build the profile of an operation that is no longer in flight, or of the copy of one that is.

    `number` gives each operation its number.
    """
    operation = finished.operation
    children = _take_children(operation, settings.max_children)
    recording = _take_recording(operation, settings, sampler)
    if not finished.running:
        recording.finish(operation.ended, tail_allowance(settings.interval, sampler.real_interval))
    resolver = recording.resolver()
    strands = strands_of(recording, operation)
    samples = samples_of(strands, resolver)
    branches = branches_of(strands, operation)
    operation.branches = None  # the one around it goes on, and keeps the operation
    wall = operation.ended - operation.started
    return replace(
        _outline(finished, settings),
        wall=wall,
        cpu=None if operation.thread.cpu is None else sum(sample.cpu for sample in samples),
        frames=resolver.frames,
        nodes=resolver.nodes,
        samples=samples,
        children=children_of(children, finished.copy_of or operation, wall),
        branches=branches,
        number=number(operation),
        enclosing=enclosing(finished.outers, operation.ended, number),
        sampling=Sampling(
            engine=recording.engine,
            interval=settings.interval,
            ticks=recording.ticks,
            sampler_cpu=max(0.0, sampler.cpu - recording.sampler_cpu),
            unobserved=recording.unobserved,
            dropped_children=operation.dropped_children,
        ),
    )


def tail_allowance(interval: float, real_interval: float = 0.0) -> float:
    """Return how many seconds after a tick may still be taken to belong to what it saw.

    `interval` is the one that was asked for, `real_interval` what the governor made of it.
    """
    return max(_TAIL * interval, min(_TAIL * real_interval, _LONGEST_TAIL)) + _SWITCH_WAIT * USUAL


def _take_children(operation: Operation, limit: int) -> Sequence[Operation]:
    children, operation.children = operation.children or [], None
    if len(children) > limit:
        operation.dropped_children += len(children) - limit
        children = longest(children, limit)
    return children


def _take_recording(operation: Operation, settings: Settings, sampler: Sampler) -> Recording:
    with sampler.lock:  # a tick that still saw the operation in flight has ended after this
        pauses.drain()
        recording, operation.recording = operation.recording, None
    if recording is None:
        return Recording(CallTree(sampler.codes), operation.started, settings.max_samples, sampler.cpu)
    return recording


def _outline(finished: Finished, settings: Settings) -> Profile:
    """Return the profile without what was seen."""
    operation, request = finished.operation, finished.request
    return Profile(
        id=finished.id or new_ulid(finished.start_ns),
        operation=masker.mask_text(operation.tally.name),
        category=masker.mask_text(operation.tally.category),
        start_ns=finished.start_ns,
        wall=0.0,
        paused=operation.stood,
        threshold=finished.threshold,
        weight=finished.weight,
        status=operation.status,
        trigger=finished.trigger,
        service=masker.name(settings.service),
        version=shown_version(settings),
        host=host_name(),
        pid=os.getpid(),
        python=platform.python_version(),
        request_id=str(masker.mask(request.request_id, "request_id"))
        if request
        else "",  # the caller's words
        trace_id=request.trace_id if request else "",
        span_id=request.span_id if request else "",
        tags=masked_tags(operation.tags),
    )


def shown_version(settings: Settings) -> str:
    """Return the service's version without a secret; it may be a commit."""
    return masker.mask_text_under(settings.version, Kind.HASH)


@cache
def host_name() -> str:
    """Return this machine's name."""
    return socket.gethostname()
