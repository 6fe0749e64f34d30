"""Jobs as they are asked for: parameters in a form, who is told what, and what a caller leaves behind who goes away."""

from __future__ import annotations

import logging
import re
import shlex
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import CallableAuth, DiagnosticEndpoints, Principal, Scope, TokenAuth
from profkit.debug.memory.backrefs import SEARCHABLE
from profkit.debug.pages import count_change, size_change
from profkit.debug.tokens import parse_tokens, token_command
from profkit_analyzers.cli import main
from profkit_storage import Profile, ProfileEntry
from profkit_storage.memory import MemoryStorage

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
Asking = Callable[..., AbstractContextManager[None]]
FORM = "application/x-www-form-urlencoded"


def test_a_form_gives_parameters_as_the_query_does(debug_client: TestClient, bearer: Headers) -> None:
    for query, fields in (("threshold=2.5&name=llm", {}), ("name=llm", {"threshold": "2.5"})):
        answer = debug_client.post(f"/profile/settings?{query}", headers=bearer(), data=fields)
        assert answer.json()["thresholds"] == {"llm": 2.5}
        debug_client.post("/profile/settings?threshold=default&name=llm", headers=bearer())
    answer = debug_client.post(
        "/profile/settings", headers=bearer(), data={"threshold": "2", "name": "é&=+ ü"}
    )
    assert answer.json()["thresholds"] == {"é&=+ ü": 2.0}
    headers = {**bearer(), "accept": "text/plain"}  # the form's format decides alone, as the query's
    answer = debug_client.post("/profile", headers=headers, data={"seconds": "0.1", "format": "folded"})
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("query", "content", "says"),
    [
        ("?threshold=2", "threshold=2", "there twice"),
        ("?threshold=", "threshold=2", "there twice"),
        ("", "threshold=2&threshold=2", "there twice"),
        ("", "threshold=-2", "a number from 0"),
        ("", "interval=2", "enabled, name, threshold"),
        ("", "threshold=2&%3Cscript%3E", "There is no parameter '<script>'"),
        ("", '{"threshold": 2}', "There is no parameter"),
        ("", "threshold=2&name=" + "x" * 257, "at most 256 characters"),
        ("", "&".join(f"a{number}=1" for number in range(17)), "at most 16 fields"),
        ("", "threshold=2&name=\xfc", "in ASCII"),
        ("?form_token=x", "threshold=2", "There is no parameter 'form_token'"),
    ],
)
def test_a_form_that_is_not_allowed_changes_nothing(
    debug_client: TestClient,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
    query: str,
    content: str,
    says: str,
) -> None:
    before = live_profiler.settings
    headers = {**bearer(), "content-type": FORM}
    answer = debug_client.post(
        f"/profile/settings{query}", headers=headers, content=content.encode("latin-1")
    )
    assert answer.status_code == 422
    assert says in answer.json()["error"]["message"]
    assert live_profiler.settings == before


def test_a_body_that_is_no_form_gives_nothing(debug_client: TestClient, bearer: Headers) -> None:
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/json"}):
        answer = debug_client.post(
            "/profile/settings?threshold=3", headers={**bearer(), **headers}, content=b"threshold=4"
        )
        assert answer.json()["threshold"] == 3.0
    answer = debug_client.post(
        "/profile/settings",
        headers={**bearer(), "content-type": "Application/X-WWW-Form-URLencoded; charset=utf-8"},
        content=b"threshold=4",
    )
    assert answer.json()["threshold"] == 4.0


def test_a_form_of_another_site_is_403_before_anything_of_it_is_told(
    debug_client: TestClient, bearer: Headers
) -> None:
    headers = {**bearer(), "content-type": FORM, "origin": "http://evil.example"}
    answer = debug_client.post("/profile/settings", headers=headers, content=b"interval=2")
    assert answer.status_code == 403


