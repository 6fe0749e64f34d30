"""C functions have no frame: their names come from the bytecode of their callers."""

from __future__ import annotations

import contextlib
import dis
import json
import threading
import time
import zlib
from types import CodeType
from typing import Any

import orjson
import pytest

from profkit.sampling.callsites import call_path, native_call


def calls(cursor: Any, rows: Any, self: Any) -> None:
    orjson.dumps(rows)  # 0
    cursor.execute("select 1", (1,))  # 1
    self.connection.cursor().fetchall()  # 2
    (
        self.session.execute(
            rows,
            1,
        )
    )  # 3
    time.sleep(0.1)
    ", ".join(rows)
    json.dumps(rows)
    len(rows)
    rows[0].sort(key=len)
    zlib.compress(*rows)
    dict.fromkeys(rows)
    super(type, self).mro()
    with self.lock:
        pass


def names_of(code: CodeType) -> dict[str, str]:
    found: dict[str, str] = {}
    for instruction in dis.get_instructions(code):
        if instruction.opname == "PRECALL":
            continue
        call = native_call(code, instruction.offset, globals())
        if call:
            found[call.name] = call.module
    return found


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("orjson.dumps", "orjson"),
        ("cursor.execute", ""),
        ("self.connection.cursor", ""),
        ("self.connection.cursor().fetchall", ""),
        ("self.session.execute", ""),
        ("time.sleep", "time"),
        ("str.join", ""),
        ("len", "builtins"),
        ("rows[].sort", ""),
        ("zlib.compress", "zlib"),
        ("dict.fromkeys", "builtins"),
        ("self.lock.__enter__", ""),
        ("(...).__exit__", ""),
    ],
)
def test_a_call_is_named_as_it_is_written(name: str, module: str) -> None:
    found = names_of(calls.__code__)
    assert name in found
    assert found[name] == module or not module


def test_a_python_function_is_no_native_call() -> None:
    assert "json.dumps" not in names_of(calls.__code__)


def test_what_is_no_call_has_no_name() -> None:
    def no_call(a: int) -> int:
        return a + 1

    assert names_of(no_call.__code__) == {}
    assert call_path(no_call.__code__, 10_000) == ()


def test_naming_runs_no_foreign_code() -> None:
    class Trap:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    def use() -> None:
        trap.method()  # type: ignore[name-defined]  # noqa: F821

    path = {call_path(use.__code__, one.offset) for one in dis.get_instructions(use.__code__)}
    assert ("trap", "method") in path
    for instruction in dis.get_instructions(use.__code__):
        native_call(use.__code__, instruction.offset, {"trap": Trap()})


def test_a_leaf_in_a_c_function_gets_its_name(captured: Any) -> None:
    lock = threading.Lock()
    lock.acquire()

    @captured.profiler.profile
    def blocked() -> None:
        lock.acquire(timeout=0.1)
        time.sleep(0.1)
        data = [list(range(1000))] * 200
        until = time.perf_counter() + 0.15
        while time.perf_counter() < until:
            orjson.dumps(data)

    with contextlib.suppress(RuntimeError):
        blocked()
    profile = captured.one()
    seconds: dict[tuple[str, str], float] = {}
    for sample in profile.samples:
        frame, _ = next(profile.stack(sample.node))
        seconds[frame.qualname, frame.module] = seconds.get((frame.qualname, frame.module), 0) + sample.wall
    assert seconds["lock.acquire", ""] == pytest.approx(0.1, abs=0.03)
    assert seconds["time.sleep", "time"] == pytest.approx(0.1, abs=0.03)
    assert seconds["orjson.dumps", "orjson"] == pytest.approx(0.15, abs=0.05)
