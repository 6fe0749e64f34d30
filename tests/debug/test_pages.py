"""What is on the pages: text stays text, values are readable, a browser can use them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.pages import Pages, breakable, count, counted, kind, scalar, size
from profkit_storage.ulid import new_ulid

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
HOSTILE = "\"'><script>document.title='owned'</script>{{ 7*7 }}<img src=x onerror=alert(1)>&\ud800\x00\u202e"


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (None, "", "\N{EN DASH}"),
        (True, "", "yes"),
        (1234, "", "1234"),
        (1234567, "", "1,234,567"),
        (69_062_656, "rss", "65.9 MiB"),
        (-2048, "size_change_bytes", "-2.0 KiB"),
        (12, "size_bytes", "12"),
        (0.123456789, "", "0.123457"),
        (2_592_000.0, "", "2,592,000"),
        (float("inf"), "", "inf"),
        ("text", "rss", "text"),
    ],
)
def test_values_read_well(value: object, name: str, text: str) -> None:
    assert scalar(value, name) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (3 * 2**30, "3.00 GiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes_read_well(value: int, text: str) -> None:
    assert size(value) == text


def test_counts_have_their_thousands_apart_and_other_numbers_do_not() -> None:
    shown = [count(value) for value in (0, 999, 20_000, -1_234, None, 0.5, True)]
    assert shown == ["0", "999", "20,000", "-1,234", "\N{EN DASH}", "0.5", "yes"]
    assert scalar(35_249) == "35249", "which may be a port"
    assert [counted(number, "task") for number in (0, 1, 1_200)] == ["no tasks", "1 task", "1,200 tasks"]


def test_a_name_may_be_broken_between_its_parts() -> None:
    assert breakable("a.b_c/d:e..f<x>") == "a.<wbr>b_<wbr>c/<wbr>d:<wbr>e..<wbr>f&lt;x&gt;"
    assert breakable("<b>") == "&lt;b&gt;"
    assert breakable("a\u202eb\x1b") == "a\ufffdb\ufffd"
    assert breakable("") == ""


def test_a_value_is_shown_by_its_kind() -> None:
    values = [{}, [{}], [1, 2.0], [1, {}], [], (), "x", None]
    kinds = ["mapping", "records", "numbers", "list", "list", "list", "scalar", "scalar"]
    assert [kind(value) for value in values] == kinds


def test_a_name_that_is_not_there_is_a_defect() -> None:
    with pytest.raises(Exception, match="undefined"):
        Pages().render("index.html", {})


def test_a_name_cannot_turn_the_order_of_what_is_read(debug_client: TestClient, bearer: Headers) -> None:
    page = debug_client.get("/tasks?name=a\u202efdp.exe", headers={**bearer(), "accept": "text/html"})
    assert page.status_code == 200
    assert 'value="a\N{REPLACEMENT CHARACTER}fdp.exe"' in page.text
    assert "\u202e" not in page.text
    page = debug_client.get("/tasks?name=a%E2%80%8Fb%1Bc%0A%09d", headers={**bearer(), "accept": "text/html"})
    assert 'value="a\ufffdb\ufffdc\n\td"' in page.text, "as the parts have it that exported pages have too"


def test_text_stays_text_wherever_it_comes_from(
    token_auth: TokenAuth, bearer: Headers, make_profile: Any
) -> None:
    from profkit import Settings
    from profkit_storage.memory import MemoryStorage

    profiler = PerformanceProfiler(Settings(storage=MemoryStorage(), service=HOSTILE, threshold=0.0))
    now = time.time_ns()
    named = HOSTILE.replace("\ud800", "")
    profile = make_profile(
        id=new_ulid(now), start_ns=now, operation=named, service=named, tags={named: named}
    )
    assert profiler.storage is not None
    profiler.storage.put(profile)
    config = {
        HOSTILE: HOSTILE,
        "list": [{HOSTILE: HOSTILE}, {"b": [HOSTILE]}],
        "deep": {"a": {HOSTILE: {"b": HOSTILE}}},
    }
    app = DiagnosticEndpoints(auth=token_auth, profiler=profiler, config=config, pools={HOSTILE: object()})
    client = TestClient(app)
    browser = {**bearer(), "accept": "text/html"}
    with profiler.operation(HOSTILE, category=HOSTILE):
        pages = [
            client.get(path, headers=browser)
            for path in ("/", "/config", "/connections", "/memory", "/profile", f"/profile/{profile.id}")
        ]
    pages.append(client.get("/profile?operation=%22%3E%3Cscript%3E", headers=browser))
    pages.append(client.get("/profile?%3Cscript%3E=1", headers=browser))
    pages.append(client.get("/%3Cscript%3E", headers=browser))
    assert [page.status_code for page in pages] == [200] * 7 + [422, 404]
    for page in pages:
        assert "<script>" not in page.text
        assert "<img" not in page.text
    shown = "".join(page.text for page in pages)
    assert shown.count("&lt;script&gt;") >= 12
    assert shown.count("{{ 7*7 }}") >= 12  # and no template of its own
    for path in ("/", "/config", "/profile"):
        assert client.get(path, headers=bearer()).status_code == 200
    profiler.shutdown()


def watched(page: Page) -> list[str]:
    """Return a list that fills with what the browser complains of."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


