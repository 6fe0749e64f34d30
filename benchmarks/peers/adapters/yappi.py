"""yappi: traces every call in the process, by the wall clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

from starlette.types import ASGIApp

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.stacks import bare_name

R = TypeVar("R")


class Yappi(Peer):
    """There is nothing to put around an operation: it is a function, as all others."""

    def start(self) -> None:
        self._yappi: Any = import_module("yappi")
        self._yappi.set_clock_type("wall")
        self._yappi.start()
        self._operation = ""

    def stop(self) -> None:
        self._yappi.stop()

    def wrap(self, function: Callable[[], R]) -> Callable[[], R]:
        self._operation = function.__name__
        return function

    def wrap_async(self, function: Callable[[], Awaitable[R]]) -> Callable[[], Awaitable[R]]:
        self._operation = function.__name__
        return function

    def middleware(self, app: ASGIApp) -> ASGIApp:
        return app

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        """Each function's total time, of that of the operation's function.

        There is one list for the process: what ran side by side adds up to more, and what is foreign is there too.
        """
        totals = dict.fromkeys([*names, self._operation], 0.0)
        for function in self._yappi.get_func_stats():
            name = bare_name(function.name)
            if name in totals:
                totals[name] += function.ttot
        return {name: totals[name] / totals[self._operation] for name in names}
