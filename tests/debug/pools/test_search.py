"""Pools that nobody gave are found wherever they are, without running any code of what is looked at."""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib.util
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
import redis
import requests
import sqlalchemy
from starlette.applications import Starlette

from profkit.debug.pools import PoolReader, PoolReport, walk
from profkit.masking import masker

SHOP = "shop_that_is_searched"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Any]:
    """A module of the application."""
    module = ModuleType(SHOP)
    module.__file__ = str(tmp_path / "shop.py")
    sys.modules[SHOP] = module
    yield module
    del sys.modules[SHOP]
    module.__dict__.clear()
    gc.collect()


def search(reader: PoolReader | None = None) -> list[PoolReport]:
    reader = reader or PoolReader(within=20)
    reports, _ = reader.read({}, reader.search(), masker=masker)
    assert all(one["found"] == "by type" and one["supported"] for one in reports)
    return reports


def engine(name: str = "none.db") -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(f"sqlite:///{name}", pool_size=17, max_overflow=7)


def ours(reports: list[PoolReport]) -> list[str]:
    """The names of the pools that `engine` makes."""
    return sorted(one["name"] for one in reports if one["limit"] == 24)


def test_a_variable_of_a_module_names_it(shop: Any) -> None:
    shop.engine = engine()
    assert ours(search()) == [f"{SHOP}.engine"]


def test_the_state_of_an_application_names_it(shop: Any) -> None:
    shop.app = Starlette()
    shop.app.state.pool = engine()
    assert ours(search()) == ["app.state.pool"]


def _in_attributes(shop: Any) -> None:
    shop.services = SimpleNamespace(database=SimpleNamespace(connections={"primary": [engine()]}))


def _in_a_class(shop: Any) -> None:
    shop.Database = type("Database", (), {"engine": engine(), "__module__": SHOP})


def _in_a_closure(shop: Any) -> None:
    made = engine()
    shop.get = lambda: made


def _in_a_cache(shop: Any) -> None:
    shop.get = functools.lru_cache(engine)
    shop.get()


def _in_slots(shop: Any) -> None:
    kind = type("Slotted", (), {"__slots__": ("engine",)})
    shop.slotted = kind()
    shop.slotted.engine = engine()


@pytest.mark.parametrize("put", [_in_attributes, _in_a_class, _in_a_closure, _in_a_cache, _in_slots])
def test_it_is_found_behind_variables(shop: Any, put: Any) -> None:
    put(shop)
    assert ours(search()) == ["sqlalchemy.pool.impl.QueuePool 1"]


def test_it_is_found_in_what_tasks_and_threads_hold() -> None:
    class Worker:
        def __init__(self) -> None:
            self.engine, self.done = engine(), threading.Event()

        def run(self) -> None:
            self.done.wait(20)

    async def lifespan(ready: asyncio.Event, over: asyncio.Event) -> None:
        local = engine()
        ready.set()
        await over.wait()
        local.dispose()

    async def main() -> None:
        ready, over = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(lifespan(ready, over))
        await ready.wait()
        assert len(ours(search())) == 2
        over.set()
        await task

    worker = Worker()
    thread = threading.Thread(target=worker.run)
    thread.start()
    done = worker.done
    del worker
    asyncio.run(main())
    done.set()
    thread.join()


def test_what_is_inside_a_client_is_listed_once(shop: Any) -> None:
    shop.client = redis.Redis(max_connections=61)
    shop.same = redis.Redis(connection_pool=shop.client.connection_pool)
    shop.session = requests.Session()
    shop.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=3))
    shop.session.adapters["http://"].poolmanager.connection_from_url("http://127.0.0.1:1")
    reports = search()
    assert [one["name"] for one in reports if one["limit"] == 61] == [f"{SHOP}.client"]
    names = [one["name"] for one in reports if one["kind"].startswith(("urllib3", "requests"))]
    assert f"{SHOP}.session" in names
    held = {id(manager) for manager in (one.poolmanager for one in shop.session.adapters.values())}
    reader = PoolReader(within=20)
    found = [one.again() for one in reader.search().pools]
    assert held <= {id(one) for one in found}, "or the test shows nothing"


def test_what_is_given_is_not_listed_again(shop: Any) -> None:
    shop.engine = engine()
    reader = PoolReader(within=20)
    reports, _ = reader.read({"db": shop.engine}, reader.search(), masker=masker)
    assert [(one["name"], one["found"]) for one in reports if one["limit"] == 24] == [("db", "given")]


def test_what_was_found_is_not_kept_alive_and_searched_once_a_minute(shop: Any) -> None:
    shop.engine = engine()
    alive = weakref.ref(shop.engine)
    reader = PoolReader(within=20)
    assert ours(search(reader)) == [f"{SHOP}.engine"]
    shop.second = engine()
    assert ours(search(reader)) == [f"{SHOP}.engine"], "not yet"
    del shop.engine
    gc.collect()
    assert alive() is None
    assert ours(search(reader)) == []


