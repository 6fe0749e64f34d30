"""What each stack says by itself, whatever profile it is in: one `Verdict`, made from its caller's."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from functools import lru_cache
from typing import NamedTuple, Protocol

from profkit_analyzers.attribution.blame import CallSite, function_name
from profkit_storage import Frame, Origin, Profile
from profkit_storage.categories import Category, CategoryTable, Kind, Match

_SERIALIZATION = "serialization"
_NO_CALLER = -1
_MOST = 100_000
"""Stacks that are remembered, of all profiles: some 50 MB."""
_SPARSE = 32
"""Nodes for each sample from which a profile is taken to use few of them: those of a block are of all its profiles."""
_LARGE = 5_000
"""Nodes from which a profile is taken to use few of them, whatever its samples."""
_SHARED = 500_000
"""Nodes of tables whose numbers are remembered: an hour has a block for each service, and they are read in turns."""


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
    above the innermost application function. `own` says that this function is running its own code, or a built-in
    function that no category knows. `call_site` is the place in it that the seconds are spent at, `calling` that of
    what it calls; "" if the stack has no such function.
    """

    near: Owner | None
    sdk: Owner | None
    transport: str
    wait: str
    far: Owner | None
    own: bool
    call_site: CallSite
    calling: CallSite


class Numbers(Protocol):
    """The numbers of stacks, by the nodes that they end at."""

    def __getitem__(self, node: int, /) -> int:
        """Return the number of the stack that ends at `node`."""
        ...


class _AskedFor(dict[int, int]):
    """`Numbers` that are found when they are first asked for."""

    __slots__ = ("frames", "nodes", "stacks")

    def __init__(self, stacks: Stacks, profile: Profile) -> None:
        super().__init__()
        self.stacks = weakref.ref(stacks)  # which has this one, and is to go without Python's collector
        self.nodes = profile.nodes
        self.frames = profile.frames

    def __missing__(self, node: int) -> int:
        stacks = self.stacks()
        if stacks is None:
            raise ReferenceError("whoever asks for numbers has to keep what gives them")
        path: list[int] = []
        while node >= 0 and node not in self:
            path.append(node)
            node = self.nodes[node].parent
        number = self[node] if node >= 0 else _NO_CALLER
        for below in reversed(path):
            _, frame, line = self.nodes[below]
            number = self[below] = stacks.number(number, self.frames[frame], line)
        return number


class Stacks:
    """Numbers stacks, the same in every profile, and has the verdict on each: those of a service are much alike.

    Of each number `verdicts`, `frames`, `lines` and `callers` have the verdict, the function that the stack ends in,
    the line it is at, and the stack that called it, -1 if there is none. Grows with what it is shown. Safe to use from
    several threads.
    """

    def __init__(self, table: CategoryTable) -> None:
        self.verdicts: list[Verdict] = []
        self.frames: list[Frame] = []
        self.lines: list[int] = []
        self.callers: list[int] = []
        self._table = table
        self._depths: list[int] = []
        self._known_frames: dict[Frame, int] = {}
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._last: tuple[Profile | None, Numbers] = None, []
        self._shared: OrderedDict[tuple[int, int], _AskedFor] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.callers)  # they are added last

    def numbers(self, profile: Profile) -> Numbers:
        """Return the numbers of the stacks that end at the profile's nodes."""
        # Several ask for the same one after the other, and it is the most that is done with a profile once it is read:
        # 0.15 ms for 325 nodes with 145 frames, all at once; twice that, one by one.
        last, numbers = self._last
        if last is profile:
            return numbers
        if len(profile.nodes) > min(_SPARSE * len(profile.samples), _LARGE):
            numbers = self._asked_for(profile)
        else:
            numbers = self._every(profile)
        self._last = profile, numbers
        return numbers

    def _every(self, profile: Profile) -> list[int]:
        known = self._numbers
        frames = [self._known_frames.get(frame, -1) for frame in profile.frames]
        found: list[int] = []
        for parent, frame, line in profile.nodes:
            caller = found[parent] if parent >= 0 else _NO_CALLER
            number = known.get((caller, frames[frame], line))
            if number is None:
                number, frames[frame] = self._new(caller, profile.frames[frame], line)
            found.append(number)
        return found

    def _asked_for(self, profile: Profile) -> _AskedFor:
        with self._lock:
            place = id(profile.nodes), id(profile.frames)  # which `found` keeps from becoming others'
            found = self._shared.get(place)
            if found is None:
                found = self._shared[place] = _AskedFor(self, profile)
                while len(self._shared) > 1 and self._nodes_shared() > _SHARED:
                    self._shared.popitem(last=False)
            self._shared.move_to_end(place)
        return found

    def _nodes_shared(self) -> int:
        return sum(len(found.nodes) for found in self._shared.values())

    def number(self, caller: int, frame: Frame, line: int) -> int:
        """Return the number of the stack of a `frame` at `line` that the stack `caller` called, -1 if none did."""
        found = self._numbers.get((caller, self._known_frames.get(frame, -1), line))
        return self._new(caller, frame, line)[0] if found is None else found

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
                self.lines.append(line)
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
        name = function_name(frame)
        return Verdict(
            None, None, "", "", above.near or above.far, own=True,
            call_site=CallSite(name), calling=CallSite(name, line),
        )  # fmt: skip
    if match is not None:
        return _library(above, match, depth)
    if frame.origin is Origin.SYNTHETIC:
        return _handed_on(above, above.transport, above.wait or frame.qualname.strip("[]"))
    if frame.origin is Origin.NATIVE:
        return above
    return _handed_on(above, above.transport, above.wait)


_NOWHERE = CallSite("")
_NO_APPLICATION = Verdict(None, None, "", "", None, own=True, call_site=_NOWHERE, calling=_NOWHERE)


def _library(above: Verdict, match: Match, depth: int) -> Verdict:
    """Return the verdict on a library's frame, so deep, which was called from `above`."""
    category = match.category
    if category.kind is Kind.TRANSPORT:
        return _handed_on(above, above.transport or match.owner, above.wait)
    if category.kind is Kind.WAIT:
        return _handed_on(above, above.transport, above.wait or match.owner)
    near, sdk = above.near, above.sdk
    same = near is not None and near.category is category
    if category.name == _SERIALIZATION:
        near = _owner(match, depth, near if same else sdk)
    else:
        near = sdk = _owner(match, depth, near if same and match.generic else None)
    return above._replace(near=near, sdk=sdk, own=False, call_site=above.calling)


def _handed_on(above: Verdict, transport: str, wait: str) -> Verdict:
    if not above.own and transport == above.transport and wait == above.wait:
        return above
    return above._replace(transport=transport, wait=wait, own=False, call_site=above.calling)


def _owner(match: Match, depth: int, named: Owner | None) -> Owner:
    if named is None:
        return Owner(match.category, match.owner, depth, depth)
    return Owner(match.category, named.name, depth, named.named_at)
