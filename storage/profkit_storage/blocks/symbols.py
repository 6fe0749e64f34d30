"""One table of frames and one tree of nodes for all profiles of a block, and each profile's own again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from profkit_storage.document import Table

_Row = tuple[object, ...]
"""The fields of a frame or a node; and a 0 for each that was the same before it in its profile."""


class Order(NamedTuple):
    """In which order a profile has its nodes and its frames, by their numbers in the block."""

    nodes: list[int]
    frames: list[int]


class Symbols:
    """Gives the frames and nodes of profiles numbers that all of a block share.

    A profile may hold the same frame or node twice; each is a number of its own, or it could not be had back as it was.
    """

    def __init__(self) -> None:
        self._frames: dict[_Row, int] = {}
        self._nodes: dict[_Row, int] = {}

    def add_frames(self, frames: Table) -> list[int]:
        """Return the block's number of each frame of a profile."""
        known, seen = self._frames, set[_Row]()
        rows = (_told_apart(row, seen) for row in zip(*frames.values(), strict=True))
        return [known.setdefault(row, len(known)) for row in rows]

    def add_nodes(self, nodes: Table, frames: Sequence[int]) -> list[int]:
        """Return the block's number of each node of a profile whose frames have the numbers `frames`."""
        numbers: list[int] = []
        seen = set[_Row]()
        rows = cast("Iterable[tuple[int, int, int]]", zip(*nodes.values(), strict=True))
        for parent, frame, line in rows:
            above = numbers[parent] if parent >= 0 else -1
            row = _told_apart((above, frames[frame], line), seen)
            numbers.append(self._nodes.setdefault(row, len(self._nodes)))
        return numbers

    def frames(self) -> list[_Row]:
        """Return the fields of each frame, in the order of their numbers."""
        return [row[:6] for row in self._frames]

    def nodes(self) -> list[_Row]:
        """Return the parent, frame and line of each node, in the order of their numbers."""
        return [row[:3] for row in self._nodes]


def first_uses(
    leaves: Iterable[int], holders: Iterable[int], parents: Sequence[int], frame_of: Sequence[int]
) -> Order:
    """Return nodes and frames in the order in which samples use them: a stack's from its root, then what held it.

    That is the order in which most profiles have them, and then it need not be stored. `parents` and `frame_of` tell of
    every node its parent (-1: none) and its frame.
    """
    nodes: dict[int, None] = {}
    frames: dict[int, None] = {}
    for leaf, holder in dict.fromkeys(zip(leaves, holders, strict=True)):
        path: list[int] = []
        node = leaf
        while node >= 0 and node not in nodes:
            path.append(node)
            node = parents[node]
        for node in reversed(path):
            nodes[node] = None
            frames[frame_of[node]] = None
        if holder >= 0:
            frames[holder] = None
    return Order(list(nodes), list(frames))


def in_order(order: Order, nodes: int, frames: int) -> bool:
    """Tell whether a profile with so many nodes and frames has them in the order of their first use."""
    return order.nodes == list(range(nodes)) and order.frames == list(range(frames))


def _told_apart(row: _Row, seen: set[_Row]) -> _Row:
    """Return a row, made longer if it is among those seen; it is one of them afterwards."""
    while row in seen:
        row = (*row, 0)
    seen.add(row)
    return row
