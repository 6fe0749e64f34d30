"""The call tree: every stack that was seen once, each frame below its caller. Bounded, whatever comes."""

from __future__ import annotations

from profkit.sampling.codes import CodeTable

MAX_DEPTH = 400
"""Frames kept of one stack: the root and the leaf's side. Renderers recurse, and fail somewhat above."""
_MAX_NODES = 20_000


class CallTree:
    """Stacks as a parent-pointer tree: node n has parent `parents[n]` (-1 for a root) and place `places[n]`."""

    def __init__(self, codes: CodeTable) -> None:
        self.codes = codes
        self.parents: list[int] = []
        self.places: list[int] = []
        self._children: list[dict[int, int]] = []
        self._roots: dict[int, int] = {}
        self._cut = codes.synthetic("[frames left out]")

    def insert(self, stack: list[int]) -> int:
        """Return the node of a stack (leaf first, not empty); the deepest one there is room for."""
        if len(stack) > MAX_DEPTH:
            stack = [*stack[: MAX_DEPTH - 2], self._cut, stack[-1]]
        node = -1
        level = self._roots
        for place in reversed(stack):
            found = level.get(place)
            if found is None:
                if len(self.places) >= _MAX_NODES and node >= 0:
                    return node
                found = len(self.places)
                self.parents.append(node)
                self.places.append(place)
                self._children.append({})
                level[place] = found
            node = found
            level = self._children[node]
        return node