def test_nothing_of_a_walk_is_left_for_the_collector(shop: Any) -> None:
    # It would keep alive what it met, and be gone through by the collections of the application.
    shop.Database = type("Database", (), {"engine": engine(), "__module__": SHOP})
    gc.disable()
    try:
        made = walk.Walk({id(sqlalchemy.Engine)})
        made.go()
        left = weakref.ref(made)
        del made
        assert left() is None
    finally:
        gc.enable()


def test_later_searches_are_not_waited_for(shop: Any, until: Any) -> None:
    reader = PoolReader(within=20, every=0.0)
    assert ours(search(reader)) == []
    shop.engine = engine()
    until(lambda: ours(search(reader)) == [f"{SHOP}.engine"])


class Loud(type):
    """A class whose every special method is an error."""

    def __getattribute__(cls, name: str) -> Any:
        raise AssertionError(name)

    def __hash__(cls) -> int:
        raise AssertionError("hash")

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("eq")

    def __instancecheck__(cls, other: object) -> bool:
        raise AssertionError("isinstance")


def test_no_code_of_what_is_looked_at_runs(shop: Any) -> None:
    class Stranger:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

        def __len__(self) -> int:
            raise AssertionError("len")

        def __iter__(self) -> Any:
            raise AssertionError("iter")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("eq")

        __hash__ = None  # type: ignore[assignment]

    class Strange(dict[str, object]):
        def __len__(self) -> int:
            raise AssertionError("len")

        def values(self) -> Any:
            raise AssertionError("values")

    shop.stranger = Stranger()
    shop.loud = Loud("loud", (), {"__module__": SHOP})
    shop.instance = Loud.__call__(shop.loud)
    shop.strange = Strange(inner=[engine()])
    assert len(ours(search())) == 1


def test_a_module_that_is_loaded_lazily_stays_so(tmp_path: Path) -> None:
    (tmp_path / "lazy_and_searched.py").write_text("import sys; sys.woken = True")
    spec = importlib.util.spec_from_file_location("lazy_and_searched", tmp_path / "lazy_and_searched.py")
    assert spec is not None and spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lazy_and_searched"] = module
    spec.loader.exec_module(module)
    try:
        search()
        assert not hasattr(sys, "woken")
    finally:
        del sys.modules["lazy_and_searched"]


def test_the_walk_is_bounded_and_says_so() -> None:
    code = """
import sqlalchemy
from profkit.debug.pools import walk
from profkit.debug.pools.search import Search

engine = sqlalchemy.create_engine("sqlite:///none.db")
data = [[[number] for number in range(900)] for _ in range(20)]
wide = [[sqlalchemy.create_engine("sqlite:///none.db")], *range(walk._WIDEST)]

def look():
    search = Search()
    search.run()
    found = sorted(one.name for one in search.pools if type(one.again()) is sqlalchemy.Engine)
    return search.report(), found

report, found = look()
print(report["complete"], 18_000 < report["objects"] < walk.MOST_MET, found)
data = [data, [[[number] for number in range(900)] for _ in range(300)]]
report, found = look()
print(report["complete"], report["objects"] < walk.MOST_MET * 1.1, found)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # What is in a very wide container is data; what is near is found first, however much there is.
    assert ran.stdout.splitlines() == ["True True ['__main__.engine']", "False True ['__main__.engine']"]


def test_it_is_found_after_gc_freeze(tmp_path: Path) -> None:
    code = (
        "import gc, sqlalchemy; from profkit.debug.pools.search import Search\n"
        "engine = sqlalchemy.create_engine('sqlite:///none.db')\n"
        "gc.freeze(); search = Search(); search.run()\n"
        "print([one.name for one in search.pools if one.name], search.report()['complete'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["['__main__.engine']", "True"]


def test_clients_of_one_kind_are_numbered(shop: Any) -> None:
    shop.clients = [httpx.Client(limits=httpx.Limits(max_connections=33)) for _ in range(2)]
    names = [one["name"] for one in search() if one["limit"] == 33]
    assert len(set(names)) == 2
    assert all(name.startswith("httpx.Client ") and name.split()[1].isdigit() for name in names)
    for client in shop.clients:
        client.close()


def test_a_search_that_fails_spoils_nothing_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As with a version of Python in which something that the walk asks for is gone.
    def fail(_: walk.Walk) -> None:
        raise AttributeError("gone")

    monkeypatch.setattr(walk.Walk, "go", fail)
    reader = PoolReader(within=20)
    for _ in range(2):
        found = reader.search()
        [report], _ = reader.read({"db": engine()}, found, masker=masker)
        assert (report["in_use"], report["error"]) == (0, None)
        told = found.report()
        assert told is not None and (told["objects"], told["complete"]) == (0, False)
    [record] = [one for one in caplog.records if one.name == "profkit"]
    assert record.getMessage() == "profkit: the search for pools failed: AttributeError"


def test_what_has_a_finalizer_is_looked_through_and_not_kept() -> None:
    class Holder:
        def __init__(self) -> None:
            self.inner = [engine]

        def __del__(self) -> None:
            pass

    engine = sqlalchemy.create_engine("sqlite://")
    made = walk.Walk({id(sqlalchemy.Engine)})
    following: list[object] = []
    holder = Holder()
    made._meet(holder, following)
    assert holder not in following
    assert holder.inner in following
    engine.dispose()
