"""Blocking calls on the event loop: a function that did not give way, and what stood still meanwhile.

The sampler names the function that had the loop while an operation was ready, or had input (`starved`, `held`).
An operation that has been seen in an await, and waits in a C function (a socket, a lock, a sleep), holds the loop
itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.attribution.blame import function_name
from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import AWAIT, BLOCKING, IMPORT, SLEEP
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import NANO, Sight
from profkit_storage import State

LEAST_STRETCH = 0.1
"""Seconds at a stretch, as asyncio's debug mode has it. Many short steps are a busy loop, none of them to blame."""
_STARVED, _HELD, _OWN = range(3)
_KINDS = {State.STARVED: _STARVED, State.HELD: _HELD}


class _Hold:
    """What one function held the loop for: seconds by kind, and the longest stretch."""

    __slots__ = ("longest", "seconds")

    def __init__(self) -> None:
        self.seconds = [0.0, 0.0, 0.0]
        self.longest = 0.0


def _look(scene: Scene) -> Iterator[Sight]:
    own = _own(scene)
    if not own and not scene.matters(scene.held):
        return
    for name, hold in _holds(scene, own).items():
        ready, held, itself = hold.seconds
        total = ready + held + itself
        if hold.longest >= LEAST_STRETCH and scene.matters(total):
            sums = nanoseconds(ready), nanoseconds(held), nanoseconds(itself), int(ready + held > itself)
            yield Sight(name, "", total, sums, (nanoseconds(total), nanoseconds(hold.longest)))


def _holds(scene: Scene, own: dict[int, str]) -> dict[str, _Hold]:
    """Return the functions that held the loop; a stretch is without anything else between, in one task."""
    found: dict[str, _Hold] = {}
    frames = scene.profile.frames
    stretch: dict[int, tuple[str, float]] = {}
    for stack, (_, wall, _, branch, state, holder, _) in scene.samples():
        kind, name = _KINDS.get(state), ""
        if kind is not None:
            # Of a holder that the sampler does not know there is nothing to point at.
            name = function_name(frames[holder]) if holder >= 0 else ""
        elif state is State.WAITING and stack in own and branch in scene.suspended:
            kind, name = _OWN, own[stack]
        before, seconds = stretch.get(branch, ("", 0.0))
        seconds = seconds + wall if before == name else wall
        stretch[branch] = name, seconds
        if name and kind is not None:
            hold = found.setdefault(name, _Hold())
            hold.seconds[kind] += wall
            hold.longest = max(hold.longest, seconds)
    return found


def _own(scene: Scene) -> dict[int, str]:
    """Return where the operation waits without giving way to the loop it runs on, and in which function."""
    if not scene.every & (BLOCKING | SLEEP) or not scene.suspended:
        return {}
    found: dict[int, str] = {}
    for stack in scene.waiting:
        leaf, site = scene.leaf(stack), scene.sites[stack]
        if leaf & (BLOCKING | SLEEP) and not leaf & AWAIT and site >= 0 and not scene.near[stack] & IMPORT:
            found[stack] = function_name(scene.frame(site))
    return found


def _tell(found: Found) -> Told:
    starved, held, own = (found.total(index) / NANO for index in range(3))
    evidence = (
        Evidence("operations that it kept from the loop", found.total(3), Unit.COUNT),
        Evidence("ready, but the loop was taken (starved)", starved, Unit.SECONDS),
        Evidence("waiting, while the loop was taken (held)", held, Unit.SECONDS),
        Evidence("its own operation waited, holding the loop", own, Unit.SECONDS),
        found.longest("the longest at a stretch", 1),
        Evidence("kinds of operation", found.kinds, Unit.COUNT),
        found.longest("the most in one operation"),
    )
    return Told(
        "Take it off the loop: await an asynchronous call instead, or run it with asyncio.to_thread;"
        " for computing, a process.",
        tuple(fact for fact in evidence if fact.value),
    )


PATTERNS = (Pattern("blocking_call", _look, _tell, across=True),)
