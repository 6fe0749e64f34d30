"""What each stack of a profile says by itself: one `Verdict` a node, made from its parent's."""

from __future__ import annotations

from typing import NamedTuple

from profkit_analyzers.blame import CallSite, function_name
from profkit_storage import Frame, Origin, Profile
from profkit_storage.categories import Category, CategoryTable, Kind, Match

_SERIALIZATION = "serialization"


class Owner(NamedTuple):
    """A library that owns what is below it: the node that has its `category`, and the one that gave its name.

    They differ where serialization names the SDK it serves, and a driver's cursor the library that called it.
    """

    category: Category
    name: str
    node: int
    named_by: int


class Verdict(NamedTuple):
    """What the stack that ends at one node says.

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


def verdicts(profile: Profile, table: CategoryTable) -> list[Verdict]:
    """Return the verdict on each of the profile's nodes."""
    matches = [table.match(frame) for frame in profile.frames]
    found: list[Verdict] = []
    for index, node in enumerate(profile.nodes):
        above = found[node.parent] if node.parent >= 0 else _NO_APPLICATION
        frame = profile.frames[node.frame]
        match = matches[node.frame]
        if frame.origin is Origin.APPLICATION:
            far = above.near or above.far
            verdict = Verdict(None, None, "", "", far, frame, node.line, own=True)
        elif match is not None:
            verdict = _library(above, match, index)
        elif frame.origin is Origin.SYNTHETIC:
            verdict = _handed_on(above, above.transport, above.wait or frame.qualname.strip("[]"))
        elif frame.origin is Origin.NATIVE:
            verdict = above
        else:
            verdict = _handed_on(above, above.transport, above.wait)
        found.append(verdict)
    return found


_NO_APPLICATION = Verdict(None, None, "", "", None, None, 0, own=True)


def _library(above: Verdict, match: Match, node: int) -> Verdict:
    """Return the verdict on a library's frame, that of `node`, which was called from `above`."""
    category = match.category
    if category.kind is Kind.TRANSPORT:
        return _handed_on(above, above.transport or match.owner, above.wait)
    if category.kind is Kind.WAIT:
        return _handed_on(above, above.transport, above.wait or match.owner)
    near, sdk, transport, wait, far, function, line, _ = above
    same = near is not None and near.category is category
    if category.name == _SERIALIZATION:
        near = _owner(match, node, near if same else sdk)
    else:
        near = sdk = _owner(match, node, near if same and match.generic else None)
    return Verdict(near, sdk, transport, wait, far, function, line, own=False)


def _handed_on(above: Verdict, transport: str, wait: str) -> Verdict:
    if not above.own and transport == above.transport and wait == above.wait:
        return above
    return Verdict(above.near, above.sdk, transport, wait, above.far, above.function, above.line, own=False)


def _owner(match: Match, node: int, named: Owner | None) -> Owner:
    if named is None:
        return Owner(match.category, match.owner, node, node)
    return Owner(match.category, named.name, node, named.named_by)
