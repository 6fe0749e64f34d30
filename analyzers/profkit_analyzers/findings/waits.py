"""Waiting for what others have: a free connection of a pool, or a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from profkit_analyzers.attribution.blame import function_name
from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import LOCK, POOL
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import Sight
from profkit_storage import Origin

_SHARED = "_ContextManagerMixin"
"""What `async with` calls is the same for every kind of lock."""


def _pools(scene: Scene) -> Iterator[Sight]:
    if scene.every & POOL:
        yield from _waits(scene, POOL, _pool)


def _locks(scene: Scene) -> Iterator[Sight]:
    if scene.every & LOCK:
        yield from _waits(scene, LOCK, _lock)


def _waits(scene: Scene, mark: int, subject: Callable[[Scene, int], str]) -> Iterator[Sight]:
    found: dict[tuple[str, str], float] = {}
    for stack, seconds in scene.waiting.items():
        if scene.near[stack] & mark:
            key = str(scene.call_site(scene.sites[stack])), subject(scene, stack)
            found[key] = found.get(key, 0.0) + seconds
    for (place, name), seconds in found.items():
        if scene.matters(seconds):
            yield Sight(place, name, seconds, (), (nanoseconds(seconds),))


def _pool(scene: Scene, stack: int) -> str:
    return scene.frame(scene.outermost(stack, POOL)).module.partition(".")[0]


def _lock(scene: Scene, stack: int) -> str:
    """Return what the lock is called in the code, or of what kind it is."""
    found, site = "", scene.sites[stack]
    while stack >= 0 and stack != site:
        frame = scene.frame(stack)
        if scene.leaf(stack) & LOCK and not (found and _SHARED in frame.qualname):
            name = frame.qualname if frame.origin is Origin.NATIVE else function_name(frame)
            found = name.rpartition(".")[0]
        stack = scene.caller(stack)
    return found


def _told(found: Found, label: str, advice: str) -> Told:
    return Told(
        advice,
        (
            Evidence(label, found.subject, Unit.NAME),
            found.longest("the longest wait of an operation"),
            found.share,
        ),
    )


def _tell_pool(found: Found) -> Told:
    return _told(
        found,
        "the pool of",
        "Give connections back earlier (none kept over a slow call), look for leaks, then make the pool larger.",
    )


def _tell_lock(found: Found) -> Told:
    return _told(
        found,
        "lock",
        "Hold it for less: do slow work outside of it, split it, or give each task its own copy.",
    )


PATTERNS = (Pattern("pool_wait", _pools, _tell_pool), Pattern("lock_contention", _locks, _tell_lock))
