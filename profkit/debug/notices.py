"""What stands out in a process, in words: the first thing that its overview says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from profkit.debug.connections import ConnectionsReport
from profkit.debug.overview import Look
from profkit.debug.pools import PoolReport
from profkit.debug.results import Health, HealthAnswer
from profkit_storage.formats.durations import in_seconds

FULL: Final = 0.9
"""The share of a pool, of file descriptors or of the host's memory from which on it is said to be nearly used up."""

MOST: Final = 20
"""Sentences; what more there is, is counted."""

_MEANT = frozenset({"max_profiles_per_operation", "max_profiles", "discarded", "in_recorder"})
"""Reasons for a slow operation to have no profile that are no loss: the ones kept stand for it, or it is our own."""

_STARVED = 10
"""Tasks: some are always about to go on."""


class Notice(NamedTuple):
    """One sentence, whether it is `grave`, and the page (as in the menu) that says more."""

    text: str
    page: str
    grave: bool = False


def notices_of(look: Look, health: HealthAnswer) -> list[Notice]:
    """Return what stands out, the grave first."""
    found = [
        *_of_health(health),
        *_of_operations(look),
        *_of_tasks(look),
        *_of_memory(look),
        *_of_recorder(look),
    ]
    if look["connections"] is not None:
        found += [*_of_pools(look["connections"]["pools"]), *_of_descriptors(look["connections"])]
    unknown = [name for name in ("connections", "memory", "tasks", "threads") if look[name] is None]
    found += [Notice(f"What the {name} are could not be read.", name) for name in unknown]
    ranked = sorted(found, key=lambda one: not one.grave)
    more = len(ranked) - MOST
    return ranked if more <= 0 else [*ranked[:MOST], Notice(f"And {more} more.", ranked[MOST].page)]


def _of_health(health: HealthAnswer) -> Iterator[Notice]:
    for name, check in health["checks"].items():
        if check["status"] != Health.HEALTHY:
            said = f": {check['message']}" if check["message"] else ""
            grave = check["status"] == health["status"] == Health.UNHEALTHY  # degraded: it is not required
            yield Notice(f"{name} is {check['status']}{said}.", "health", grave)


def _of_operations(look: Look) -> Iterator[Notice]:
    worst = look["furthest"]
    if worst is None:
        return
    runs = f"{worst['name']}, which has run for {in_seconds(worst['age'])}"
    if look["over"] == 1:
        yield Notice(f"One operation is over its threshold: {runs}.", "profile")
    else:
        yield Notice(
            f"{look['over']:,} operations are over their thresholds, furthest of them {runs}.", "profile"
        )


def _of_tasks(look: Look) -> Iterator[Notice]:
    starved = look["tasks"]["states"].get("starved", 0) if look["tasks"] else 0
    if starved >= _STARVED:
        yield Notice(f"{starved} tasks could go on if their event loop came to them.", "tasks", grave=True)


def _of_memory(look: Look) -> Iterator[Notice]:
    percent = look["memory"]["percent"] if look["memory"] else 0.0
    if percent >= FULL * 100:
        yield Notice(f"This process has {percent:.0f} % of the host's memory.", "memory", grave=True)


def _of_pools(pools: list[PoolReport]) -> Iterator[Notice]:
    for pool in pools:
        if pool["error"] is not None and pool["supported"]:
            yield Notice(f"The pool {pool['name']} cannot be read: {pool['error']}.", "connections")
        elif pool["waiting"]:
            wait = "One caller waits" if pool["waiting"] == 1 else f"{pool['waiting']} callers wait"
            yield Notice(f"{wait} for the pool {pool['name']}{_used(pool)}.", "connections", grave=True)
        elif (pool["saturation"] or 0.0) >= FULL:
            yield Notice(f"The pool {pool['name']} is nearly used up{_used(pool)}.", "connections")


def _used(pool: PoolReport) -> str:
    if pool["in_use"] is None or pool["limit"] is None:
        return ""
    return f": {pool['in_use']} of {pool['limit']} in use"


def _of_descriptors(connections: ConnectionsReport) -> Iterator[Notice]:
    files = connections["file_descriptors"]
    if (files["saturation"] or 0.0) >= FULL:
        yield Notice(
            f"{files['open']} of {files['limit']} file descriptors are open.", "connections", grave=True
        )


def _of_recorder(look: Look) -> Iterator[Notice]:
    recorder = look["recorder"]
    if not recorder["active"]:
        yield Notice("Operations are not watched: slow ones leave no profile.", "profile/settings")
    lost = {reason: count for reason, count in recorder["dropped"].items() if reason not in _MEANT}
    for reason, count in (recorder["spool"]["dropped"] if recorder["spool"] else {}).items():
        lost[reason] = lost.get(reason, 0) + count
    if lost:
        reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in lost.items())
        yield Notice(f"Slow operations lost their profiles: {reasons}.", "profile")
    if recorder["faults"]:
        faults = ", ".join(
            f"{count:,} {kind.replace('_', ' ')}" for kind, count in recorder["faults"].items()
        )
        yield Notice(f"profkit had faults of its own: {faults}.", "profile")
