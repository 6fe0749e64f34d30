"""What a finding says: a pattern with a name, where it is, what it costs, and how that is known."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

_DIGITS = 6
TITLES = {
    "n_plus_one_query": "N+1 queries",
    "n_plus_one_call": "N+1 calls",
    "serial_awaits": "serial awaits",
    "blocking_call": "blocking call",
    "large_serialization": "large serialization",
    "retry_backoff": "retries, backoff",
    "pool_wait": "pool wait",
    "lock_contention": "lock contention",
    "gc_pause": "garbage collection",
    "slow_import": "slow import",
    "time_to_first_token": "first token",
    "slow_host": "slow host",
    "slow_version": "slow version",
}
"""What patterns are called where people read of them."""


class Unit(enum.StrEnum):
    """What an evidence's value is: seconds, a share of 0 to 1, a number of things, how many times, or a name."""

    SECONDS = "s"
    SHARE = "share"
    COUNT = "count"
    TIMES = "times"
    NAME = "name"


class Evidence(NamedTuple):
    """One fact: words, and a figure or a name. A name is the application's, so it is not safe for a terminal yet."""

    label: str
    value: float | str
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A pattern that was seen.

    `pattern` is its name in docs/findings.md; `operation` the operation it is in, the one it costs most where it is in
    several; `place` where to look: the application's function, with a line where one is known, a child operation, a
    host or a version. `seconds` are at stake, of all slow operations that it stands for, `operations` is how many.
    `exemplars` are the ids of at most three profiles, the worst first.
    """

    pattern: str
    operation: str
    place: str
    seconds: float
    operations: float
    advice: str
    evidence: tuple[Evidence, ...]
    exemplars: tuple[str, ...]

    @property
    def title(self) -> str:
        """What its pattern is called."""
        return TITLES.get(self.pattern, self.pattern)

    def to_dict(self) -> dict[str, object]:
        """Return the finding as plain values for JSON, as docs/findings.md tells."""
        return {
            "pattern": self.pattern,
            "operation": self.operation,
            "place": self.place,
            "seconds": round(self.seconds, _DIGITS),
            "operations": round(self.operations, _DIGITS),
            "advice": self.advice,
            "evidence": [_evidence(fact) for fact in self.evidence],
            "exemplars": list(self.exemplars),
        }


def _evidence(fact: Evidence) -> dict[str, object]:
    value = fact.value if isinstance(fact.value, str) else round(fact.value, _DIGITS)
    return {"label": fact.label, "value": value, "unit": fact.unit.value}
