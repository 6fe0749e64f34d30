"""Retries and backoff: sleeps between attempts at a call that failed.

A sleep is one if a library for retries is around it, if the function that sleeps is called after retrying, or if that
same function makes calls to a database or another service at another line: a loop that polls looks the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import DATABASE, REMOTE, RETRY, SLEEP
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import Sight
from profkit_storage import Frame

_BY_HAND = "the function itself, between its calls"


def _look(scene: Scene) -> Iterator[Sight]:
    if not scene.every & SLEEP:
        return
    found: dict[tuple[str, str], float] = {}
    near = scene.near
    for stack, seconds in scene.waiting.items():
        site = scene.sites[stack]
        if not near[stack] & SLEEP or site < 0:
            continue
        subject = _subject(scene, stack, site)
        if subject:
            key = str(scene.call_site(site)), subject
            found[key] = found.get(key, 0.0) + seconds
    for (place, subject), seconds in found.items():
        if scene.matters(seconds):
            yield Sight(place, subject, seconds, (), (nanoseconds(seconds),))


def _subject(scene: Scene, stack: int, site: int) -> str:
    """Return what retries, "" if nothing says that this sleep is between two attempts."""
    if not scene.near[stack] & RETRY:
        return _BY_HAND if site in _between_calls(scene) else ""
    retrying = scene.outermost(stack, RETRY)
    if retrying < 0:
        return _BY_HAND
    return scene.frame(retrying).module.partition(".")[0]


def _between_calls(scene: Scene) -> set[int]:
    """Return the places where a function sleeps that makes calls elsewhere."""
    calls: set[tuple[int, Frame]] = set()
    sleeps: dict[int, tuple[int, Frame]] = {}
    for stack, _ in scene.spent():
        site = scene.sites[stack]
        if site < 0:
            continue
        function = scene.caller(site), scene.frame(site)
        if scene.near[stack] & (DATABASE | REMOTE):
            calls.add(function)
        elif scene.near[stack] & SLEEP:
            sleeps[site] = function
    return {site for site, function in sleeps.items() if function in calls}


def _tell(found: Found) -> Told:
    return Told(
        "Find why the call fails (limits, time-outs, load) and mend that; bound the attempts by the time that is left,"
        " and if it polls, ask to be told instead.",
        (
            Evidence("retried by", found.subject, Unit.NAME),
            found.each("asleep in an operation"),
            found.longest("the most in one operation"),
            found.share,
        ),
    )


PATTERNS = (Pattern("retry_backoff", _look, _tell),)