@pytest.fixture
def page(browser: Browser, token: str) -> Iterator[Page]:
    """A page of a browser that knows the token, as after its password prompt."""
    with browser.new_context(http_credentials={"username": "me", "password": token}) as context:
        yield context.new_page()


@pytest.mark.browser
def test_a_browser_can_use_the_pages(page: Page, endpoints: DiagnosticEndpoints, serve: Serve) -> None:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("app")), Mount("/debug", endpoints)])
    complaints = watched(page)
    with serve(app) as client:
        page.goto(f"{client.base_url}/debug/")
        for name in ("connections", "memory", "config", "profiles"):
            page.get_by_role("navigation").get_by_role("link", name=name).click()
            assert page.locator("nav a[aria-current]").inner_text() == name
        # The stylesheet is there: without it the header would not be a flex box.
        assert page.locator("header").evaluate("e => getComputedStyle(e).display") == "flex"
        page.locator("#job-profile").get_by_label("seconds").fill("0.2")
        page.get_by_role("button", name="Take a profile").click()
        page.get_by_role("link", name="Open pyinstrument's view").wait_for()
        assert "/debug/profile/" in page.url
        asked: list[str] = []
        page.context.on("request", lambda request: asked.append(request.url))
        with page.expect_popup() as tab:
            page.get_by_role("link", name="Open pyinstrument's view").click()
        complaints += watched(tab.value)
        tab.value.locator("#app > *").first.wait_for()
        assert "format=html" in tab.value.url
        assert asked
        assert [url for url in asked if not url.startswith(f"{client.base_url}/debug/")] == []
        assert tab.value.evaluate("window.origin") == "null"
    assert [text for text in complaints if "favicon" not in text] == []


@pytest.mark.browser
def test_another_sites_form_is_refused(page: Page, endpoints: DiagnosticEndpoints, serve: Serve) -> None:
    async def evil(scope: Any, receive: Any, send: Any) -> None:
        form = f"<form method=post action='{target}/debug/profile?seconds=0.2'><button>win</button></form>"
        await HTMLResponse(form)(scope, receive, send)

    with serve(Starlette(routes=[Mount("/debug", endpoints)])) as client, serve(evil) as other:
        target = str(client.base_url).replace("127.0.0.1", "localhost")
        page.goto(f"{target}/debug/profile")
        page.goto(str(other.base_url))
        with page.expect_response("**/debug/profile?seconds=0.2") as answer:
            page.get_by_role("button").click()
        assert answer.value.status == 403
