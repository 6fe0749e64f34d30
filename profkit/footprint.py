"""How much memory waits in the recorder's queue."""

from __future__ import annotations

from itertools import islice

from profkit.finished import Finished
from profkit_storage import Profile

_ITEM = 2_000
_SPAN = 250
_NODE = 450
_CHILD = 650
_BRANCH = 1_500
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
    spans = sum(len(track.timeline) for track in islice(list(recording.tracks.values()), _MOST_COUNTED))
    parts = max(1.0, len(recording.tracks) / _MOST_COUNTED)
    return size + int(_SPAN * spans * parts) + _NODE * len(recording.tree.places)
