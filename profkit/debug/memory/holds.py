"""What stops every other thread: calls that keep the interpreter to themselves are timed, and refused if too long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from operator import call
from typing import Any, TypeVar, cast

import psutil

from profkit_storage.errors import ProfkitError

T = TypeVar("T")
LOOK_LIMIT = 0.04
"""Seconds for which a look may stop the process; a job that was asked for by POST may for longer."""

_REMEMBERED = 300.0
_BLOCK = 100


class TooLarge(ProfkitError):
    """What was asked for would stop this process for too long; the message says for how long and what is allowed."""


def held(work: Callable[[], T]) -> tuple[T, float]:
    """Return what a call gives, and for how many seconds it kept all other threads from running Python.

    No thread gets a turn between the clock and the call, since all three are made by one `map`; if the call itself
    lets others run (finalizers of a collection may), the seconds are the most it can have been.
    """
    steps = cast("tuple[Callable[[], Any], ...]", (time.perf_counter, work, time.perf_counter))
    began, result, ended = map(call, steps)
    return cast("T", result), ended - began


def allocated_blocks() -> int:
    """Return how many blocks of memory Python's objects have, as a cheap measure of how many objects there may be."""
    blocks = sys.getallocatedblocks()
    # Zero where PYTHONMALLOC=malloc leaves them to the C library.
    return blocks if blocks > 1000 else psutil.Process().memory_info().rss // _BLOCK


class Cost:
    """How long a call stops the process for each unit of work, foretold from how long it did the last time.

    `action` and `unit` are words for the refusal; `first` is the seconds a unit takes as long as nothing was measured
    within five minutes. The same number of objects takes ten times as long where they lie scattered in memory.
    """

    def __init__(self, action: str, unit: str, first: float) -> None:
        self._action = action
        self._unit = unit
        self._first = first
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Know nothing but the first guess."""
        self._rate = self._first
        self._learned = -_REMEMBERED

    def learn(self, units: int, seconds: float) -> None:
        """Take what was measured, half of it: one measurement may be off, and few units say little of many."""
        self._rate = (self._rate + seconds / max(units, 1)) / 2
        self._learned = time.monotonic()

    def expected(self, units: int) -> float:
        """Return the seconds that so many units will take."""
        remembered = time.monotonic() - self._learned < _REMEMBERED
        return units * (self._rate if remembered else self._first)

    def check(self, units: int, limit: float) -> None:
        """Raise `TooLarge` if so many units would take more than `limit` seconds."""
        expected = self.expected(units)
        if expected > limit:
            raise TooLarge(
                f"{units:,} {self._unit}: {self._action} would stop this process for about {expected:.2g} s, "
                f"and at most {limit:g} s is allowed here"
            )
