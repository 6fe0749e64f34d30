"""A copy of an operation in flight, to make a profile of while the operation goes on."""

from __future__ import annotations

import copy
from time import perf_counter

from profkit.operations import Operation
from profkit.recorder.finished import Finished
from profkit.sampling import pauses
from profkit.sampling.branches import Branch
from profkit.sampling.recording import Recording, Track
from profkit.sampling.sampler import Sampler
from profkit.sampling.timeline import Timeline
from profkit_storage import Status

_ALIKE = (
    "coroutine", "discarded", "dropped_children", "number", "offset", "parent", "request", "root", "started", "stood",
    "tally", "task", "thread",
)  # fmt: skip


def still_running(finished: Finished, sampler: Sampler) -> Finished | None:
    """Return a copy of an operation as it was at its last look; None if it has ended by now.

    The copy is made under the sampler's lock: as long as it takes to copy some lists, up to 1 ms for the longest.
    """
    operation = finished.operation
    with sampler.lock:
        pauses.drain()
        recording = operation.recording
        seen = perf_counter() if recording is None else recording.seen
        copied = _copy_of(operation, max(seen, operation.started))
        if recording is not None:
            copied.recording = _copied_recording(recording)
    if operation.ended:
        return None
    _settle_branches(copied)
    return finished._replace(operation=copied, copy_of=operation)


def _copy_of(operation: Operation, seen: float) -> Operation:
    copied: Operation = object.__new__(Operation)  # whatever kind it is a copy of
    for name in _ALIKE:
        setattr(copied, name, getattr(operation, name))
    copied.status = Status.RUNNING
    copied.ended = seen
    copied.recording = copied.frame = None
    copied.tags = dict(operation.tags or {})
    copied.children = list(operation.children or ())
    copied.branches = list(operation.branches or ())
    return copied


def _copied_recording(recording: Recording) -> Recording:
    copied = copy.copy(recording)
    copied.tracks = {branch: _copied_track(track) for branch, track in recording.tracks.items()}
    copied.main = copied.tracks[None]
    return copied


def _copied_track(track: Track) -> Track:
    copied = copy.copy(track)
    copied.timeline = timeline = copy.copy(track.timeline)
    for column in Timeline.__slots__:
        setattr(timeline, column, getattr(timeline, column).copy())
    return copied


def _settle_branches(copied: Operation) -> None:
    """Let each branch of a copy end when the copy does, at the latest; the branch itself goes on."""
    known: dict[Branch | None, None] = dict.fromkeys(copied.branches or ())
    if copied.recording is not None:
        known |= dict.fromkeys(copied.recording.tracks)
    copies: dict[Branch | None, Branch | None] = {
        branch: None if branch is None else copy.copy(branch) for branch in known
    }
    for branch in copies.values():
        if branch is not None:
            branch.ended = min(branch.ended or copied.ended, copied.ended)
            branch.parent = copies.get(branch.parent)
    copied.branches = [branch for branch in map(copies.get, copied.branches or ()) if branch is not None]
    if copied.recording is not None:
        copied.recording.tracks = {copies[branch]: track for branch, track in copied.recording.tracks.items()}
