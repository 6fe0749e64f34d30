"""Which of the branches an operation waited for: those without which it would have ended earlier.

Of branches that ran side by side only the one that ended last held the operation up. The path is followed from its end
backwards, as CRISP does for traces (Zhang et al., USENIX ATC 2022): the branch that ended last is on it, then the one
that ended last before that one began, and so on; and the same within each of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from profkit_storage import Branch, Profile

_OWN = -1
_TOLERANCE = 0.002
"""Seconds by which one that began when another ended may seem to have begun before: two readings of the clock apart."""


def critical_branches(profile: Profile) -> frozenset[int]:
    """Return the indexes in `profile.branches` of those on the critical path; -1, the operation itself, always is.

    A branch that still went on when the operation ended held nobody up; it is on the path only where all did.
    """
    if not profile.branches:
        return frozenset((_OWN,))
    waited_for = [index for index, branch in enumerate(profile.branches) if branch.end < profile.wall]
    below: dict[int, list[int]] = defaultdict(list)
    for index in waited_for or range(len(profile.branches)):
        below[profile.branches[index].parent].append(index)
    found = {_OWN}
    pending = [_OWN]
    while pending:
        chosen = list(_last_ones(below[pending.pop()], profile.branches))
        pending += [index for index in chosen if index not in found]
        found.update(chosen)
    return frozenset(found)


def _last_ones(indexes: list[int], branches: Sequence[Branch]) -> Iterator[int]:
    """Yield the one of them that ended last, then the one that did so before that one began, and so on."""
    began = float("inf")
    for index in sorted(indexes, key=lambda index: (-branches[index].end, branches[index].start, index)):
        if branches[index].end <= began + _TOLERANCE:
            yield index
            began = branches[index].start
