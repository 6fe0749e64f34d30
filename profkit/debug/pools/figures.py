"""The one shape of every pool, and how its figures are taken from attributes that another version may not have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict, cast
from weakref import ref

NO_LIMIT = 2**31 - 1
"""From here on a limit is none: what libraries put for one that was not set."""


bases_of: Callable[[type], tuple[type, ...]] = vars(type)["__mro__"].__get__
"""A class and all that it is derived from, whatever its metaclass says."""


class PoolReport(TypedDict):
    """One pool. Counts are of connections (channels, threads), `None` where the library does not tell.

    `name` is the user's, or the module-level variable's, or made from `kind`, the pool's type. `supported` is false
    for an object that is no pool known here. `size` is how many are open now (`in_use` and `idle`), `limit` how many
    may be (`None`: no limit, or unknown), `overflow` how many are beyond what SQLAlchemy's pool keeps, `waiting` how
    many callers wait for one now, `timeouts` how many have given up or been refused so far, where that is counted.
    `saturation` is `in_use / limit`, from 0 to 1; of a pool for each server or host it is that of the fullest.
    `source` is `private` where a figure is from a private attribute, which another version of the library may not
    have. `found`: the user gave it, or it was found in the process. `error` is set and the counts are unknown
    where the pool raised, or did not answer in time.
    """

    name: str
    kind: str
    supported: bool
    in_use: int | None
    idle: int | None
    size: int | None
    limit: int | None
    overflow: int | None
    waiting: int | None
    timeouts: int | None
    saturation: float | None
    source: Literal["public", "private"]
    found: Literal["given", "by type"]
    error: str | None


@dataclass
class Figures:
    """What a library's module fills in; see `PoolReport`. `label` tells pools of one kind apart."""

    kind: str
    label: str = ""
    in_use: int | None = None
    idle: int | None = None
    size: int | None = None
    limit: int | None = None
    overflow: int | None = None
    waiting: int | None = None
    timeouts: int | None = None
    saturation: float | None = None
    private: bool = False
    _limits: list[int | None] = field(default_factory=list[int | None])

    def add(
        self,
        *,
        in_use: int | None,
        idle: int | None = None,
        limit: float | None = None,
        waiting: int | None = None,
    ) -> None:
        """Count in one more pool of the same client, such as that of another server."""
        self.in_use, self.idle = _sum(self.in_use, in_use), _sum(self.idle, idle)
        self.waiting = _sum(self.waiting, waiting)
        if self.in_use is not None and self.idle is not None:
            self.size = self.in_use + self.idle
        bound = int(limit) if limit is not None and 0 < limit < NO_LIMIT else None
        self._limits.append(bound)
        known = [one for one in self._limits if one is not None]
        self.limit = sum(known) if len(known) == len(self._limits) else None
        if in_use is not None and bound is not None:
            self.saturation = max(self.saturation or 0.0, round(min(1.0, in_use / bound), 4))


@dataclass(frozen=True)
class Library:
    """How the pools of one library are known, held and read.

    `classes` are by module, those that have a pool inside before the pools themselves. `parts` returns what holds the
    connections of such an object, the same for all that share it, or nothing if it has none; `read` takes the figures
    from these. `hold` returns what gives the object again as long as it lives, without keeping it alive.
    """

    classes: Mapping[str, tuple[str, ...]]
    parts: Callable[[object], list[object]]
    read: Callable[[Figures, list[object]], None]
    hold: Callable[[object], Callable[[], object | None]] = ref

    def loaded(self) -> tuple[type, ...]:
        """Return the classes of this library that the application has loaded, in their order."""
        return tuple(
            item
            for module, names in self.classes.items()
            if (loaded := sys.modules.get(module)) is not None
            for name in names
            if isinstance(item := vars(loaded).get(name), type)
        )


def itself(pool: object) -> list[object]:
    """Return a pool that has none inside."""
    return [pool]


def is_a(thing: object, module: str, *names: str) -> bool:
    """Tell whether a thing is of one of a loaded module's classes; a proxy is what it is, not what it says."""
    loaded = sys.modules.get(module)
    wanted = {id(getattr(loaded, name, None)) for name in names}
    return any(id(base) in wanted for base in bases_of(type(thing)))


def attribute(owner: object, name: str) -> object:
    """Return an attribute, None if it is not there."""
    return cast("object", getattr(owner, name, None))


def whole(owner: object, name: str) -> int | None:
    """Return an attribute that is a whole number, None if it is not there or something else."""
    found = attribute(owner, name)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def items(owner: object, name: str) -> list[object]:
    """Return a copy of a collection, since its owner goes on; it is empty if there is none."""
    found = attribute(owner, name)
    return [] if found is None else list(cast("Iterable[object]", found))


def values(owner: object, name: str) -> list[object]:
    """Return a copy of a mapping's values; it is empty if there is none."""
    found = attribute(owner, name)
    return list(cast("Mapping[object, object]", found).values()) if isinstance(found, Mapping) else []


def count(owner: object, method: str) -> int:
    """Return what a method counts."""
    return int(getattr(owner, method)())


def holds(thing: object, method: str) -> bool:
    """Return what a method says, yes or no."""
    return bool(getattr(thing, method)())


def pending(futures: Iterable[object]) -> int:
    """Count the futures of tasks that wait still."""
    return sum(not holds(one, "done") for one in futures)


def waiting_threads(queue: object) -> int | None:
    """Count the threads that wait to get something from a queue; None if it does not tell."""
    condition = attribute(queue, "not_empty")
    return None if attribute(condition, "_waiters") is None else len(items(condition, "_waiters"))


def waiting_tasks(queue: object) -> int | None:
    """Count the tasks that wait to get something from one of asyncio's queues; None if it does not tell."""
    return None if attribute(queue, "_getters") is None else pending(items(queue, "_getters"))


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other
