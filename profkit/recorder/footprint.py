"""How much memory waits in the recorder's queue."""

from __future__ import annotations

from itertools import islice

from profkit.recorder.finished import Finished
from profkit.sampling.recording import Recording
from profkit_storage import Profile

_ITEM = 2_000
_SPAN = 200
_NODE = 300
_CHILD = 350
_BRANCH = 900
_MOST_COUNTED = 100
"""Branches whose spans are counted; the others are taken to have as many."""


def footprint(item: Finished | Profile) -> int:
    """Estimate the bytes that are held for an item, tags and texts apart; takes the same few microseconds for any."""
    if isinstance(item, Profile):
        return _ITEM + _SPAN * len(item.samples) + _NODE * len(item.nodes)
    operation = item.operation
    size = _ITEM + _CHILD * len(operation.children or ()) + _BRANCH * len(operation.branches or ())
    recording = operation.recording
    if recording is None:
        return size
    return size + _SPAN * _spans(recording) + _NODE * len(recording.tree.places)


def _spans(recording: Recording) -> int:
    strands = len(recording.tracks)
    if strands == 1:
        return len(recording.main.timeline)
    counted = list(islice(list(recording.tracks.values()), _MOST_COUNTED))
    return sum(len(track.timeline) for track in counted) * strands // len(counted)
