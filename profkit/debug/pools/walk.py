"""A walk over what module variables, tasks and threads refer to, to find objects of some types.

`gc.get_objects` would find every one, but it holds the GIL for 10 ms in an application of middle size already. This
holds it for some objects at a time, and its size is bounded. It asks the interpreter what an object refers to, which
runs none of their code; but what the application drops at that moment may die here. Objects that have `__del__` are
not kept for longer than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from functools import partial
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Final, cast
from weakref import ReferenceType

from profkit.debug.pools.figures import bases_of
from profkit.sampling.loops import let_go, loops_with_tasks
from profkit.sampling.origins import is_application

MOST_MET: Final = 150_000
_OWN_SHARE = 0.6
"""Of that many, for what the application's own modules, tasks and threads refer to: it comes first."""
MOST_FOUND: Final = 200
_DEEPEST = 20
"""Objects that have `__del__`, one inside the other, that are not kept."""
_WIDEST = 1_000
"""A container with more in it holds the application's data, and is passed over."""
_AT_A_TIME = 16
_MOST_AT_ONCE = 20_000
"""So many objects wait to be looked at: a collection goes through the list of them, and everything stands still."""
_WORK, _PAUSE = 0.002, 0.0001
"""Seconds after which other threads have their turn."""
_CONTAINERS = (dict, list, tuple, set, frozenset, deque)
_ENDS = (
    asyncio.Future,  # the last reference to one that failed is dropped by its own loop, which tells of it
    asyncio.Task,
    BaseException,
    CodeType,
    FrameType,
    ModuleType,
    ReferenceType,
    TracebackType,
    property,
)
_variables: Callable[[ModuleType], dict[str, object]] = vars(ModuleType)["__dict__"].__get__
_module: Callable[[type], object] = vars(type)["__module__"].__get__


def modules() -> tuple[dict[str, dict[str, object]], dict[str, dict[str, object]]]:
    """Return the variables of the application's modules by name, and of the packages it uses.

    A module that is loaded lazily is not asked for anything, so it stays as it is.
    """
    own: dict[str, dict[str, object]] = {}
    packages: dict[str, dict[str, object]] = {}
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if not _derives(type(module), ModuleType) or _is_standard(top):
            continue
        variables = _variables(module)
        file = variables.get("__file__")
        ours = name == "__main__" or (type(file) is str and is_application(file))
        (own if ours else packages)[name] = variables
    return own, packages


def _derives(kind: type, *wanted: type) -> bool:
    """Tell whether a class is derived from one of others; to compare them could run its metaclass's code."""
    ids = {id(one) for one in wanted}
    return any(id(base) in ids for base in bases_of(kind))


def _is_standard(top: str) -> bool:
    return top in sys.stdlib_module_names or top in {"profkit", "profkit_storage"}


class Walk:
    """The objects `found` whose types have one of the ids `wanted`, among all that it `met`, each once.

    The application's own come first, and of these what is nearest to its modules' variables. It is not `complete` if
    there is more than it may meet.
    """

    def __init__(self, wanted: set[int], *, most: int = MOST_MET) -> None:
        self.found: list[object] = []
        self.met = 0
        self.complete = True
        self._wanted = wanted
        self._most = most
        self._passes: dict[int, tuple[type, Callable[[object], bool]]] = {}
        self._finalized: set[int] = set()
        self.own, self.packages = modules()
        self._seen = {id(one) for one in (*self.own.values(), *self.packages.values())}

    def go(self) -> None:
        """Walk; it takes up to some tenths of a second."""
        with _roots() as roots:
            self._go([*self.own.values(), *roots], int(self._most * _OWN_SHARE))
            self._go([*self.packages.values()], self._most)

    def _go(self, level: list[object], most: int) -> None:
        while level:
            level = self._next(level, most)

    def _next(self, level: list[object], most: int) -> list[object]:
        """Return what the objects of one level refer to, of what has not been seen."""
        following: list[object] = []
        turn = time.perf_counter()
        for start in range(0, len(level), _AT_A_TIME):
            some = level[start : start + _AT_A_TIME]
            for one in gc.get_referents(*some):
                if gc.is_tracked(one) and id(one) not in self._seen:
                    self._seen.add(id(one))
                    self.met += 1
                    self._meet(one, following)
            if self.met >= most or len(self.found) >= MOST_FOUND:
                self.complete = False
                return []
            if time.perf_counter() - turn > _WORK:
                time.sleep(_PAUSE)
                turn = time.perf_counter()
        return following

    def _meet(self, one: object, following: list[object], depth: int = 0) -> None:
        kind = type(one)
        if id(kind) in self._wanted:
            self.found.append(one)
        known = self._passes.get(id(kind))
        if known is None:
            known = self._passes[id(kind)] = kind, self._way(kind)
        if not known[1](one):
            return
        if id(kind) in self._finalized and depth < _DEEPEST:
            # Not kept: what the application drops meanwhile is to die there, and not here.
            for inner in gc.get_referents(one):
                if gc.is_tracked(inner) and id(inner) not in self._seen:
                    self._seen.add(id(inner))
                    self.met += 1
                    self._meet(inner, following, depth + 1)
        elif len(following) < _MOST_AT_ONCE:
            following.append(one)
        else:
            self.complete = False

    def _way(self, kind: type) -> Callable[[object], bool]:
        """Return what tells whether the walk goes on through an object of a type."""
        if any("__del__" in _namespace(base) for base in bases_of(kind)):
            self._finalized.add(id(kind))
        if _derives(kind, *_ENDS):
            return _never
        if kind is FunctionType:
            return _is_closure
        if _derives(kind, type):
            return partial(_is_of, self.own)
        container = next((one for one in _CONTAINERS if _derives(kind, one)), None)
        return _always if container is None else _narrow(container)


_namespace: Callable[[type], Mapping[str, object]] = vars(type)["__dict__"].__get__
"""What a class itself has; its metaclass is not asked."""


def _never(_: object) -> bool:
    return False


def _always(_: object) -> bool:
    return True


def _is_of(modules: Mapping[str, object], kind: object) -> bool:
    """Tell whether a class is of one of some modules. No method: a walk must end with its last reference."""
    module = _module(cast("type", kind))
    return type(module) is str and module in modules


def _is_closure(function: object) -> bool:
    return cast("FunctionType", function).__closure__ is not None


def _narrow(container: type) -> Callable[[object], bool]:
    length: Callable[[object], int] = vars(container)["__len__"]
    return lambda one: length(one) <= _WIDEST


@contextlib.contextmanager
def _roots() -> Generator[list[object]]:
    """Give the coroutines of all tasks, and the threads."""
    tasks = {loop: list(asyncio.all_tasks(loop)) for loop in loops_with_tasks()}
    roots: list[object] = [task.get_coro() for some in tasks.values() for task in some]
    roots += threading.enumerate()
    try:
        yield roots
    finally:
        for loop, some in tasks.items():
            let_go(loop, some)
