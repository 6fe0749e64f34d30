"""What each stack says by itself, whatever profile it is in: one `Verdict`, made from its caller's."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import NamedTuple

from profkit_analyzers.blame import CallSite, function_name
from profkit_storage import Frame, Origin, Profile
from profkit_storage.categories import Category, CategoryTable, Kind, Match

_SERIALIZATION = "serialization"
_NO_CALLER = -1
_MOST = 100_000
"""Stacks that are remembered, of all profiles: some 50 MB."""


class Owner(NamedTuple):
    """A library that owns what is below it, and how deep the frames are that have its `category` and gave its name.

    A root is 0 deep. They differ where serialization names the SDK it serves, and a driver's cursor the library that
    called it.
    """

    category: Category
    name: str
    depth: int
    named_at: int


class Verdict(NamedTuple):
    """What a stack says.

    Library code is *near* if it is below the innermost application function. `near` is its owner; `sdk` the owner there
    that is not serialization; `transport` and `wait` the outermost library of that kind there; `far` the nearest owner
    above the innermost application function. `function` is that application function, if there is one, and `line`
    where it is; `own` says that it is running its own code, or a built-in function that no category knows.
    """

    near: Owner | None
    sdk: Owner | None
    transport: str
    wait: str
    far: Owner | None
    function: Frame | None
    line: int
    own: bool

    @property
    def call_site(self) -> CallSite:
        """The application's code that the seconds are spent in or under; "" if the stack has none."""
        if self.function is None:
            return CallSite("")
        return CallSite(function_name(self.function), 0 if self.own else self.line)


class Stacks:
    """Numbers stacks, the same in every profile, and has the verdict on each: those of a service are much alike.

    Of each number `verdicts`, `frames` and `callers` have the verdict, the function that the stack ends in, and the
    stack that called it, -1 if there is none. Grows with what it is shown. Safe to use from several threads.
    """

    def __init__(self, table: CategoryTable) -> None:
        self.verdicts: list[Verdict] = []
        self.frames: list[Frame] = []
        self.callers: list[int] = []
        self._table = table
        self._depths: list[int] = []
        self._known_frames: dict[Frame, int] = {}
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._last: tuple[Profile | None, list[int]] = None, []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.callers)  # they are added last

    def numbers(self, profile: Profile) -> list[int]:
        """Return the numbers of the stacks that end at each of the profile's nodes."""
        # Several ask for the same one after the other, and it is the most that is done with a profile once it is read:
        # 0.15 ms for 325 nodes with 145 frames.
        last, numbers = self._last
        if last is profile:
            return numbers
        known = self._numbers
        frames = [self._known_frames.get(frame, -1) for frame in profile.frames]
        found: list[int] = []
        for parent, frame, line in profile.nodes:
            caller = found[parent] if parent >= 0 else _NO_CALLER
            number = known.get((caller, frames[frame], line))
            if number is None:
                number, frames[frame] = self._new(caller, profile.frames[frame], line)
            found.append(number)
        self._last = profile, found
        return found

    def _new(self, caller: int, frame: Frame, line: int) -> tuple[int, int]:
        """Return the number of a stack that was not known a moment ago, and that of its frame."""
        with self._lock:
            of_frame = self._known_frames.setdefault(frame, len(self._known_frames))
            key = caller, of_frame, line
            number = self._numbers.get(key)
            if number is None:
                above = self.verdicts[caller] if caller >= 0 else _NO_APPLICATION
                depth = self._depths[caller] + 1 if caller >= 0 else 0
                number = len(self.verdicts)
                self.verdicts.append(_verdict(above, frame, line, depth, self._table.match(frame)))
                self._depths.append(depth)
                self.frames.append(frame)
                self.callers.append(caller)
                self._numbers[key] = number
            return number, of_frame


class _Memory:
    """The stacks that are known by one table: all are forgotten when there are too many."""

    def __init__(self, table: CategoryTable) -> None:
        self._table = table
        self._stacks = Stacks(table)

    def stacks(self) -> Stacks:
        if len(self._stacks) > _MOST:
            self._stacks = Stacks(self._table)  # those at work with the others go on with them
        return self._stacks


@lru_cache(maxsize=4)
def _memory(table: CategoryTable) -> _Memory:
    return _Memory(table)


def known_stacks(table: CategoryTable) -> Stacks:
    """Return the stacks that are known so far, with verdicts by `table`."""
    return _memory(table).stacks()


def _verdict(above: Verdict, frame: Frame, line: int, depth: int, match: Match | None) -> Verdict:
    if frame.origin is Origin.APPLICATION:
        return Verdict(None, None, "", "", above.near or above.far, frame, line, own=True)
    if match is not None:
        return _library(above, match, depth)
    if frame.origin is Origin.SYNTHETIC:
        return _handed_on(above, above.transport, above.wait or frame.qualname.strip("[]"))
    if frame.origin is Origin.NATIVE:
        return above
    return _handed_on(above, above.transport, above.wait)


_NO_APPLICATION = Verdict(None, None, "", "", None, None, 0, own=True)


def _library(above: Verdict, match: Match, depth: int) -> Verdict:
    """Return the verdict on a library's frame, so deep, which was called from `above`."""
    category = match.category
    if category.kind is Kind.TRANSPORT:
        return _handed_on(above, above.transport or match.owner, above.wait)
    if category.kind is Kind.WAIT:
        return _handed_on(above, above.transport, above.wait or match.owner)
    near, sdk, transport, wait, far, function, line, _ = above
    same = near is not None and near.category is category
    if category.name == _SERIALIZATION:
        near = _owner(match, depth, near if same else sdk)
    else:
        near = sdk = _owner(match, depth, near if same and match.generic else None)
    return Verdict(near, sdk, transport, wait, far, function, line, own=False)


def _handed_on(above: Verdict, transport: str, wait: str) -> Verdict:
    if not above.own and transport == above.transport and wait == above.wait:
        return above
    return Verdict(above.near, above.sdk, transport, wait, above.far, above.function, above.line, own=False)


def _owner(match: Match, depth: int, named: Owner | None) -> Owner:
    if named is None:
        return Owner(match.category, match.owner, depth, depth)
    return Owner(match.category, named.name, depth, named.named_at)
