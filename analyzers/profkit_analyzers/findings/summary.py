"""`Findings`: what the patterns saw in any number of profiles, and what they say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from profkit_analyzers.findings import (
    eventloop,
    interpreter,
    queries,
    retries,
    serial,
    serialization,
    tokens,
    waits,
)
from profkit_analyzers.findings.finding import Finding
from profkit_analyzers.findings.outliers import Outliers
from profkit_analyzers.findings.pattern import Found, Pattern
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import MICRO, NANO, Bounded, Tally
from profkit_storage import Profile, Trigger
from profkit_storage.categories import CategoryTable

PATTERNS: tuple[Pattern, ...] = (
    *queries.PATTERNS,
    *serial.PATTERNS,
    *eventloop.PATTERNS,
    *serialization.PATTERNS,
    *retries.PATTERNS,
    *waits.PATTERNS,
    *interpreter.PATTERNS,
    *tokens.PATTERNS,
)
MAX_PLACES = 10_000
"""Places that are kept, of all patterns: far more than a service has, and few enough to hold."""
_BY_NAME = {pattern.name: pattern for pattern in PATTERNS}


class _Key(NamedTuple):
    pattern: str
    operation: str
    place: str
    subject: str


class Findings:
    """A summary of profiles that merges, in any order and grouping, to the same findings. It can be pickled.

    Its size grows with operations, places in code and hosts, up to a bound, and not with profiles.
    """

    def __init__(self) -> None:
        self._tallies: Bounded[_Key, Tally] = Bounded(MAX_PLACES)
        self._outliers = Outliers()

    def see(self, profile: Profile, table: CategoryTable) -> None:
        """Look for every pattern in one slow operation; others (by trigger) are passed over.

        Show each profile once, and none that ran inside another one that is shown: its seconds are in that one's too.
        """
        if profile.trigger is not Trigger.SLOW or profile.weight <= 0:
            return
        self._outliers.see(profile)
        scene = Scene(profile, table)
        for pattern in PATTERNS:
            for sight in pattern.look(scene):
                key = _Key(pattern.name, profile.operation, sight.place, sight.subject)
                if self._tallies.admits(key):
                    tally = Tally.of(sight, profile.wall, profile.weight, profile.id)
                    self._add(key, tally)

    def merge(self, other: Findings) -> None:
        """Add what the other has seen to this."""
        for key, tally in other._tallies.items():
            if self._tallies.admits(key):
                self._add(key, replace(tally))
        self._outliers.merge(other._outliers)

    def _add(self, key: _Key, tally: Tally) -> None:
        known = self._tallies.get(key)
        if known is None:
            self._tallies[key] = tally
        else:
            known.merge(tally)

    def results(self) -> tuple[Finding, ...]:
        """Return the findings, the most seconds at stake first."""
        found = [*_told(self._tallies.settled()), *self._outliers.results()]
        return tuple(sorted(found, key=_order))


def _order(finding: Finding) -> tuple[float, str, str, str, str]:
    return (-finding.seconds, finding.pattern, finding.operation, finding.place, repr(finding.evidence))


def _told(tallies: dict[_Key, Tally]) -> list[Finding]:
    groups: dict[_Key, list[tuple[_Key, Tally]]] = {}
    for key, tally in tallies.items():
        group = key._replace(operation="") if _BY_NAME[key.pattern].across else key
        groups.setdefault(group, []).append((key, tally))
    return [_finding(group) for group in groups.values()]


def _finding(group: list[tuple[_Key, Tally]]) -> Finding:
    worst, _ = min(group, key=lambda item: (-item[1].seconds, item[0]))
    together = Tally()
    for _, tally in group:
        together.merge(tally)
    told = _BY_NAME[worst.pattern].tell(Found(worst.place, worst.subject, together, len(group)))
    return Finding(
        pattern=worst.pattern,
        operation=worst.operation,
        place=worst.place,
        seconds=together.seconds / NANO,
        operations=together.operations / MICRO,
        advice=told.advice,
        evidence=told.evidence,
        exemplars=tuple(example.id for example in together.worst),
    )
