"""Where everything alive hangs in the end: modules, local variables of what runs, event loops."""

from __future__ import annotations

import inspect
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from itertools import compress
from operator import methodcaller
from types import FrameType
from typing import Any, Literal, NamedTuple, cast

from profkit.debug.memory.typenames import own_name, type_name
from profkit.sampling.loops import loops_with_tasks

RootKind = Literal["module", "frame", "event loop"]
_MOST_FRAMES = 500
_TRIES = 10
_TURN = 0.0001
_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_MOST_REFERENCES = 20
_MOST_LOCALS = 1000
_SHARING = frozenset({"locals", "vars", "dir", "eval", "exec", "f_locals", "_getframe", "currentframe"})
"""Names by which a function may have got hold of the dict of its own variables."""


class Root(NamedTuple):
    """A root, its type's and its own name, and what it holds: names of local variables are of a frame's."""

    kind: RootKind
    type: str
    name: str
    held: list[tuple[str | None, object]]


def roots() -> Iterator[Root]:
    """Yield every root; what one holds should not be kept longer than it takes to look at it."""
    for module in cast("tuple[object, ...]", tuple(sys.modules.values())):
        if module is not None:  # a name that must not be imported
            yield Root("module", type_name(type(module)), own_name(module) or "?", [(None, module)])
    for loop in loops_with_tasks():
        kind = type_name(type(loop))
        yield Root("event loop", kind, kind, [(None, loop)])
    yield from _frames()


def _frames() -> Iterator[Root]:
    """Yield what runs in other threads than this one, whose locals are of profkit."""
    stacks: list[list[FrameType]] = []
    for _ in range(_TRIES):
        time.sleep(_TURN)  # a whole turn is left then, in which no other thread goes on
        stacks = _stacks()
        if not any(_is_cut(stack[-1]) for stack in stacks):
            break
    while stacks:
        for frame in stacks.pop():
            held = _locals(frame)
            if held:
                yield Root("frame", "builtins.frame", frame.f_code.co_qualname, held)


def _stacks() -> list[list[FrameType]]:
    """Return the frames of each thread, the innermost first."""
    this = threading.get_ident()
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented
    stacks: list[list[FrameType]] = []
    for thread, innermost in frames.items():
        if thread != this:
            stack = [innermost]
            while (outer := stack[-1].f_back) is not None and len(stack) < _MOST_FRAMES:
                stack.append(outer)
            stacks.append(stack)
    return stacks


def _is_cut(outermost: FrameType) -> bool:
    """Tell whether a coroutine or generator was suspended while its callers were looked for; it has none then."""
    return bool(outermost.f_code.co_flags & _SUSPENDED)


def _locals(frame: FrameType) -> list[tuple[str | None, object]]:
    """Return a function's local variables; those of a class's body or of a module are found elsewhere.

    Before 3.13 Python makes a dict for this, one for each frame, and keeps it as long as the frame: it is emptied, so
    that nothing lives longer for it. A frame whose dict may be in use, by a debugger or since it calls `locals`, is
    left alone.
    """
    code = frame.f_code
    if not code.co_flags & inspect.CO_OPTIMIZED or frame.f_trace is not None:
        return []
    if sys.version_info < (3, 13) and not _SHARING.isdisjoint(code.co_names):
        return []
    found: Any = frame.f_locals
    held: list[tuple[str | None, object]] = list(found.items())[:_MOST_LOCALS]
    if sys.version_info < (3, 13):
        # It would keep the locals; a function that has asked for it as well needs them.
        _clear_if_alone(found, _REFERENCES)
    return held


def _clear_if_alone(found: dict[str, object], most: int) -> None:
    """Empty a dictionary that has at most so many references, all in C: in between nobody else runs."""
    few = map(most.__ge__, map(sys.getrefcount, (found,)))
    deque(map(methodcaller("clear"), compress((found,), few)), 0)


def _references_if_alone() -> int:
    """Return how many references `_clear_if_alone` sees of a frame's locals that nobody else has."""

    def suspended() -> Generator[None]:
        some = 0
        yield
        del some

    for most in range(_MOST_REFERENCES):
        running = suspended()
        next(running)
        found: Any = cast("Any", running).gi_frame.f_locals
        _clear_if_alone(found, most)
        if not found:
            return most
    return 0


_REFERENCES = _references_if_alone() if sys.version_info < (3, 13) else 0
