"""The strands of a finished operation, itself and its branches, as its profile has them."""

from __future__ import annotations

from collections.abc import Sequence

from profkit.masking import masker
from profkit.operations import Operation
from profkit.sampling.branches import Branch as Started
from profkit.sampling.detached import give_back
from profkit.sampling.inference import with_unseen_running, with_unseen_steps
from profkit.sampling.recording import Recording
from profkit.sampling.resolution import Resolver
from profkit.sampling.timeline import Span, halved
from profkit_storage import Branch, Sample

_MOST = 1_000
"""Branches of a profile."""
Strands = dict[Started | None, list[Span]]
"""What was seen of each, in the order of the profile's branches behind the operation itself."""


def strands_of(recording: Recording, operation: Operation) -> Strands:
    """Return what was seen of an operation and its branches; also those nothing was seen of, if there is room."""
    strands: Strands = {None: []}
    for branch in sorted(_branches(recording, operation), key=lambda branch: branch.started):
        strands[branch] = []
    for strand, track in recording.tracks.items():
        spans = track.timeline.spans()
        if track.has_thread:  # whose clock is its own
            if strand is not None and strand.cpu is not None:
                spans = _with_cpu(spans, strand.cpu)
            if recording.infers:
                spans = with_unseen_running(spans, recording.tree)
        elif recording.infers and (strand is None or _is_in_loop(strand, operation)):
            spans = with_unseen_steps(spans, *recording.loop_seconds)
        strands[strand] = spans
    _settle_detached(strands, operation, recording.others)
    _bound(strands, recording.limit)
    return strands


def _bound(strands: Strands, limit: int) -> None:
    """Halve the resolution until there are no more than `limit` spans: what was inferred came on top of those seen."""
    while sum(map(len, strands.values())) > limit:
        for strand, spans in strands.items():
            strands[strand] = halved(spans)
        if all(len(spans) <= 1 for spans in strands.values()):
            break


def _is_in_loop(branch: Started, operation: Operation) -> bool:
    """Tell whether a branch is a task of the operation's own event loop."""
    return branch.task is not None and branch.thread is operation.thread


def _with_cpu(spans: list[Span], seconds: float) -> list[Span]:
    """Let the CPU seconds of spans add up to what the thread's clock says: looks miss a beginning and an end."""
    seen = sum(span.cpu for span in spans)
    wall = sum(span.wall for span in spans)
    if wall <= 0:
        return spans
    parts = [span.cpu / seen if seen > 0 else span.wall / wall for span in spans]
    return [
        span._replace(cpu=min(part * seconds, span.wall)) for span, part in zip(spans, parts, strict=True)
    ]


def _settle_detached(strands: Strands, operation: Operation, others: Started) -> None:
    """Take their part from branches that went on when the operation had ended, see `sampling.detached`.

    `others` stands for branches there was no room for.
    """
    detached: dict[Started | None, list[Span]] = {
        one: spans
        for one, spans in strands.items()
        if one is not None and one is not others and not 0 < one.ended <= operation.ended
    }
    if detached:
        left = give_back(detached.values(), [strands[one] for one in strands if one not in detached])
        strands.update(zip(detached, left, strict=True))


def samples_of(strands: Strands, resolver: Resolver) -> tuple[Sample, ...]:
    """Return the samples of all strands in order of their beginning."""
    found: list[tuple[float, Sample]] = []
    for index, spans in enumerate(strands.values(), -1):
        kept = [span for span in spans if span.wall > 0]
        found += zip((span.began for span in kept), resolver.samples(kept, index), strict=True)
    return tuple(sample for _, sample in sorted(found, key=lambda one: one[0]))


def branches_of(strands: Strands, operation: Operation) -> tuple[Branch, ...]:
    """Return the branches as the profile has them; one that goes on after the operation ends with it."""
    branches = [branch for branch in strands if branch is not None]
    index = {branch: position for position, branch in enumerate(branches)}
    wall = operation.ended - operation.started
    found: list[Branch] = []
    for branch in branches:
        started = min(max(0.0, branch.started - operation.started), wall)
        ended = min(branch.ended - operation.started, wall) if branch.ended else wall
        parent = index.get(branch.parent, -1) if branch.parent else -1
        found.append(Branch(masker.mask_text(branch.name), parent, started, max(started, ended)))
    return tuple(found)


def _branches(recording: Recording, operation: Operation) -> Sequence[Started]:
    """Return what was seen, and of the rest as many as a profile may have."""
    seen = dict.fromkeys(branch for branch in recording.tracks if branch is not None)
    unseen = [branch for branch in operation.branches or () if branch not in seen]
    return [*seen, *unseen[: max(0, _MOST - len(seen))]]
