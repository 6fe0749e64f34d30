"""Finds the pools that nobody named, and uvicorn's servers: once a minute, and refers to them weakly."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypedDict, cast
from weakref import ref

from profkit.debug.pools.figures import Library, attribute
from profkit.debug.pools.table import derived, pool_classes
from profkit.debug.pools.walk import Walk
from profkit.faults import log

EVERY: Final = 60.0


class SearchReport(TypedDict):
    """What the last search for pools did: `objects` it met, in how many `seconds`, `age` seconds ago.

    `complete` is false where there was more than it may meet: then the pools are best given by name.
    """

    objects: int
    seconds: float
    age: float
    complete: bool


class Found(NamedTuple):
    """A pool that was found: what gives it as long as it lives, and the variable that it is in, or nothing."""

    again: Callable[[], object | None]
    name: str
    library: Library


class Search:
    """Looks for pools and servers; what it found serves for `every` seconds."""

    def __init__(self, every: float = EVERY) -> None:
        self.pools: list[Found] = []
        self.servers: list[Callable[[], object | None]] = []
        self._every = every
        self._at: float | None = None
        self._lock = threading.Lock()
        self._report = SearchReport(objects=0, seconds=0.0, age=0.0, complete=True)

    @property
    def has_run(self) -> bool:
        """Whether there was a search at all."""
        return self._at is not None

    @property
    def is_due(self) -> bool:
        """Whether it is time for another."""
        return self._at is None or time.monotonic() - self._at >= self._every

    def report(self) -> SearchReport | None:
        """Return what the last search did, None before the first."""
        if self._at is None:
            return None
        return {**self._report, "age": round(time.monotonic() - self._at, 1)}

    def run(self) -> None:
        """Search; who comes while another thread does so waits for that. Never raises."""
        with self._lock:
            if not self.is_due:
                return
            try:
                self._run()
            except Exception as error:  # noqa: BLE001 - pools given by name are shown all the same
                self._report = SearchReport(objects=0, seconds=0.0, age=0.0, complete=False)
                log(
                    logging.WARNING,
                    "profkit: the search for pools failed: %s",
                    type(error).__name__,
                    exc_info=error,
                )
            finally:
                self._at = time.monotonic()

    def _run(self) -> None:
        began = time.perf_counter()
        classes = list(pool_classes())
        pools = {id(kind): (rank, library) for rank, (kind, library) in enumerate(classes)}
        servers, states = _ids("uvicorn.server", "Server"), _ids("starlette.datastructures", "State")
        walk = Walk({*pools, *servers, *states})
        walk.go()
        names = _names(walk, states)
        found = [one for one in walk.found if id(type(one)) in pools]
        # What the user knows by a name comes first; else a client comes before what is inside.
        found.sort(key=lambda one: (id(one) not in names, pools[id(type(one))][0], names.get(id(one), "")))
        self.pools = [
            Found(again, names.get(id(one), ""), pools[id(type(one))][1])
            for one in found
            if (again := _hold(one, pools[id(type(one))][1])) is not None
        ]
        self.servers = [ref(one) for one in walk.found if id(type(one)) in servers]
        self._report = SearchReport(
            objects=walk.met,
            seconds=round(time.perf_counter() - began, 4),
            age=0.0,
            complete=walk.complete,
        )


def _ids(module: str, name: str) -> set[int]:
    """Return the ids of a class, if its module is loaded, and of those derived from it."""
    found = vars(sys.modules[module]).get(name) if module in sys.modules else None
    return {id(one) for one in derived(found)} if isinstance(found, type) else set()


def _hold(pool: object, library: Library) -> Callable[[], object | None] | None:
    try:
        return library.hold(pool)
    except Exception:  # noqa: BLE001 - not as it was in the versions known
        return None


def _names(walk: Walk, states: set[int]) -> dict[int, str]:
    """Return by the ids of what was found the variable it is in: the application's own, the shortest of several."""
    wanted = {id(one) for one in walk.found}
    names: dict[int, str] = {}
    for some in (walk.own, walk.packages):
        for name, variables in sorted(some.items(), key=_shortness):
            _name(name, variables, wanted, names)
    for state in walk.found:
        inside = attribute(state, "_state") if id(type(state)) in states else None
        if isinstance(inside, dict):
            _name("app.state", cast("dict[str, object]", inside), wanted, names)
    return names


def _shortness(item: tuple[str, object]) -> tuple[bool, int, str]:
    return item[0] == "__main__", len(item[0]), item[0]


def _name(owner: str, variables: Mapping[str, object], wanted: set[int], names: dict[int, str]) -> None:
    for variable, value in list(variables.items()):
        if id(value) in wanted and id(value) not in names and type(variable) is str:
            names[id(value)] = f"{owner}.{variable}"
