"""Tables that sort and filter, and pages that are refreshed: what was chosen, open, typed and focused stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints, FailureLimits, HealthChecker, TokenAuth

Serve = Callable[..., AbstractContextManager[httpx.Client]]
CONFIG = {
    "zebra": 10,
    "apple": 9,
    "Mango": 100,
    "nothing": None,
    "berry": 0.5,
    "cherry": -1,
    "date": 2,
    "elder": 3,
}
pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, token: str) -> Iterator[Page]:
    """A page of a browser that knows the token; what it complains of fails the test."""
    complaints: list[str] = []
    with browser.new_context(http_credentials={"username": "me", "password": token}) as context:
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
    assert [one for one in complaints if "Failed to load resource" not in one] == []


@pytest.fixture
def debug(token_auth: TokenAuth, live_profiler: PerformanceProfiler, serve: Serve) -> Iterator[str]:
    """The address of debug routes with eight settings."""
    limits = FailureLimits(delay=0, per_peer=10**6, total=10**6)
    endpoints = DiagnosticEndpoints(
        auth=token_auth, profiler=live_profiler, config=CONFIG, find_pools=False, limits=limits
    )
    with serve(Starlette(routes=[Mount("/debug", endpoints)])) as client:
        yield f"{client.base_url}/debug/"


def column(page: Page, number: int) -> list[str]:
    """Return the texts of a column of the first table that can be seen."""
    return page.locator(
        f"table.records >> nth=0 >> tbody tr:not([hidden]) td:nth-child({number})"
    ).all_inner_texts()


def heading(page: Page, name: str) -> Any:
    return page.locator("table.records").first.get_by_role("button", name=name)


def test_a_heading_sorts_text_and_numbers_and_goes_back(page: Page, debug: str) -> None:
    page.goto(f"{debug}config")
    given = column(page, 1)
    assert given == list(CONFIG)
    heading(page, "setting").click()
    assert column(page, 1) == ["apple", "berry", "cherry", "date", "elder", "Mango", "nothing", "zebra"]
    heading(page, "value").click()
    assert column(page, 1) == ["Mango", "zebra", "apple", "elder", "date", "berry", "cherry", "nothing"]
    header = page.locator("table.records").first.get_by_role("columnheader", name="value")
    assert header.get_attribute("aria-sort") == "descending"
    heading(page, "value").press("Enter")  # by keyboard too
    assert column(page, 1) == ["cherry", "berry", "date", "elder", "apple", "zebra", "Mango", "nothing"]
    assert header.get_attribute("aria-sort") == "ascending"
    heading(page, "value").click()
    assert column(page, 1) == given
    assert header.get_attribute("aria-sort") == "none"


def test_a_filter_shows_the_rows_with_every_word_and_counts_them(page: Page, debug: str) -> None:
    page.goto(f"{debug}config")
    box = page.get_by_label("Show only rows with this text: application")
    box.fill("INT  rry")
    assert column(page, 1) == ["cherry"]
    assert page.get_by_text("1 of 8").count() == 1
    box.fill("erry")
    assert column(page, 1) == ["berry", "cherry"]
    box.fill("<b>")
    assert column(page, 1) == []
    box.fill("")
    assert len(column(page, 1)) == 8


def test_what_was_chosen_outlives_a_refresh(
    page: Page, debug: str, live_profiler: PerformanceProfiler
) -> None:
    page.goto(f"{debug}threads")
    page.set_viewport_size({"width": 900, "height": 300})
    more = [
        threading.Thread(target=threading.Event().wait, args=(60,), daemon=True, name=f"w{n}")
        for n in range(9)
    ]
    for thread in more:
        thread.start()
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#refresh-said")).to_contain_text("as of")
    heading(page, "thread").click()
    page.get_by_label("Show only rows").fill("w7")
    page.locator("summary:visible", has_text="w7").click()
    first = page.locator("tbody tr:visible").element_handle()
    page.get_by_label("Show only rows").focus()
    page.evaluate("window.scrollTo(0, 40)")
    page.evaluate("document.getElementById('refresh').requestSubmit()")
    page.wait_for_function("row => !row.isConnected", arg=first)  # the rows are new ones
    assert page.locator("tbody tr:visible").count() == 1
    assert page.locator("details[open]:visible ol").inner_text().count("wait (") >= 1
    assert page.locator("th[aria-sort=ascending]").count() == 1
    focused = page.evaluate("[document.activeElement.value, document.activeElement.type, window.scrollY]")
    assert focused[:2] == ["w7", "search"]
    page.keyboard.type("x")
    assert page.get_by_label("Show only rows").input_value() == "w7x"


def test_it_refreshes_every_few_seconds_if_asked_and_remembers_that(page: Page, debug: str) -> None:
    page.goto(f"{debug}health")
    assert page.locator("#refresh-every").input_value() == "0"
    page.locator("#refresh-every").select_option("2")
    with page.expect_response(f"{debug}health", timeout=10_000) as found:
        pass
    assert found.value.request.headers["accept"] == "text/html"
    page.goto(f"{debug}tasks")
    assert page.locator("#refresh-every").input_value() == "2"
    with page.expect_response(f"{debug}tasks", timeout=10_000):
        pass
    page.locator("#refresh-every").select_option("0")
    said = page.locator("#refresh-said").inner_text()
    page.wait_for_timeout(2500)
    assert page.locator("#refresh-said").inner_text() == said


@pytest.mark.parametrize(
    ("status", "words"), [(401, "no longer signed in"), (503, "busy"), (500, "answered 500")]
)
def test_a_refusal_is_said_and_what_there_is_stays(page: Page, debug: str, status: int, words: str) -> None:
    page.goto(f"{debug}config")
    before = column(page, 1)
    page.locator("#refresh-every").select_option("60")
    page.route(f"{debug}config", lambda route: route.fulfill(status=status, body="no"))
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#refresh-said")).to_contain_text(words)
    assert column(page, 1) == before
    # Asking again does not help who is not known.
    assert page.locator("#refresh-every").input_value() == ("0" if status == 401 else "60")


def test_a_process_that_is_no_longer_well_is_shown_though_it_answers_503(
    page: Page, token_auth: TokenAuth, live_profiler: PerformanceProfiler, serve: Serve
) -> None:
    well = [True]
    checks = HealthChecker(keep=0).add("database", lambda: well[0])
    endpoints = DiagnosticEndpoints(auth=token_auth, profiler=live_profiler, checks=checks, find_pools=False)
    with serve(Starlette(routes=[Mount("/debug", endpoints)])) as client:
        page.goto(f"{client.base_url}/debug/health")
        assert page.locator("#live .figure").inner_text() == "healthy"
        well[0] = False
        page.get_by_role("button", name="Refresh").click()
        expect(page.locator("#live .figure")).to_have_text("unhealthy")
        expect(page.locator("#refresh-said")).to_contain_text("as of")


def test_enter_in_a_filter_does_nothing_else(page: Page, debug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "profkit.debug.memory.census.LOOK_LIMIT", 60.0
    )  # however large this process is by now
    asked: list[str] = []
    page.goto(f"{debug}memory")
    page.on("request", lambda request: asked.append(request.method))
    box = page.get_by_label("Show only rows with this text: types")
    box.fill("dict")
    box.press("Enter")
    page.wait_for_timeout(300)
    assert "POST" not in asked


def test_a_table_stays_scrolled_and_the_focus_on_what_it_was_on(
    page: Page, debug: str, live_profiler: PerformanceProfiler
) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    began, end = threading.Event(), threading.Event()

    def work(name: str, until: threading.Event) -> None:
        with live_profiler.operation(name, threshold=60):
            began.set()
            until.wait(60)

    first = threading.Event()
    threads = [
        threading.Thread(target=work, args=("oldest", first)),
        threading.Thread(target=work, args=("next", end)),
    ]
    for thread in threads:
        began.clear()
        thread.start()
        assert began.wait(10)
    page.goto(f"{debug}profile")
    page.locator("summary", has_text="next").click()
    page.locator("summary", has_text="next").focus()
    page.locator("#live .wide").first.evaluate("box => { box.scrollLeft = 90; }")
    first.set()
    threads[0].join()
    page.evaluate("document.getElementById('refresh').requestSubmit()")
    expect(page.locator("#live summary", has_text="oldest")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent") == "next"
    assert page.locator("#live .wide").first.evaluate("box => box.scrollLeft") == 90
    assert page.locator("#live details[open] summary").inner_text() == "next"
    end.set()
    threads[1].join()


def test_a_process_that_is_gone_is_said(page: Page, debug: str) -> None:
    page.goto(f"{debug}config")
    page.route(f"{debug}config", lambda route: route.abort())
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#refresh-said")).to_contain_text("cannot be reached")
    page.unroute(f"{debug}config")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#refresh-said")).to_contain_text("as of")


def test_without_scripts_a_page_is_whole(browser: Browser, debug: str, token: str) -> None:
    with browser.new_context(
        http_credentials={"username": "me", "password": token}, java_script_enabled=False
    ) as context:
        page = context.new_page()
        page.goto(f"{debug}config")
        assert column(page, 1) == list(CONFIG)
        assert page.locator("#refresh").is_hidden()
        assert page.get_by_role("button").count() == 0


def test_thousands_apart_sort_as_numbers_and_buttons_do_not_sort(
    page: Page, debug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "profkit.debug.memory.census.LOOK_LIMIT", 60.0
    )  # however large this process is by now
    page.goto(f"{debug}memory")
    texts = page.locator("table.records tbody td.number").all_inner_texts()
    assert any("," in text for text in texts)
    page.evaluate(
        "document.querySelectorAll('table.records td[data-value]').forEach(cell => delete cell.dataset.value)"
    )
    heading(page, "objects").click()
    heading(page, "objects").click()
    sorted_ones = column(page, 2)
    assert sorted_ones == sorted(sorted_ones, key=lambda text: int(text.replace(",", "")))
    assert sorted_ones != sorted(sorted_ones)  # else sorting as text would have done
    assert heading(page, "what keeps them alive").count() == 0


@pytest.mark.parametrize("width", [1280, 375])
def test_an_open_stack_is_below_its_row_and_moves_no_column(
    page: Page, debug: str, live_profiler: PerformanceProfiler, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    done = threading.Event()

    def called_by_a_long_name_that_makes_the_lines_of_the_stack_wider_than_its_column() -> None:
        with live_profiler.operation("waits"):
            done.wait(60)

    thread = threading.Thread(
        target=called_by_a_long_name_that_makes_the_lines_of_the_stack_wider_than_its_column
    )
    thread.start()
    try:
        page.goto(f"{debug}profile")
        where = (
            "[...document.querySelector('#live table.records').rows[0].cells]"
            ".map(cell => Math.round(cell.getBoundingClientRect().left))"
        )
        before = page.evaluate(where)
        page.locator("#live td summary").first.click()
        expect(page.locator("#live .stack").first).to_be_visible()
        after = page.evaluate(where)
        assert all(abs(one - other) <= 40 for one, other in zip(before, after, strict=True)), (before, after)
        stack = page.locator("#live .stack").first.bounding_box()
        wide = page.locator("#live .wide").first.bounding_box()
        assert stack
        assert wide
        assert stack["width"] > 0.9 * wide["width"]
        assert stack["x"] + stack["width"] <= wide["x"] + wide["width"] + 1
    finally:
        done.set()
        thread.join()
