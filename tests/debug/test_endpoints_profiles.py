"""The routes of profiles: captures, what is stored, one profile in each of its forms."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.stored import find
from profkit.debug.summary import summary
from profkit.masking import masker
from profkit_storage import Frame, Node, Origin, Profile, ProfileQuery, Sample, StorageError, Trigger
from profkit_storage.memory import MemoryStorage
from profkit_storage.ulid import is_ulid, new_ulid

Headers = Callable[..., dict[str, str]]


def store(profiler: PerformanceProfiler, make_profile: Any, count: int, **changes: Any) -> list[str]:
    """Put `count` profiles into the profiler's store, a minute apart, the last one now; return ids, newest first."""
    assert profiler.storage is not None
    now = datetime.now(UTC)
    ids: list[str] = []
    for number in range(count):
        start_ns = int((now - timedelta(minutes=number)).timestamp() * 1e9)
        profile = make_profile(id=new_ulid(start_ns), start_ns=start_ns, **changes)
        profiler.storage.put(profile)
        ids.append(profile.id)
    return ids


def test_stored_profiles_are_listed_newest_first_and_bounded(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, make_profile: Any
) -> None:
    ids = store(live_profiler, make_profile, 7)
    stored = debug_client.get("/profile?limit=5", headers=bearer()).json()["stored"]
    assert [one["id"] for one in stored["profiles"]] == ids[:5]
    assert stored["more"] is True
    assert stored["storage"].startswith("memory:")
    every = debug_client.get("/profile", headers=bearer()).json()["stored"]
    assert [one["id"] for one in every["profiles"]] == ids
    assert every["more"] is False


def test_filters_are_applied(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, make_profile: Any
) -> None:
    (db,) = store(live_profiler, make_profile, 1, operation="db.load", category="db")
    (llm,) = store(live_profiler, make_profile, 1, operation="llm.chat", category="llm")

    def listed(query: str) -> list[str]:
        answer = debug_client.get(f"/profile?{query}", headers=bearer())
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["stored"]["profiles"]]

    assert listed("operation=db.load") == [db]
    assert listed("category=llm&operation=") == [llm]
    assert listed("service=nobody") == []
    assert listed("min_duration=1e6") == []
    assert listed("until=2020-01-01") == []
    assert len(listed("since=2020-01-01")) == 2


