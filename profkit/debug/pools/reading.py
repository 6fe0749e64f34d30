"""Reads pools in threads of their own, so that one that hangs delays neither the rest nor the answer."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

from profkit.debug.pools.figures import Figures, Library, PoolReport
from profkit.debug.pools.search import EVERY, Search
from profkit.debug.pools.table import library_of
from profkit.debug.problems import Problem
from profkit.debug.workers import Workers
from profkit.masking import Masker
from profkit.masking.values import type_name

T = TypeVar("T")

MAX_POOLS: Final = 100
WITHIN: Final = 1.0
PATIENCE: Final = 0.1
MOST_THREADS: Final = 8


@dataclass(frozen=True, eq=False)
class _Asked:
    """A pool to be read. `name` is empty where there is none yet."""

    name: str
    pool: object
    library: Library | None
    found: Literal["given", "by type"]


class _Hanging(NamedTuple):
    """Since when (monotonic seconds) a pool does not answer, and the ids of its parts, which its thread keeps alive."""

    since: float
    parts: tuple[int, ...]


class PoolReader:
    """Reads the pools that the user gave and those found in the process.

    All are read within a second. One that takes longer is said to, and is not asked again before its thread has come
    back; there are at most 8 such threads.

    Args:
        within: seconds for all pools together, and before that for the first search.
        patience: seconds after which the rest is read by another thread.
        every: seconds for which the result of a search serves.
    """

    def __init__(self, *, within: float = WITHIN, patience: float = PATIENCE, every: float = EVERY) -> None:
        self._within = within
        self._patience = patience
        self._every = every
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._workers = Workers(limit=MOST_THREADS)
        self._others = Workers(limit=3)
        self._hanging: dict[int, _Hanging] = {}
        self._search = Search(self._every)

    def begin(self, key: str, work: Callable[[], T]) -> Future[T]:
        """Do something else meanwhile; one of a key at a time.

        Raises:
            Problem: as many threads work already as may.
        """
        self._begin_in_child()
        return self._others.begin(key, work)

    def search(self) -> Search:
        """Return what is found in the process by now; the first search is waited for, as long as for the pools."""
        self._begin_in_child()
        search = self._search
        if search.is_due:
            with contextlib.suppress(Problem, TimeoutError):  # there are threads enough, or it takes its time
                running = self._others.begin("search", search.run)
                if not search.has_run:
                    running.result(self._within)
        return search

    def read(
        self,
        given: Mapping[str, object],
        found: Search | None = None,
        near: Mapping[str, object] | None = None,
        *,
        masker: Masker,
    ) -> tuple[list[PoolReport], int]:
        """Return the state of at most 100 pools and how many were left out: those given, those `near`, those found.

        Never raises.
        """
        self._begin_in_child()
        named = list(given.items())
        asked = [_Asked(str(name), pool, library_of(pool), "given") for name, pool in named[:MAX_POOLS]]
        asked += [_Asked(name, pool, library_of(pool), "by type") for name, pool in (near or {}).items()]
        known = {id(one.pool) for one in asked}  # one that cannot be read is not known by its parts
        for one in () if found is None else found.pools:
            pool = one.again()
            if pool is not None and id(pool) not in known:
                asked.append(_Asked(one.name, pool, one.library, "by type"))
        reports = _Round(asked, self._hanging, masker, self._within).run(self._workers, self._patience)
        left_out = max(0, len(named) - MAX_POOLS) + max(0, len(reports) - MAX_POOLS)
        return reports[:MAX_POOLS], left_out

    def _begin_in_child(self) -> None:
        if os.getpid() != self._pid:  # the threads did not come along when this process was forked
            self._begin()


class _Round:
    """One reading of some pools, by as many threads as it takes to get past those that hang."""

    def __init__(
        self, asked: list[_Asked], hanging: dict[int, _Hanging], masker: Masker, within: float
    ) -> None:
        self._asked = asked
        self._hanging = hanging
        self._masker = masker
        self._within = within
        self._reports: dict[int, PoolReport | None] = {}
        self._busy: dict[int, float] = {}
        self._claimed: dict[int, object] = {}
        self._parts: dict[int, tuple[int, ...]] = {}
        self._waiting: deque[int] = deque()
        self._over = False
        self._changed = threading.Condition()

    def run(self, workers: Workers, patience: float) -> list[PoolReport]:
        """Return the reports in order; of a pool that is inside another one there is none."""
        until = time.monotonic() + self._within
        with self._changed:
            self._pass_over_hanging()
            while not self._is_done() and (left := until - time.monotonic()) > 0:
                try:
                    if self._waiting:
                        workers.begin(object(), self._work)
                except Problem:  # as many threads hang as may
                    if not self._busy:
                        break
                self._changed.wait_for(self._is_done, min(patience, left))
            self._over = True
            for number, began in self._busy.items():
                self._hanging[id(self._asked[number].pool)] = _Hanging(began, self._parts.get(number, ()))
            reports = [self._outcome(number) for number in range(len(self._asked))]
            self._asked.clear()  # one that hangs keeps this alive, and is to keep no other pool so
            self._claimed.clear()
        return _named([one for one in reports if one is not None])

    def _pass_over_hanging(self) -> None:
        """Ask nothing of those whose thread has not come back from an earlier round, nor of their parts."""
        now = time.monotonic()
        for number, one in enumerate(self._asked):
            hanging = self._hanging.get(id(one.pool))
            if hanging is None:
                self._waiting.append(number)
            else:
                self._claimed.update(dict.fromkeys(hanging.parts))
                why = f"has not answered for {now - hanging.since:.0f} s"
                self._reports[number] = self._failed(one, why)

    def _is_done(self) -> bool:
        return len(self._reports) == len(self._asked)

    def _outcome(self, number: int) -> PoolReport | None:
        if number in self._reports:
            return self._reports[number]
        one = self._asked[number]
        if number in self._busy:
            return self._failed(one, f"does not answer within {self._within:g} s")
        return self._failed(one, "not asked: other pools do not answer")

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            number, one = taken
            report: PoolReport | None = None
            try:
                report = self._read(number, one)
            except BaseException as error:  # noqa: BLE001 - one broken pool must not hide the others
                report = self._failed(one, self._masker.mask_error(error))
            finally:
                with self._changed:
                    self._reports[number] = report
                    del self._busy[number]
                    self._hanging.pop(id(one.pool), None)
                    self._changed.notify_all()

    def _take(self) -> tuple[int, _Asked] | None:
        """Return the next pool to be read, None if there is none."""
        with self._changed:
            if self._over or not self._waiting:
                return None
            number = self._waiting.popleft()
            self._busy[number] = time.monotonic()
            return number, self._asked[number]

    def _read(self, number: int, one: _Asked) -> PoolReport | None:
        found = Figures(type_name(type(one.pool)))
        parts = [] if one.library is None else one.library.parts(one.pool)
        if one.found == "by type" and (not parts or id(parts[0]) in self._claimed):
            return None
        self._claimed.update((id(part), part) for part in parts)
        self._parts[number] = tuple(map(id, parts))
        if one.library is not None and parts:
            one.library.read(found, parts)
        return self._report(one, found, supported=bool(parts))

    def _failed(self, one: _Asked, why: str) -> PoolReport:
        return self._report(one, Figures(type_name(type(one.pool))), error=why)

    def _report(
        self, one: _Asked, found: Figures, *, supported: bool = True, error: str | None = None
    ) -> PoolReport:
        name = one.name or f"{found.kind} {found.label}".rstrip()
        return {
            "name": self._masker.mask_text(name),
            "kind": found.kind,
            "supported": supported,
            "in_use": found.in_use,
            "idle": found.idle,
            "size": found.size,
            "limit": found.limit,
            "overflow": found.overflow,
            "waiting": found.waiting,
            "timeouts": found.timeouts,
            "saturation": found.saturation,
            "source": "private" if found.private else "public",
            "found": one.found,
            "error": error,
        }


def _named(reports: list[PoolReport]) -> list[PoolReport]:
    """Number those that have only their kind for a name, and others found by the same one."""
    counts = Counter(one["name"] for one in reports)
    numbers: Counter[str] = Counter()
    for one in reports:
        name = one["name"]
        if one["found"] == "by type" and (counts[name] > 1 or name == one["kind"]):
            numbers[name] += 1
            one["name"] = f"{name} {numbers[name]}"
    return reports
