"""The newest profiles of a store: what is shown when there is not time enough, and at the ends of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import DiagnosticEndpoints, TokenAuth, stored
from profkit.debug.stored import find
from profkit_storage import ProfileEntry, ProfileQuery
from profkit_storage.memory import MemoryObjects, MemoryStorage
from profkit_storage.ulid import new_ulid

Headers = Callable[..., dict[str, str]]


class Clock:
    """Time that passes only when the store is read."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowStore(MemoryStorage):
    """A store whose listing takes 10 ms an entry, by the clock given."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def scan(self, *args: Any, **options: Any) -> Iterator[ProfileEntry]:
        for entry in super().scan(*args, **options):
            self.clock.now += 0.01
            yield entry


@pytest.fixture
def slow_store(make_profile: Any, monkeypatch: pytest.MonkeyPatch) -> SlowStore:
    """100 profiles, one every ten seconds: op00 is the newest."""
    clock = Clock()
    monkeypatch.setattr(stored, "monotonic", clock)
    store = SlowStore(clock)
    now = datetime.now(UTC)
    for number in range(100):
        start_ns = int((now - timedelta(seconds=10 * number)).timestamp() * 1e9)
        store.put(make_profile(id=new_ulid(start_ns), start_ns=start_ns, operation=f"op{number:02}"))
    return store


def test_without_time_for_all_the_newest_are_still_the_find(slow_store: SlowStore) -> None:
    found = find(slow_store, ProfileQuery(), 4, seconds=0.9)
    names = [entry.operation for entry in found.entries]
    assert names == [f"op{number:02}" for number in range(len(names))]
    assert len(names) == 4
    assert slow_store.clock.now <= 0.95


def test_a_window_that_was_not_read_to_its_end_is_not_searched(slow_store: SlowStore) -> None:
    found = find(slow_store, ProfileQuery(), 100, seconds=0.3)
    assert found.partial
    assert found.more
    names = [entry.operation for entry in found.entries]
    assert names == [f"op{number:02}" for number in range(len(names))]
    oldest = min(entry.start_ns for entry in found.entries) if names else None
    searched = found.searched_since.timestamp() * 1e9
    assert oldest is None or searched <= oldest
    left_out = {f"op{number:02}" for number in range(100)} - set(names)
    assert all(entry.start_ns < searched for entry in slow_store.scan() if entry.operation in left_out)


def test_with_time_enough_nothing_is_partial(slow_store: SlowStore) -> None:
    found = find(slow_store, ProfileQuery(), 100, seconds=60)
    assert len(found.entries) == 100
    assert not found.partial


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_that_the_search_ended_early_is_said(
    token_auth: TokenAuth, slow_store: SlowStore, bearer: Headers, accept: str
) -> None:
    slow_store.clock.now = 1e6

    def jump(*args: Any, **options: Any) -> Iterator[ProfileEntry]:
        for entry in MemoryStorage.scan(slow_store, *args, **options):
            slow_store.clock.now += 60
            yield entry

    slow_store.scan = jump  # type: ignore[method-assign]
    profiler = PerformanceProfiler(Settings(storage=slow_store, service="shop"))
    client = TestClient(DiagnosticEndpoints(auth=token_auth, profiler=profiler))
    answer = client.get("/profile", headers={**bearer(), "accept": accept})
    assert answer.status_code == 200
    if accept == "text/html":
        assert "ran out of time" in answer.text
    else:
        assert answer.json()["stored"]["partial"] is True
    profiler.shutdown()


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("since=0001-01-01", 1),
        ("until=0001-01-02", 0),
        ("since=0001-01-01&until=0001-01-02", 0),
        ("since=0001-01-01&until=9999-12-31", 1),
        ("since=9999-12-31T23:59:59.999999", 0),
        ("until=9999-12-31T23:59:59.999999", 0),
        ("until=1970-01-01", 0),
    ],
)
def test_the_ends_of_time_are_times(
    debug_client: TestClient,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
    make_profile: Any,
    query: str,
    count: int,
) -> None:
    assert live_profiler.storage is not None
    live_profiler.storage.put(make_profile())
    answer = debug_client.get(f"/profile?{query}", headers=bearer())
    assert answer.status_code == 200
    assert len(answer.json()["stored"]["profiles"]) == count


@pytest.fixture
def shop(make_profile: Any) -> Iterator[PerformanceProfiler]:
    """Twenty profiles a minute apart, the newest first in name, of two requests and one trace."""
    profiler = PerformanceProfiler(Settings(storage=MemoryStorage()))
    assert profiler.storage is not None
    now = datetime.now(UTC)
    for number in range(20):
        start_ns = int((now - timedelta(minutes=number)).timestamp() * 1e9)
        profiler.storage.put(
            make_profile(
                id=new_ulid(start_ns),
                start_ns=start_ns,
                operation=f"op{number:02}",
                wall=1.0 + (number * 7) % 20,
                request_id=f"request-{number % 2}" if number < 6 else "",
                trace_id="0af7651916cd43dd8448eb211c80319c" if number < 3 else "",
            )
        )
    yield profiler
    assert profiler.shutdown(5)


@pytest.fixture
def shop_client(shop: PerformanceProfiler, token_auth: TokenAuth, bearer: Headers) -> TestClient:
    return TestClient(DiagnosticEndpoints(auth=token_auth, profiler=shop), headers=bearer())


def listed(client: TestClient, query: str) -> list[str]:
    answer = client.get(f"/profile?{query}")
    assert answer.status_code == 200, answer.text
    return [one["operation"] for one in answer.json()["stored"]["profiles"]]


def test_the_slowest_come_first_if_asked_for(shop_client: TestClient) -> None:
    every = sorted(range(20), key=lambda number: -((number * 7) % 20))
    assert listed(shop_client, "order=slowest") == [f"op{number:02}" for number in every]
    assert listed(shop_client, "order=slowest&limit=3") == [f"op{number:02}" for number in every[:3]]
    assert listed(shop_client, "order=newest&limit=2") == ["op00", "op01"]
    assert shop_client.get("/profile?order=oldest").status_code == 422


def test_the_slowest_of_the_whole_time_is_looked_for(
    shop_client: TestClient, shop: PerformanceProfiler, make_profile: Any
) -> None:
    long_ago = int((datetime.now(UTC) - timedelta(hours=30)).timestamp() * 1e9)
    assert shop.storage is not None
    shop.storage.put(make_profile(id=new_ulid(long_ago), start_ns=long_ago, operation="long ago", wall=100.0))
    assert listed(shop_client, "order=slowest&limit=1") == ["long ago"]


def test_pages_follow_each_other(shop_client: TestClient) -> None:
    pages = [listed(shop_client, f"limit=8&page={page}") for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [8, 8, 4, 0]
    assert [name for page in pages for name in page] == [f"op{number:02}" for number in range(20)]
    page = shop_client.get("/profile?limit=8&page=2&operation=", headers={"accept": "text/html"}).text
    assert 'rel="prev"' in page
    assert 'rel="next"' in page
    assert "page=3" in page
    assert shop_client.get("/profile?page=0").status_code == 422


def test_profiles_of_a_request_or_a_trace(shop_client: TestClient, shop: PerformanceProfiler) -> None:
    assert listed(shop_client, "request_id=request-1") == ["op01", "op03", "op05"]
    trace = "0AF7651916CD43DD8448EB211C80319C"
    assert listed(shop_client, f"trace_id={trace}") == ["op00", "op01", "op02"]
    assert listed(shop_client, f"trace_id={trace}&request_id=request-1") == ["op01"]
    assert listed(shop_client, "request_id=request") == []
    longest = shop_client.get("/profile/request-1").json()["profile"]
    assert (longest["operation"], longest["wall"]) == ("op05", 16.0)
    assert shop_client.get(f"/profile/{trace}?format=json").json()["operation"] == "op02"
    assert shop_client.get("/profile/request-7").status_code == 404


def test_a_profile_is_opened_once_to_learn_its_request(
    shop_client: TestClient, shop: PerformanceProfiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read = MemoryObjects.read

    def opens(objects: MemoryObjects, key: str, limit: int) -> bytes | None:
        opened.append(key)
        return read(objects, key, limit)

    monkeypatch.setattr(MemoryObjects, "read", opens)
    for _ in range(3):
        assert len(listed(shop_client, "request_id=request-0")) == 3
    assert len(opened) == len(set(opened)) == 20


def test_a_damaged_profile_hides_no_other(
    shop_client: TestClient, shop: PerformanceProfiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = MemoryObjects.read

    def damaged(objects: MemoryObjects, key: str, limit: int) -> bytes | None:
        data = read(objects, key, limit)
        return data[:-1] if data and "op01" in key else data

    monkeypatch.setattr(MemoryObjects, "read", damaged)
    assert listed(shop_client, "request_id=request-1") == ["op03", "op05"]
