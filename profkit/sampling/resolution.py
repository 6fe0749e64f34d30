"""Turns what the sampler kept, in numbers, into the frames, nodes and samples of a `Profile`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import CodeType

from profkit.sampling.callsites import native_call
from profkit.sampling.calltree import CallTree
from profkit.sampling.frames import frame_of, native_frame
from profkit.sampling.timeline import (
    AWAITING,
    COLLECTING,
    HELD,
    NOBODY,
    RUNNING,
    STARVED,
    SUSPENDED,
    WAITING,
    Span,
)
from profkit_storage import Frame, Node, Origin, Sample, State

_AWAIT = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)
STATES = {
    RUNNING: State.RUNNING,
    WAITING: State.WAITING,
    SUSPENDED: State.WAITING,
    STARVED: State.STARVED,
    HELD: State.HELD,
    COLLECTING: State.GC,
}


class Resolver:
    """Resolves one call tree. Nodes that differ only in an instruction of the same line become one."""

    def __init__(self, tree: CallTree) -> None:
        self._codes = tree.codes
        self._tree = tree
        self._known: dict[int, int] = {}
        self._frames: dict[Frame, int] = {}
        self._nodes: dict[Node, int] = {}
        self._node_of: dict[int, int] = {}
        self._leaf_of: dict[tuple[int, bool], int] = {}

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that the samples resolved so far refer to."""
        return tuple(self._frames)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that the samples resolved so far refer to."""
        return tuple(self._nodes)

    def samples(self, spans: Sequence[Span], branch: int = -1) -> list[Sample]:
        """Resolve the spans of one timeline over the tree, in their order."""
        return [
            Sample(
                self._leaf(span.node, suspended=span.state in AWAITING),
                span.wall,
                span.cpu,
                branch,
                STATES[span.state],
                self._frame_of(span.holder),
                span.inferred,
            )
            for span in spans
            if span.wall > 0
        ]

    def _frame_of(self, index: int) -> int:
        if index == NOBODY:
            return -1
        frame = self._known.get(index)
        if frame is None:
            frame = self._known[index] = self._frame(frame_of(self._codes.entries[index]))
        return frame

    def _leaf(self, tree_node: int, *, suspended: bool) -> int:
        """Return the node of a sample: below the function's own, that of what it awaits or calls natively."""
        leaf = self._leaf_of.get((tree_node, suspended))
        if leaf is None:
            node = self._node(tree_node)
            frame = _AWAIT if suspended else self._native_frame(tree_node)
            leaf = node if frame is None else self._intern(Node(node, self._frame(frame), 0))
            self._leaf_of[tree_node, suspended] = leaf
        return leaf

    def _native_frame(self, tree_node: int) -> Frame | None:
        index, offset = self._codes.resolve(self._tree.places[tree_node])
        entry = self._codes.entries[index]
        if entry.code is None:
            return None
        module = sys.modules.get(entry.module)
        call = native_call(entry.code, offset, vars(module) if module else {})
        return None if call is None else native_frame(call)

    def _node(self, tree_node: int) -> int:
        path: list[int] = []
        while tree_node >= 0 and tree_node not in self._node_of:
            path.append(tree_node)
            tree_node = self._tree.parents[tree_node]
        node = self._node_of[tree_node] if tree_node >= 0 else -1
        for below in reversed(path):
            index, offset = self._codes.resolve(self._tree.places[below])
            node = self._node_of[below] = self._intern_code(node, index, offset)
        return node

    def _intern_code(self, parent: int, index: int, offset: int) -> int:
        entry = self._codes.entries[index]
        frame = self._frame_of(index)
        return self._intern(Node(parent, frame, 0 if entry.code is None else line_at(entry.code, offset)))

    def _frame(self, frame: Frame) -> int:
        return self._frames.setdefault(frame, len(self._frames))

    def _intern(self, node: Node) -> int:
        return self._nodes.setdefault(node, len(self._nodes))


def line_at(code: CodeType, offset: int) -> int:
    """Return the line of the instruction at `offset`, the function's first if it has none."""
    for start, end, line in code.co_lines():
        if start <= offset < end:
            return line or code.co_firstlineno
    return code.co_firstlineno
