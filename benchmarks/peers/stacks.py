"""Stacks as the peers give them, and the shares of functions in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Stack = tuple[Sequence[str], float]
"""The names of functions from the leaf to the root, and seconds (or any other weight) spent there."""


def shares(stacks: Iterable[Stack], names: Sequence[str]) -> dict[str, float]:
    """Return the share of each function, 0 to 1, of all the time there is; the innermost of `names` gets a stack's."""
    seconds = dict.fromkeys(names, 0.0)
    total = 0.0
    for functions, weight in stacks:
        total += weight
        found = next((name for name in map(bare_name, functions) if name in seconds), None)
        if found is not None:
            seconds[found] += weight
    return {name: spent / total if total else 0.0 for name, spent in seconds.items()}


def bare_name(function: str) -> str:
    """Return a function's own name, without the class or function it is defined in."""
    return function.rpartition(".")[2]