def test_who_waits_is_told_who_takes_a_profile(
    endpoints: DiagnosticEndpoints,
    serve: Serve,
    asking: Asking,
    bearer: Headers,
    live_profiler: PerformanceProfiler,
) -> None:
    with serve(endpoints) as client, asking(client, "/profile?seconds=60"):
        while not live_profiler.sampler.captures:
            time.sleep(0.001)
        busy = client.post("/profile?seconds=1", headers=bearer())
        page = client.post("/profile?seconds=1", headers={**bearer(), "accept": "text/html"})
        assert client.post("/memory/gc?generation=0", headers=bearer()).status_code == 200, "another kind"
    assert busy.status_code == page.status_code == 409
    found = re.match(
        r"profiler has been taking a profile here since [\d:]{8} UTC, for at most (\d\d) s more",
        busy.json()["error"]["message"],
    )
    assert found
    assert busy.headers["retry-after"] == found[1]
    assert 30 < int(found[1]) <= 60
    assert "profiler has been taking a profile here" in page.text
    assert f"Ask again in {page.headers['retry-after']} s" in page.text


def test_a_capture_whose_caller_goes_away_is_not_kept(
    endpoints: DiagnosticEndpoints,
    serve: Serve,
    asking: Asking,
    bearer: Headers,
    live_profiler: PerformanceProfiler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve(endpoints) as client, caplog.at_level(logging.INFO, "profkit.audit"):
        with asking(client, "/profile?seconds=50"):
            while not live_profiler.sampler.captures:
                time.sleep(0.001)
        give_up = time.monotonic() + 15
        while (answer := client.post("/profile?seconds=0.1", headers=bearer())).status_code == 409:
            assert time.monotonic() < give_up, "the capture went on without its caller"
            time.sleep(0.02)
        kept = client.get("/profile", headers=bearer()).json()["stored"]["profiles"]
    assert [one["id"] for one in kept] == [answer.json()["id"]]
    assert [one.id for one in endpoints.context.recent] == [answer.json()["id"]]
    assert live_profiler.faults.counts() == {}
    told = [record.getMessage() for record in caplog.records if "path='/profile'" in record.getMessage()]
    assert any("status=499" in line for line in told), told


def test_a_capture_that_is_stopped_is_stored_unless_only_a_whole_one_is_wanted(
    live_profiler: PerformanceProfiler,
) -> None:
    stop = threading.Event()
    stop.set()
    assert live_profiler.capture(30, stop=stop, partial=False).wall < 10
    assert live_profiler.flush()
    assert live_profiler.storage is not None
    assert list(live_profiler.storage.scan()) == []
    whole = live_profiler.capture(0.1, stop=threading.Event(), partial=False)
    part = live_profiler.capture(30, stop=stop)
    assert live_profiler.flush()
    assert {entry.id for entry in live_profiler.storage.scan()} == {whole.id, part.id}


class SlowStorage(MemoryStorage):
    """A store that is far away."""

    def put(self, profile: Profile) -> ProfileEntry:
        time.sleep(0.3)
        return super().put(profile)


def test_a_capture_that_is_answered_is_in_the_store_for_another_worker(
    token_auth: TokenAuth, bearer: Headers
) -> None:
    storage = SlowStorage()
    profiler = PerformanceProfiler(Settings(storage=storage, service="shop"))
    client = TestClient(DiagnosticEndpoints(auth=token_auth, profiler=profiler))
    id = client.post("/profile?seconds=0.1", headers=bearer()).json()["id"]
    assert [entry.id for entry in storage.scan()] == [id]
    assert profiler.shutdown(5)


@pytest.mark.parametrize(
    ("path", "scope", "what", "button"),
    [
        ("/profile", "profile", "Taking a profile", "Take a profile"),
        ("/memory", "memory", "Tracing allocations, counting what grows", "Trace"),
        ("/profile/settings", "manage", "Changing the settings", "Change"),
    ],
)
def test_who_lacks_a_scope_sees_what_is_missing_and_how_to_get_it(
    debug_client: TestClient, bearer: Headers, path: str, scope: str, what: str, button: str
) -> None:
    page = debug_client.get(path, headers={**bearer("reader"), "accept": "text/html"}).text
    assert what in page
    assert f'needs the scope <b class="code">{scope}</b>. You are signed in as reader, with: read.' in page
    assert f"profkit token --name reader --scopes read+{scope}<" in page
    assert 'method="post"' not in page
    able = debug_client.get(path, headers={**bearer(), "accept": "text/html"}).text
    assert f"<button>{button}</button>" in able
    assert "needs the scope" not in able


def test_a_403_as_a_page_says_the_same(debug_client: TestClient, bearer: Headers) -> None:
    for path, name, scope in (
        ("/memory/gc", "reader", "memory"),
        ("/profile", "reader", "profile"),
        ("/profile/settings", "reader", "manage"),
        ("/config", "keeper", "read"),
    ):
        method = "GET" if path == "/config" else "POST"
        answer = debug_client.request(method, path, headers={**bearer(name), "accept": "text/html"})
        assert answer.status_code == 403
        assert f'This needs the scope <b class="code">{scope}</b>. You are signed in as {name}' in answer.text
        assert "profkit token --name" in answer.text


def test_where_the_application_decides_it_is_asked(live_profiler: PerformanceProfiler) -> None:
    hostile = "<script>alert(1)</script> $(reboot)"
    auth = CallableAuth(lambda _: Principal(hostile, frozenset({Scope.READ})), secret="of the test")
    client = TestClient(DiagnosticEndpoints(auth=auth, profiler=live_profiler))
    for path in ("/profile", "/memory", "/profile/settings"):
        page = client.get(path, headers={"accept": "text/html"}).text
        assert "The application itself decides who may do what" in page
        assert "profkit token" not in page
        assert "<script>" not in page


@pytest.mark.parametrize("name", ["ops", "a.b@c-d", "two words", "$(reboot)", "-x", "***"])
def test_the_command_makes_a_token_that_has_the_scope_too(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = token_command(name, frozenset({Scope.MEMORY, Scope.READ}), Scope.MANAGE)
    program, *arguments = shlex.split(command)
    assert program == "profkit"
    assert main(arguments) == 0
    ((made, token),) = parse_tokens(capsys.readouterr().out.splitlines()[1], "the test").items()
    assert made == (name if name in {"ops", "a.b@c-d"} else "me")
    assert token.scopes == {Scope.READ, Scope.MEMORY, Scope.MANAGE}


def test_inputs_have_the_bounds_that_the_routes_declare(debug_client: TestClient, bearer: Headers) -> None:
    page = debug_client.get("/profile", headers={**bearer(), "accept": "text/html"}).text
    assert 'name="seconds" min="0.1" max="60.0" step="any" value="5"' in page
    page = debug_client.get("/memory", headers={**bearer(), "accept": "text/html"}).text
    assert 'name="seconds" min="1.0" max="60.0" step="any" value="10"' in page
    assert 'name="frames" min="1" max="5" step="1" value="1"' in page
    assert ('name="objects" min="1000" max="5000000" step="1" value="1000000"' in page) is SEARCHABLE
    assert ("Not in a process of Python 3.12" in page) is not SEARCHABLE


@pytest.mark.parametrize(
    ("value", "change"),
    [(0, "0 B"), (1023, "+1023 B"), (5 * 2**20 + 2**19, "+5.5 MiB"), (-3072, "\N{MINUS SIGN}3.0 KiB")],
)
def test_sizes_have_units_and_signs(value: int, change: str) -> None:
    assert size_change(value) == change


def test_counts_have_signs_and_thousands_apart() -> None:
    assert [count_change(value) for value in (0, 12, -1, 1234567, -2000)] == [
        "0",
        "+12",
        "\N{MINUS SIGN}1",
        "+1,234,567",
        "\N{MINUS SIGN}2,000",
    ]
