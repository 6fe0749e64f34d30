"""The newest profiles of a store: what is shown when there is not time enough, and at the ends of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import DiagnosticEndpoints, TokenAuth, stored
from profkit.debug.stored import newest
from profkit_storage import ProfileEntry, ProfileQuery
from profkit_storage.memory import MemoryStorage
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


def test_without_time_for_all_the_newest_are_still_the_newest(slow_store: SlowStore) -> None:
    found = newest(slow_store, ProfileQuery(), 4, seconds=0.9)
    names = [entry.operation for entry in found.entries]
    assert names == [f"op{number:02}" for number in range(len(names))]
    assert len(names) == 4
    assert slow_store.clock.now <= 0.95


def test_a_window_that_was_not_read_to_its_end_is_not_searched(slow_store: SlowStore) -> None:
    found = newest(slow_store, ProfileQuery(), 100, seconds=0.3)
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
    found = newest(slow_store, ProfileQuery(), 100, seconds=60)
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
