"""The live settings, and profiles in every form: changed by few, told to the audit log, true at once."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug.forms import DOWNLOADS, FORMS

Headers = Callable[..., dict[str, str]]


def store_one(profiler: PerformanceProfiler) -> str:
    with profiler.operation("agent.route"):
        time.sleep(0.05)
    assert profiler.flush()
    assert profiler.storage is not None
    (entry,) = profiler.storage.scan()
    return entry.id


def test_a_threshold_is_changed_at_once_and_taken_back(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    changed = debug_client.post("/profile/settings?threshold=2.5", headers=bearer())
    assert changed.json()["threshold"] == 2.5
    changed = debug_client.post("/profile/settings?threshold=0&name=llm", headers=bearer())
    assert changed.json()["thresholds"] == {"llm": 0.0}
    with live_profiler.operation("fast"), live_profiler.operation("llm"):
        pass
    assert live_profiler.flush()
    assert live_profiler.storage is not None
    assert [entry.operation for entry in live_profiler.storage.scan()] == ["llm"]
    changed = debug_client.post("/profile/settings?threshold=default&name=llm", headers=bearer())
    assert changed.json()["thresholds"] == {}
    assert debug_client.get("/profile/settings", headers=bearer("reader")).json()["threshold"] == 2.5


def test_watching_is_turned_off_and_on(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    off = debug_client.post("/profile/settings?enabled=false", headers=bearer()).json()
    assert (off["enabled"], off["active"]) == (False, False)
    with live_profiler.operation("unseen"):
        pass
    on = debug_client.post("/profile/settings?enabled=true", headers=bearer()).json()
    assert (on["enabled"], on["active"]) == (True, True)
    with live_profiler.operation("seen"):
        pass
    assert live_profiler.flush()
    assert live_profiler.storage is not None
    assert [entry.operation for entry in live_profiler.storage.scan()] == ["seen"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "Give enabled"),
        ("name=llm", "Give enabled"),
        ("threshold=soon", "a number from 0"),
        ("threshold=-1", "a number from 0"),
        ("threshold=nan", "a number from 0"),
        ("threshold=default", "needs a name"),
        ("enabled=yes", "true, false"),
        ("enabled=false&name=llm", "give threshold too"),
        ("enabled=true&interval=1", "enabled, name, threshold"),
    ],
)
def test_what_is_not_allowed_changes_nothing(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, query: str, says: str
) -> None:
    before = live_profiler.settings
    answer = debug_client.post(f"/profile/settings?{query}", headers=bearer())
    assert answer.status_code == 422
    assert says in answer.json()["error"]["message"]
    assert live_profiler.settings == before


def test_a_change_is_in_the_audit_log_and_a_look_is_not_one(
    debug_client: TestClient, bearer: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "profkit.audit"):
        debug_client.get("/profile/settings?threshold=9", headers=bearer())
        debug_client.post("/profile/settings?threshold=3&name=llm", headers=bearer())
        debug_client.post("/profile/settings?threshold=4", headers=bearer("reader"))
    changed = [record.getMessage() for record in caplog.records if record.getMessage().startswith("changed")]
    assert changed == ["changed: principal='all' threshold='3' name='llm'"]


def test_a_browser_changes_it_by_the_pages_forms(debug_client: TestClient, basic: Headers) -> None:
    headers = {**basic(), "accept": "text/html"}
    page = debug_client.get("/profile/settings", headers=headers).text
    token = page.split('name="form_token" value="')[1].split('"')[0]
    refused = debug_client.post("/profile/settings?threshold=5", headers=headers)
    assert refused.status_code == 403
    done = debug_client.post("/profile/settings?threshold=5", headers=headers, data={"form_token": token})
    assert (done.status_code, done.headers["location"]) == (303, "settings")
    assert "5.00 s" in debug_client.get("/profile/settings", headers=headers).text
    reader = debug_client.get("/profile/settings", headers={**basic("reader"), "accept": "text/html"}).text
    assert 'method="post"' not in reader
    assert "needs the scope" in reader


@pytest.mark.parametrize("form", FORMS)
def test_a_profile_is_there_in_every_form(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, form: str
) -> None:
    id = store_one(live_profiler)
    answer = debug_client.get(f"/profile/{id}?format={form}", headers=bearer())
    assert answer.status_code == 200
    looked = debug_client.get(f"/profile/{id}?format={form}", headers=bearer("reader"))
    assert looked.status_code == (403 if form in DOWNLOADS else 200)
    if form in DOWNLOADS:
        assert f'filename="{id}.' in answer.headers["content-disposition"]
    else:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    if form == "pprof":
        assert b"agent.route" in gzip.decompress(answer.content)
    elif answer.headers["content-type"].startswith("application/json"):
        assert json.loads(answer.content)
    else:
        assert "store_one" in answer.text


@pytest.mark.parametrize("form", ["flamegraph", "speedscope", "folded"])
def test_a_capture_answers_in_a_form(debug_client: TestClient, bearer: Headers, form: str) -> None:
    answer = debug_client.post(f"/profile?seconds=0.2&format={form}", headers=bearer())
    assert answer.status_code == 200
    assert "MainThread" in answer.text
    wrong = debug_client.post("/profile?seconds=0.2&format=exe", headers=bearer())
    assert wrong.status_code == 422


def test_a_profile_is_removed_for_good(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, basic: Headers
) -> None:
    id = store_one(live_profiler)
    for name in ("reader", "profiler", "keeper"):
        assert debug_client.post(f"/profile/{id}/delete", headers=bearer(name)).status_code == 403
    assert debug_client.get(f"/profile/{id}/delete", headers=bearer()).status_code == 405
    assert debug_client.get(f"/profile/{id}", headers=bearer()).status_code == 200
    page = debug_client.get(f"/profile/{id}", headers={**basic(), "accept": "text/html"}).text
    assert f"profile/{id}/delete" in page
    done = debug_client.post(f"/profile/{id}/delete", headers=bearer())
    assert done.json()["deleted"] is True
    assert debug_client.get(f"/profile/{id}", headers=bearer()).status_code == 404
    assert debug_client.post(f"/profile/{id}/delete", headers=bearer()).status_code == 404
    assert debug_client.post("/profile/..%2f..%2fetc/delete", headers=bearer()).status_code == 404


def test_a_capture_made_here_is_removed_too(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    id = debug_client.post("/profile?seconds=0.1", headers=bearer()).json()["id"]
    assert debug_client.post(f"/profile/{id}/delete", headers=bearer()).status_code == 200
    assert debug_client.get(f"/profile/{id}", headers=bearer()).status_code == 404
    assert live_profiler.flush()
    assert debug_client.get(f"/profile/{id}", headers=bearer()).status_code == 404, (
        "it was on its way to the store"
    )
