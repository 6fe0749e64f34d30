"""Names what a frame was calling when that was no Python function, from its bytecode.

A C function has no frame. The instruction being executed is the call; the loads that start at the same place in the
source name what is called, as written there: `orjson.dumps`, `cursor.execute`. Where the first of these names is
found in the module's globals or the builtins, the callee itself tells its module.
"""

from __future__ import annotations

import builtins
import dis
import inspect
from collections.abc import Mapping
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

_BASES = frozenset({
    "LOAD_NAME", "LOAD_GLOBAL", "LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_DEREF", "LOAD_CLASSDEREF",
    "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF",
})  # fmt: skip
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_SUPER_ATTRIBUTES = frozenset({"LOAD_SUPER_ATTR"})


class NativeCall(NamedTuple):
    """`name` as written at the call site, `module` of the callee or "" where it cannot be known from outside."""

    name: str
    module: str


def native_name(called: object) -> str:
    """Return `module.name` of a callable in which no Python function runs, "" of any other."""
    routine: object = (
        called if inspect.isroutine(called) or isinstance(called, type) else type(called).__call__
    )
    if isinstance(routine, type) or hasattr(getattr(routine, "__func__", routine), "__code__"):
        return ""
    named = called if hasattr(called, "__qualname__") else type(called)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", "")
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else str(name)


def native_call(code: CodeType, offset: int, scope: Mapping[str, object]) -> NativeCall | None:
    """Return what `code` calls at `offset` if that is no Python function; `scope` is its module's globals."""
    path = call_path(code, offset)
    if not path:
        return None
    callee = _find(path, scope)
    if isinstance(callee, FunctionType):  # the look fell between two calls
        return None
    return NativeCall(".".join(path), _module_of(callee))


def call_path(code: CodeType, offset: int) -> tuple[str, ...]:
    """Return the dotted name called by the instruction at `offset`, in parts; empty if it is no call."""
    instructions = _instructions(code)
    index = next((index for index, one in enumerate(instructions) if one.offset >= offset), None)
    if index is None:
        return ()
    call = instructions[index]
    if call.opname == "BEFORE_WITH" and index:
        manager = _path_before(instructions, index, _start(instructions[index - 1]))
        return (*(manager or ("(...)",)), "__enter__")
    if not call.opname.startswith("CALL"):
        return ()
    if index and _is_none(instructions[index - 1]) and _is_none(instructions[index - 3]):
        return ("(...)", "__exit__")  # the end of a with block: three times None, and a call
    return _path_before(instructions, index, _start(call))


def _is_none(instruction: dis.Instruction) -> bool:
    return instruction.opname == "LOAD_CONST" and instruction.argval is None


@lru_cache(maxsize=256)
def _instructions(code: CodeType) -> tuple[dis.Instruction, ...]:
    """Decode `code`; on 3.11 a PRECALL, which may itself run the C function, counts as the CALL behind it."""
    return tuple(one for one in dis.get_instructions(code) if one.opname != "PRECALL")


def _start(instruction: dis.Instruction) -> tuple[int | None, int | None]:
    positions = instruction.positions
    return (positions.lineno, positions.col_offset) if positions else (None, None)


def _path_before(
    instructions: tuple[dis.Instruction, ...], index: int, start: tuple[int | None, int | None]
) -> tuple[str, ...]:
    """Join the loads before `index` that begin where the call begins in the source."""
    path: list[str] = []
    if None in start:
        return ()
    for instruction in instructions[:index]:
        if _start(instruction) != start:
            continue
        name, argument = instruction.opname, instruction.argval
        if name in _BASES:
            path = [str(argument)]
        elif name == "LOAD_CONST" and not path and not isinstance(argument, CodeType):
            path = [type(argument).__name__]
        elif name in _SUPER_ATTRIBUTES:
            path = ["super()", str(argument)]
        elif name in _ATTRIBUTES:
            # A chain that goes on below its first line starts, for the interpreter, at the attribute.
            path = [*(path or ["(...)"]), str(argument)]
        elif path and name.startswith("CALL"):
            path[-1] += "()"
        elif path and name.startswith("BINARY_SUBSCR"):
            path[-1] += "[]"
    return tuple(path)


def _find(path: tuple[str, ...], scope: Mapping[str, object]) -> object:
    """Follow a dotted name through modules and classes by their dictionaries, so that no foreign code runs."""
    found = scope.get(path[0], vars(builtins).get(path[0]))
    for name in path[1:]:
        if isinstance(found, ModuleType):
            found = vars(found).get(name)
        elif isinstance(found, type):
            found = next((vars(base)[name] for base in type.mro(found) if name in vars(base)), None)
        else:
            return None
    return found


def _module_of(callee: object) -> str:
    """Return the module that defines a function, a class, or the class that a method belongs to."""
    owner = getattr(callee, "__objclass__", callee)
    module = getattr(owner, "__module__", None)
    return module if isinstance(module, str) else ""
