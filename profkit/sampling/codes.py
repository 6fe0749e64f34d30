"""Places in code as small integers, so that a tick compares and stores numbers only.

A place is a code object's index in the table, shifted, and the offset of the instruction being executed.
Hashing code objects themselves is dear (4.8 times the CPU at 200 operations in flight, against 1.3 with ids): the
table keeps a reference to each, which keeps its id valid.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import NamedTuple

from profkit.sampling.origins import is_application

OFFSET_BITS = 32
_OFFSET_MASK = (1 << OFFSET_BITS) - 1
PASSING = -1
"""The index of profkit's code that calls the application's: left out of stacks, what it calls is not."""
INTERNAL = -2
"""The index of profkit's other code: left out of stacks with all that it calls."""
_PASSING_MODULES = (
    "profkit.wrappers", "profkit.generators", "profkit.handover", "profkit.asgi", "profkit.websockets", "profkit.wsgi",
    "profkit.requests", "profkit.outgoing", "profkit.debug",
)  # fmt: skip
_OWN_MODULES = ("profkit.", "profkit_storage.")
_HOOKING_MODULE = "pyinstrument.stack_sampler"
"""Calls what a hook of pyinstrument's engine is for, ours among others."""
_MAX_CODES = 200_000
"""A bound for programs that compile code all the time; what comes later is shown as `[other code]`."""


_JOINING = {
    "asyncio.tasks": {
        "_wait", "wait", "wait_for", "as_completed.<locals>._wait_for_one", "_AsCompletedIterator._wait_for_one",
    },
    "asyncio.taskgroups": {"TaskGroup.__aexit__", "TaskGroup._aexit"},
    "asyncio.threads": {"to_thread"},
    "anyio._backends._asyncio": {"TaskGroup.__aexit__", "AsyncIOBackend.run_sync_in_worker_thread"},
    "concurrent.futures._base": {
        "Future.result", "Future.exception", "wait", "as_completed", "_result_or_cancel",
        "Executor.map.<locals>.result_iterator",
    },
    "concurrent.futures.thread": {"ThreadPoolExecutor.shutdown"},
    "threading": {"Thread.join", "Thread._wait_for_tstate_lock"},
}  # fmt: skip
"""Functions that wait for tasks and threads which their caller has started."""
_LOOP_MODULES = ("asyncio.events", "asyncio.base_events", "asyncio.runners", "selectors", "uvloop")
"""Below their frames is whoever runs the event loop, above them the step that it runs."""


class Code(NamedTuple):
    """One function; if `code` is None a C function, or a synthetic frame if there is no module either."""

    code: CodeType | None
    module: str
    name: str


class CodeTable:
    """Code objects by index. Written by the sampler's side only, under its lock; read by anyone.

    `joining`, `loops`, `callbacks` and `applications` are the indexes of what waits for branches, runs event loops,
    runs one of their callbacks, and is the application's own code.
    """

    def __init__(self) -> None:
        self.indexes: dict[int, int] = {}
        self.entries: list[Code] = []
        self.joining: set[int] = set()
        self.loops: set[int] = set()
        self.callbacks: set[int] = set()
        self.applications: set[int] = set()
        self._own: list[CodeType] = []
        self._synthetic: dict[str, int] = {}

    def add(self, frame: FrameType) -> int:
        """Return the index of `frame`'s code, which is not in the table yet."""
        code = frame.f_code
        module = frame.f_globals.get("__name__", "")
        module = module if isinstance(module, str) else ""
        if module.startswith(_OWN_MODULES):
            self._own.append(code)
            index = PASSING if module.startswith(_PASSING_MODULES) else INTERNAL
        elif module == _HOOKING_MODULE:
            self._own.append(code)
            index = PASSING
        elif len(self.entries) >= _MAX_CODES:
            return self.synthetic("[other code]") >> OFFSET_BITS
        else:
            index = len(self.entries)
            self.entries.append(Code(code, module, code.co_qualname))
            self._mark(index, code, module)
        self.indexes[id(code)] = index
        return index

    def _mark(self, index: int, code: CodeType, module: str) -> None:
        if code.co_qualname in _JOINING.get(module, ()):
            self.joining.add(index)
        elif module.startswith(_LOOP_MODULES):
            self.loops.add(index)
            if code.co_qualname == "Handle._run":
                self.callbacks.add(index)
        elif is_application(code.co_filename):
            self.applications.add(index)

    def synthetic(self, name: str) -> int:
        """Return the place of a frame that is no code, such as `[await]` or `[thread MainThread]`."""
        index = self._synthetic.get(name)
        if index is None:
            index = self._synthetic[name] = len(self.entries)
            self.entries.append(Code(None, "", name))
        return index << OFFSET_BITS

    def native(self, name: str) -> int:
        """Return the place of a C function, `module.name`, that was called by no Python function."""
        index = self._synthetic.get(name)
        if index is None:
            module = name.rpartition(".")[0]
            index = self._synthetic[name] = len(self.entries)
            self.entries.append(Code(None, module if module in sys.modules else "builtins", name))
        return index << OFFSET_BITS

    def resolve(self, place: int) -> tuple[int, int]:
        """Return (index into `entries`, instruction offset in bytes) of a place."""
        return place >> OFFSET_BITS, place & _OFFSET_MASK
