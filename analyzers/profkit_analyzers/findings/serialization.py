"""Large serialization: one document, or one tight loop over documents, that takes long to encode or decode."""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import SERIALIZER
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import Sight
from profkit_storage import State

LEAST_STRETCH = 0.1
"""Seconds at a stretch. Many small documents, with other work between, are no large one."""
_SLOW = frozenset({"json", "simplejson", "pickle", "xml", "yaml", "copy.deepcopy", "dataclasses.asdict"})
"""Written in Python or general: there is a faster way for most of what they are used for."""
_RUNNING, _WAITING = State.RUNNING, State.WAITING


def _look(scene: Scene) -> Iterator[Sight]:
    if not scene.every & SERIALIZER:
        return
    total: dict[tuple[str, str], float] = {}
    longest: dict[tuple[str, str], float] = {}
    owners: dict[int, tuple[str, str]] = {}
    stretch: dict[int, tuple[tuple[str, str] | None, float]] = {}
    near = scene.near
    if not scene.matters(scene.spent_near(SERIALIZER)):
        return
    for stack, (_, wall, _, branch, state, _, _) in scene.samples():
        # The collector, and a loop that was taken, interrupt a stretch and do not end it.
        if state is not _RUNNING and state is not _WAITING:
            continue
        key = None
        if near[stack] & SERIALIZER:
            key = owners.get(stack) or owners.setdefault(stack, _place(scene, stack))
        before, seconds = stretch.get(branch, (None, 0.0))
        seconds = seconds + wall if before == key else wall
        stretch[branch] = key, seconds
        if key is not None:
            total[key] = total.get(key, 0.0) + wall
            longest[key] = max(longest.get(key, 0.0), seconds)
    for (place, owner), seconds in total.items():
        if longest[place, owner] >= LEAST_STRETCH and scene.matters(seconds):
            yield Sight(place, owner, seconds, (), (nanoseconds(longest[place, owner]),))


def _place(scene: Scene, stack: int) -> tuple[str, str]:
    match = scene.table.match(scene.frame(scene.outermost(stack, SERIALIZER)))
    return str(scene.call_site(scene.sites[stack])), match.owner if match is not None else ""


def _tell(found: Found) -> Told:
    faster = " Use a faster encoder (orjson, msgspec)." if found.subject in _SLOW else ""
    return Told(
        f"Make it less: fewer fields, pages, a stream.{faster} On an event loop, do it in a thread.",
        (
            Evidence("by", found.subject, Unit.NAME),
            found.longest("the longest stretch"),
            found.share,
        ),
    )


PATTERNS = (Pattern("large_serialization", _look, _tell),)