def test_the_newest_are_found_however_long_ago(make_profile: Any) -> None:
    storage = MemoryStorage()
    now = datetime.now(UTC)
    ids: list[str] = []
    for hours in (0, 1, 5, 30, 100):
        start_ns = int((now - timedelta(hours=hours)).timestamp() * 1e9)
        storage.put(make_profile(id=new_ulid(start_ns), start_ns=start_ns))
        ids.append(max(entry.id for entry in storage.scan() if entry.start_ns // 10**6 == start_ns // 10**6))
    found = find(storage, ProfileQuery(), 50)
    assert [entry.id for entry in found.entries] == ids
    assert not found.more
    assert [entry.id for entry in find(storage, ProfileQuery(), 2).entries] == ids[:2]
    since = now - timedelta(hours=6)
    assert [entry.id for entry in find(storage, ProfileQuery(since=since), 50).entries] == ids[:3]
    assert find(storage, ProfileQuery(), 50, seconds=0.0).more


@pytest.mark.parametrize(
    "seconds",
    [
        "0.05",
        "61",
        "-1",
        "nan",
        "inf",
        "ten",
        "0x1",
        "1_0",
        "+10",
        " 10",
        "\N{FULLWIDTH DIGIT ONE}",
        "1e",
        ".",
    ],
)
@pytest.mark.parametrize("path", ["/profile", "/memory/trace"])
def test_seconds_are_bounded(debug_client: TestClient, bearer: Headers, path: str, seconds: str) -> None:
    assert debug_client.post(f"{path}?seconds={seconds}", headers=bearer()).status_code == 422


def test_a_capture_is_made_stored_and_found(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    answer = debug_client.post("/profile?seconds=0.2", headers=bearer())
    document = answer.json()
    assert answer.status_code == 200
    assert is_ulid(document["id"])
    assert document["stored"] is True
    assert document["profile"]["trigger"] == "manual"
    assert live_profiler.flush()
    assert live_profiler.storage is not None
    assert live_profiler.storage.load(document["id"]).trigger is Trigger.MANUAL
    for link in document["links"].values():
        assert debug_client.get(f"/{link}", headers=bearer()).status_code == 200


def test_a_browser_is_led_to_its_capture(debug_client: TestClient, bearer: Headers) -> None:
    browser = {**bearer(), "accept": "text/html"}
    answer = debug_client.post("/profile?seconds=0.1", headers=browser)
    assert answer.status_code == 303
    page = debug_client.get("/" + answer.headers["location"], headers=browser)
    assert page.status_code == 200
    assert "Open pyinstrument" in page.text


def test_without_a_store_a_capture_can_still_be_looked_at(token_auth: TokenAuth, bearer: Headers) -> None:
    profiler = PerformanceProfiler(Settings(service="bare"))
    client = TestClient(DiagnosticEndpoints(auth=token_auth, profiler=profiler))
    document = client.post("/profile?seconds=0.1", headers=bearer()).json()
    assert document["stored"] is False
    assert (
        client.get(f"/profile/{document['id']}", headers=bearer()).json()["profile"]["id"] == document["id"]
    )
    assert client.get("/profile", headers=bearer()).json()["stored"]["storage"] is None
    profiler.shutdown()


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_profile_is_summed_up(
    debug_client: TestClient,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
    make_profile: Any,
    accept: str,
) -> None:
    hostile = "<script>alert(1)</script>"
    (id,) = store(
        live_profiler, make_profile, 1, operation=hostile, tags={"q": "<img src=x>", "password": "hunter2"}
    )
    answer = debug_client.get(f"/profile/{id}", headers={**bearer(), "accept": accept})
    assert "hunter2" not in answer.text
    if accept == "text/html":
        assert hostile not in answer.text
        assert "<img" not in answer.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
        return
    found = answer.json()["profile"]
    assert (found["id"], found["operation"], found["tags"]["q"]) == (id, hostile, "<img src=x>")
    assert sum(found["states"].values()) == pytest.approx(
        found["wall"] - found["sampling"]["unobserved"], abs=0.01
    )
    assert found["hottest"]
    assert sum(one["share"] for one in found["hottest"]) <= 1.001


@pytest.mark.parametrize(
    ("form", "kind", "key"),
    [
        ("pyinstrument", "pyisession", None),
        ("speedscope", "speedscope.json", "profiles"),
        ("json", "json", "samples"),
    ],
)
def test_a_profile_is_downloaded(
    debug_client: TestClient,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
    make_profile: Any,
    form: str,
    kind: str,
    key: str | None,
) -> None:
    (id,) = store(live_profiler, make_profile, 1)
    answer = debug_client.get(f"/profile/{id}?format={form}", headers={**bearer(), "accept": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{id}.{kind}"'
    document = json.loads(answer.text)
    assert key is None or document[key]
    assert debug_client.get(f"/profile/{id}?format={form}", headers=bearer("reader")).status_code == 403


def test_pyinstruments_page_runs_and_reaches_nothing(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, make_profile: Any
) -> None:
    (id,) = store(live_profiler, make_profile, 1)
    answer = debug_client.get(f"/profile/{id}?format=html", headers=bearer("reader"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy
    assert "script-src 'sha256-" in policy
    assert "default-src 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("query", ["?format=exe", "?format=html&format=json", "?format=../x", "?raw=1"])
def test_a_format_that_is_not_there_is_422(debug_client: TestClient, bearer: Headers, query: str) -> None:
    assert debug_client.get(f"/profile/{new_ulid(0)}{query}", headers=bearer()).status_code == 422


@pytest.mark.parametrize("id", ["x", "%2e%2e%2fsecret", "01M7YT3JT56YQNSWSGN4YNTX1", "0" * 26])
def test_an_unknown_profile_is_404(debug_client: TestClient, bearer: Headers, id: str) -> None:
    assert debug_client.get(f"/profile/{id}", headers=bearer()).status_code == 404


class BrokenStore(MemoryStorage):
    """A store that cannot be read."""

    def load(self, id: str) -> Profile:
        raise StorageError("/srv/secret/path: permission denied")

    def scan(self, *args: Any, **options: Any) -> Any:
        raise StorageError("/srv/secret/path: permission denied")


def test_a_store_that_cannot_be_read_is_503_without_its_path(token_auth: TokenAuth, bearer: Headers) -> None:
    profiler = PerformanceProfiler(Settings(storage=BrokenStore(), service="shop"))
    client = TestClient(DiagnosticEndpoints(auth=token_auth, profiler=profiler))
    for path in ("/profile", f"/profile/{new_ulid(0)}"):
        answer = client.get(path, headers=bearer())
        assert answer.status_code == 503
        assert "secret" not in answer.text
    profiler.shutdown()


def test_the_hottest_say_what_led_to_them(make_profile: Any) -> None:
    lib = Frame("Pool.get", "/x/site-packages/pool.py", 1, "pool", "pool", Origin.SITE_PACKAGES)
    sleep = Frame("sleep", "/x/asyncio/tasks.py", 1, "asyncio.tasks", "", Origin.STDLIB)
    wait = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)
    thread = Frame("[thread T]", "", 0, "", "", Origin.SYNTHETIC)
    app = Frame("handler", "/srv/app.py", 1, "app", "", Origin.APPLICATION)
    frames = (thread, app, lib, wait, sleep)
    nodes = (
        Node(-1, 0, 0),
        Node(0, 1, 1),
        Node(1, 2, 1),
        Node(2, 3, 0),
        Node(0, 2, 1),
        Node(4, 3, 0),
        Node(0, 3, 0),
        Node(1, 4, 1),
        Node(7, 3, 0),
    )
    samples = (
        Sample(3, 1.0),
        Sample(5, 2.0),
        Sample(1, 4.0),
        Sample(6, 1.0),
        Sample(8, 0.5),
        Sample(7, 0.25),
        Sample(2, 0.25),
        Sample(8, 1.0),
    )
    profile = dataclasses.replace(make_profile(), frames=frames, nodes=nodes, samples=samples)
    hottest: Any = summary(profile, masker)["hottest"]
    rows = [
        (one["function"], one["module"], one["awaiting"], one["called_from"], one["seconds"])
        for one in hottest
    ]
    assert rows == [
        ("handler", "app", False, "handler", 4.0),
        ("Pool.get", "pool", True, "", 2.0),
        ("sleep", "asyncio.tasks", True, "handler", 1.5),
        ("Pool.get", "pool", True, "handler", 1.0),
        ("[await]", "", False, "", 1.0),
        ("sleep", "asyncio.tasks", False, "handler", 0.25),
        ("Pool.get", "pool", False, "handler", 0.25),
    ]
    assert sum(one["share"] for one in hottest) == pytest.approx(1.0)
    half = dataclasses.replace(profile, sampling=dataclasses.replace(profile.sampling, unobserved=10.0))
    found: Any = summary(half, masker)["hottest"]
    assert sum(one["share"] for one in found) == pytest.approx(0.5), "as the call tree has it: of all seconds"


def test_the_page_says_who_awaits(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, make_profile: Any
) -> None:
    (id,) = store(live_profiler, make_profile, 1)
    page = debug_client.get(f"/profile/{id}", headers={**bearer(), "accept": "text/html"}).text
    assert "AsyncCompletions.<wbr>create, awaiting" in page
    assert "[await]" not in page.partition('id="flame-data"')[0]


def test_what_is_removed_on_its_way_to_the_store_does_not_come_back(
    live_profiler: PerformanceProfiler,
    debug_client: TestClient,
    bearer: Headers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = MemoryStorage.put

    def slowly(storage: MemoryStorage, profile: Profile) -> Any:
        time.sleep(0.3)
        return put(storage, profile)

    monkeypatch.setattr(MemoryStorage, "put", slowly)
    made = debug_client.post("/profile?seconds=0.1", headers=bearer()).json()
    assert debug_client.post(f"/profile/{made['id']}/delete", headers=bearer()).status_code == 200
    assert live_profiler.flush(10)
    assert live_profiler.storage is not None
    assert made["id"] not in [entry.id for entry in live_profiler.storage.scan()]


@pytest.mark.parametrize(
    ("age", "found"), [("30m", 1), ("2h", 2), ("2d", 3), ("1w", 3), ("99999w", 3), ("1s", 0)]
)
def test_profiles_are_asked_for_by_their_age(
    debug_client: TestClient,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
    make_profile: Any,
    age: str,
    found: int,
) -> None:
    assert live_profiler.storage is not None
    now = time.time_ns()
    for hours in (0.1, 1.5, 25):
        began = now - int(hours * 3_600e9)
        live_profiler.storage.put(make_profile(id=new_ulid(began), start_ns=began))
    answer = debug_client.get(f"/profile?since={age}", headers=bearer())
    assert len(answer.json()["stored"]["profiles"]) == found


@pytest.mark.parametrize("age", ["1y", "h", "-1h", "1.5h", "123456h", "1h30m", "\u0661h"])
def test_what_is_no_age_is_refused(debug_client: TestClient, bearer: Headers, age: str) -> None:
    answer = debug_client.get("/profile", params={"since": age}, headers=bearer())
    assert answer.status_code == 422
    assert "how long ago as 90m, 24h or 7d" in answer.json()["error"]["message"]
