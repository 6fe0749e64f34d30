"""What each stack of a profile says by itself: one `Verdict` a node, made from its parent's."""

from __future__ import annotations

from typing import NamedTuple

from profkit_analyzers.blame import CallSite, function_name
from profkit_storage import Frame, Node, Origin, Profile
from profkit_storage.categories import CategoryTable, Kind, Match

_SERIALIZATION = "serialization"


class Verdict(NamedTuple):
    """What the stack that ends at one node says.

    Library code is *near* if it is below the innermost application function. `near` is its owner; `sdk` the owner there
    that is not serialization; `transport` and `wait` the outermost library of that kind there; `far` the nearest owner
    above the innermost application function. `function` is that application function, if there is one, and `line`
    where it is; `own` says that it is running its own code, or a built-in function that no category knows.
    """

    near: Match | None
    sdk: Match | None
    transport: str
    wait: str
    far: Match | None
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
    for node in profile.nodes:
        parent = found[node.parent] if node.parent >= 0 else None
        frame = profile.frames[node.frame]
        verdict = parent
        if frame.origin is Origin.APPLICATION:
            verdict = _application(frame, node, parent)
        elif verdict is None:
            verdict = _NO_APPLICATION
        match = matches[node.frame]
        if match is not None:
            verdict = _library(verdict, match)
        elif frame.origin is Origin.SYNTHETIC:
            verdict = verdict._replace(wait=verdict.wait or frame.qualname.strip("[]"), own=False)
        elif frame.origin is not Origin.APPLICATION and frame.origin is not Origin.NATIVE:
            verdict = verdict._replace(own=False)
        found.append(verdict)
    return found


_NO_APPLICATION = Verdict(None, None, "", "", None, None, 0, own=True)


def _application(frame: Frame, node: Node, parent: Verdict | None) -> Verdict:
    far = None if parent is None else parent.near or parent.far
    return Verdict(None, None, "", "", far, frame, node.line, own=True)


def _library(above: Verdict, match: Match) -> Verdict:
    """Return the verdict on a library's frame that was called from `above`."""
    kind = match.category.kind
    if kind is Kind.TRANSPORT:
        return above._replace(transport=above.transport or match.owner, own=False)
    if kind is Kind.WAIT:
        return above._replace(wait=above.wait or match.owner, own=False)
    if match.category.name == _SERIALIZATION:
        owner = above.sdk.owner if above.sdk is not None else match.owner
        if above.near is not None and above.near.category is match.category:
            owner = above.near.owner
        return above._replace(near=Match(match.category, owner), own=False)
    if match.generic and above.near is not None and above.near.category is match.category:
        match = above.near
    return above._replace(near=match, sdk=match, own=False)
