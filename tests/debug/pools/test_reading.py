"""One pool that raises or hangs spoils and delays nothing."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy

from profkit.debug.pools import PoolReader, PoolReport
from profkit.masking import masker

One = Callable[[object], dict[str, Any]]
KEPT: list[object] = []


class Other:
    def __repr__(self) -> str:
        raise AssertionError("never called")

    def __getattr__(self, name: str) -> object:
        raise AssertionError("never called")


class Loud(type):
    def __hash__(cls) -> int:
        raise AssertionError("never called")

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("never called")


class Pretender(Other, metaclass=Loud):
    """A proxy that says it is an engine."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise AssertionError("never called")


def read(pools: dict[str, object], reader: PoolReader | None = None) -> list[PoolReport]:
    reports, _ = (reader or PoolReader()).read(pools, masker=masker)
    return reports


def engine(pool: type[sqlalchemy.Pool] = sqlalchemy.QueuePool) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine("sqlite:///none.db", poolclass=pool)


def test_what_is_not_known_says_so(one: One) -> None:
    mocked = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    kinds = (Other(), "Other"), (Pretender(), "Pretender"), (mocked, "httpx.Client"), (None, "NoneType")
    for pool, kind in kinds:
        found = one(pool)
        assert found["kind"].endswith(kind)
        assert (found["supported"], found["in_use"], found["error"]) == (False, None, None)
    mocked.close()


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_pool_that_raises_is_shown_and_spoils_nothing(error: type[BaseException]) -> None:
    class Broken(sqlalchemy.QueuePool):
        def checkedout(self) -> int:
            raise error("lost postgresql://u:hunter2@h/db")

    first, second = read({"a": engine(Broken), "password=hunter2": engine()})
    assert first["error"] == f"{error.__name__}: lost postgresql://u:***@h/db"
    assert (first["in_use"], first["supported"]) == (None, True)
    assert (second["name"], second["in_use"], second["error"]) == ("password=***", 0, None)


class Hanging(sqlalchemy.QueuePool):
    """Answers when `let_go` is set; counts how often it was asked."""

    let_go = threading.Event()
    asked: int = 0

    def size(self) -> int:
        self.asked += 1
        self.let_go.wait(30)
        return super().size()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    Hanging.let_go.clear()
    yield Hanging.let_go
    Hanging.let_go.set()


def our_threads() -> int:
    return sum(thread.name == "profkit-debug" for thread in threading.enumerate())


def test_pools_that_hang_delay_neither_the_rest_nor_the_answer(let_go: threading.Event, until: Any) -> None:
    before = our_threads()
    reader = PoolReader(within=2.0, patience=0.05)
    hanging = {f"h{n}": engine(Hanging) for n in range(3)}
    pools = {"first": engine(), **hanging, "last": engine()}
    began = time.perf_counter()
    first, *hung, last = read(pools, reader)
    assert time.perf_counter() - began < 6
    assert first["in_use"] == last["in_use"] == 0
    assert {one["error"] for one in hung} == {"does not answer within 2 s"}
    assert {one["kind"] for one in hung} == {"sqlalchemy.engine.base.Engine"}
    began = time.perf_counter()
    first, *hung, last = read(pools, reader)
    assert time.perf_counter() - began < 1.9, "they are not asked again"
    assert last["in_use"] == 0
    assert all(str(one["error"]).startswith("has not answered for") for one in hung)
    assert {one.pool.asked for one in hanging.values()} == {1}
    until(lambda: our_threads() - before <= 3)
    let_go.set()
    until(lambda: our_threads() <= before)
    assert [one["error"] for one in read(pools, reader)] == [None] * 5


def test_what_cannot_be_read_is_shown_once_though_it_is_found_too(
    let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(httpx.Client):
        @property
        def _transport(self) -> httpx.BaseTransport:
            raise RuntimeError("no")

        @_transport.setter
        def _transport(self, transport: httpx.BaseTransport) -> None: ...

    given: dict[str, object] = {"hanging": engine(Hanging), "refusing": Refusing()}
    monkeypatch.setattr(sys.modules[__name__], "KEPT", list(given.values()))  # where the search finds them
    reader = PoolReader(within=1.0, patience=0.05)
    for _ in range(2):
        reports, _ = reader.read(given, reader.search(), masker=masker)
        names = [one["name"] for one in reports if "Engine" in one["kind"] or "Refusing" in one["kind"]]
        assert names == ["hanging", "refusing"]
        assert [one["kind"] for one in reports if "Hanging" in one["kind"]] == []
    let_go.set()


def test_threads_that_hang_are_at_most_eight(let_go: threading.Event) -> None:
    before = our_threads()
    reader = PoolReader(within=1.0, patience=0.02)
    pools = {f"h{n}": engine(Hanging) for n in range(20)}
    began = time.perf_counter()
    for _ in range(2):
        errors = [str(one["error"]) for one in read(pools, reader)]
        assert our_threads() - before <= 8
        assert sum("not asked" in one for one in errors) == 12
        assert time.perf_counter() - began < 8
    assert sum("has not answered" in one for one in errors) == 8


def test_many_pools_take_one_thread() -> None:
    pools: dict[str, object] = {f"p{n}": engine() for n in range(130)}
    reports, left_out = PoolReader().read(pools, masker=masker)
    assert [one["name"] for one in reports] == [f"p{n}" for n in range(100)]
    assert left_out == 30
    assert all(one["error"] is None for one in reports)


def test_no_library_is_imported() -> None:
    code = (
        "import sys; from profkit.debug.pools import PoolReader; from profkit.masking import masker\n"
        "reader = PoolReader(within=20); [report], _ = reader.read({'a': 1}, reader.search(), masker=masker)\n"
        "libraries = 'sqlalchemy', 'httpx', 'redis', 'asyncpg', 'psycopg_pool', 'aiohttp', 'urllib3', 'pymongo',"
        " 'aio_pika', 'requests', 'openai'\n"
        "print(report['supported'], [one for one in libraries if one in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "[]"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_reads_anew() -> None:
    code = """
import os, threading
import sqlalchemy
from profkit.debug.pools import PoolReader
from profkit.masking import masker

held = threading.Event()

class Hanging(sqlalchemy.QueuePool):
    def size(self):
        if not held.is_set():
            held.wait(60)
        return super().size()

reader = PoolReader(within=0.2)
pool = sqlalchemy.create_engine("sqlite:///none.db", poolclass=Hanging)
print(reader.read({"db": pool}, masker=masker)[0][0]["error"], flush=True)
child = os.fork()
if child == 0:
    held = threading.Event()
    held.set()
    print(reader.read({"db": pool}, reader.search(), masker=masker)[0][0]["in_use"], flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.splitlines() == ["does not answer within 0.2 s", "0"], ran.stderr


def test_one_that_hangs_keeps_no_other_alive(let_go: threading.Event) -> None:
    reader = PoolReader(within=0.3, patience=0.05)
    pools = {"hangs": engine(Hanging), "goes": engine()}
    read(pools, reader)
    goes = weakref.ref(pools.pop("goes"))
    gc.collect()
    assert goes() is None
