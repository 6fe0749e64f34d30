"""Jobs as people start them: Chromium, a real server, HTTP Basic, with scripts and without."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from profkit import PerformanceProfiler
from profkit.debug import CallableAuth, DiagnosticEndpoints, Principal
from profkit.debug.memory import census, collector, snapshots
from profkit.debug.memory.backrefs import SEARCHABLE
from profkit.debug.memory.census import recent_census
from profkit.debug.memory.single import memory_job
from tests.debug.conftest import NO_DELAY, TOKENS

pytestmark = pytest.mark.browser
Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
Asking = Callable[..., AbstractContextManager[None]]
SignIn = Callable[..., BrowserContext]
KEPT: list[Any] = []
LATE = 20_000
"""Milliseconds in which what should happen soon has happened on a busy machine too."""


class Order:
    """What the busy process keeps more and more of."""


@pytest.fixture(autouse=True, scope="module")
def patient() -> Iterator[None]:
    """What is expected of a page may take as long here."""
    expect.set_options(timeout=LATE)
    yield
    expect.set_options(timeout=None)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No cost that another test learned, and a limit that a busy machine does not reach."""
    monkeypatch.setattr(census, "LOOK_LIMIT", 60.0)
    every = (recent_census, census.listing, collector._collecting, snapshots._cost)
    for one in every:
        one.forget()
    yield
    for one in every:
        one.forget()


@pytest.fixture
def busy() -> Iterator[None]:
    """A thread that computes, and keeps what it makes."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.005):
            KEPT.append(Order())
            sum(range(20_000))

    thread = threading.Thread(target=work, name="busy-worker")
    thread.start()
    yield
    over.set()
    thread.join(10)
    KEPT.clear()


@pytest.fixture
def site(endpoints: DiagnosticEndpoints, serve: Serve) -> Iterator[httpx.Client]:
    """The debug routes on a real server."""
    with serve(endpoints) as client:
        yield client


@pytest.fixture
def sign_in(browser: Browser) -> Iterator[SignIn]:
    """Opens a browser of its own for somebody; at the end none of its pages may have complained."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(name: str = "all", **options: Any) -> BrowserContext:
        credentials = {"username": "me", "password": TOKENS[name]}
        context = browser.new_context(http_credentials=credentials, **options)  # type: ignore[arg-type]
        context.set_default_timeout(LATE)
        context.on("page", lambda page: page.on("pageerror", lambda error: complaints.append(str(error))))
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        contexts.append(context)
        return context

    yield opened
    for context in contexts:
        context.close()
    # What Chromium itself says of a refusal is none of the page's.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []


def opened(context: BrowserContext, site: httpx.Client, path: str) -> Page:
    page = context.new_page()
    page.goto(f"{site.base_url}{path}")
    return page


def said(form: Locator) -> Locator:
    return form.get_by_role("status")


def wait_until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + LATE / 1000
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_a_profile_is_taken_with_progress_and_opened(site: httpx.Client, sign_in: SignIn, busy: None) -> None:
    page = opened(sign_in(), site, "/profile")
    form = page.locator("#job-profile")
    form.get_by_label("seconds").fill("2")
    form.get_by_role("button", name="Take a profile").press("Enter")
    expect(said(form)).to_have_text("Taking a profile.")
    expect(form.get_by_role("progressbar")).to_be_visible()
    expect(form.get_by_text(re.compile(r"\d s, \d s left"))).to_be_visible()
    expect(form.get_by_role("button", name="Cancel")).to_be_focused()
    expect(form.get_by_role("button", name="Take a profile")).to_be_hidden()
    page.wait_for_url(re.compile(r"/profile/[0-9A-Z]{26}$"))
    expect(page.get_by_role("main")).to_contain_text("work")


def test_what_is_out_of_bounds_is_not_sent(site: httpx.Client, sign_in: SignIn) -> None:
    page = opened(sign_in(), site, "/profile")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    form = page.locator("#job-profile")
    for wrong in ("61", "0.01", "-1"):
        form.get_by_label("seconds").fill(wrong)
        form.get_by_role("button", name="Take a profile").click()
        assert form.get_by_label("seconds").evaluate("input => !input.validity.valid")
    assert "POST" not in sent


def test_cancelling_ends_it_frees_its_place_and_keeps_nothing(
    site: httpx.Client, sign_in: SignIn, bearer: Headers, live_profiler: PerformanceProfiler
) -> None:
    page = opened(sign_in(), site, "/profile")
    form = page.locator("#job-profile")
    form.get_by_label("seconds").fill("60")
    form.get_by_role("button", name="Take a profile").click()
    wait_until(lambda: live_profiler.sampler.captures)
    form.get_by_role("button", name="Cancel").click()
    expect(said(form)).to_have_text("Cancelled: nothing of it is kept, unless it was done already.")
    expect(form.get_by_role("button", name="Take a profile")).to_be_focused()
    expect(form.get_by_role("progressbar")).to_have_count(0)
    wait_until(lambda: not live_profiler.sampler.captures)
    wait_until(lambda: site.post("/profile?seconds=0.1", headers=bearer()).status_code == 200)
    assert len(site.get("/profile", headers=bearer()).json()["stored"]["profiles"]) == 1, (
        "the other one alone"
    )
    form.get_by_label("seconds").fill("0.2")
    form.get_by_role("button", name="Take a profile").click()
    page.wait_for_url(re.compile(r"/profile/[0-9A-Z]{26}$"))


def test_the_wait_for_another_is_explained_and_ends_by_itself(
    site: httpx.Client, sign_in: SignIn, asking: Asking, live_profiler: PerformanceProfiler
) -> None:
    page = opened(sign_in(), site, "/profile")
    form = page.locator("#job-profile")
    start = form.get_by_role("button", name="Take a profile")
    with asking(site, "/profile?seconds=60"):
        wait_until(lambda: live_profiler.sampler.captures)
        form.get_by_label("seconds").fill("0.2")
        start.click()
        words = r"profiler has been taking a profile here since [\d:]{8} UTC, for at most \d+ s more\."
        expect(said(form)).to_have_text(re.compile(words))
        expect(form.get_by_text(re.compile(r"^\d+ s left$"))).to_be_visible()
        expect(start).to_be_visible()
        later = form.get_by_role("button", name="Start when it is done")
        later.click()
        expect(said(form)).to_contain_text("This is started then.")
        form.get_by_role("button", name="Cancel").click()
        expect(said(form)).to_have_text("Cancelled: nothing of it is kept, unless it was done already.")
        start.click()
        later.click()
        expect(said(form)).to_contain_text("This is started then.")
    page.wait_for_url(re.compile(r"/profile/[0-9A-Z]{26}$"))  # soon, though the other could have had a minute


def test_who_waits_waits_on_if_a_third_was_quicker(
    site: httpx.Client, sign_in: SignIn, bearer: Headers, live_profiler: PerformanceProfiler
) -> None:
    page = opened(sign_in(), site, "/profile")
    form = page.locator("#job-profile")
    asked: list[int] = []
    busy_words = {"error": {"status": 409, "message": "A third has been taking a profile."}}

    def refuse(route: Route) -> None:
        asked.append(1)
        if len(asked) < 4 and route.request.method == "POST":
            route.fulfill(status=409, headers={"retry-after": "1"}, json=busy_words)
        else:
            route.continue_()

    page.route("**/profile", refuse)
    form.get_by_label("seconds").fill("0.2")
    form.get_by_role("button", name="Take a profile").click()
    form.get_by_role("button", name="Start when it is done").click()
    page.wait_for_url(re.compile(r"/profile/[0-9A-Z]{26}$"))
    assert len(asked) == 4


def test_memory_jobs_answer_in_place(site: httpx.Client, sign_in: SignIn, busy: None) -> None:
    page = opened(sign_in(), site, "/memory")
    trace = page.locator("#job-memory-trace")
    trace.get_by_label("seconds").fill("1")
    trace.get_by_label("frames").fill("3")
    trace.get_by_role("button", name="Trace").click()
    answers = page.locator("#answers > *")
    heading = page.get_by_role("heading", name="memory trace")
    expect(heading).to_be_focused()
    expect(said(trace)).to_have_text("Done. The answer is below.")
    line = answers.get_by_role("row").filter(has_text=re.compile(r"test_job_pages\.py:\d+")).first
    expect(line).to_contain_text(re.compile(r"\+[\d.]+ (B|KiB|MiB)"))
    answers.locator("summary").filter(has_text="test_job_pages.py").first.click()
    expect(answers.locator("ol.stack li").filter(has_text="threading.py").first).to_be_visible()
    assert page.url.endswith("/memory")

    growth = page.locator("#job-memory-growth")
    growth.get_by_label("seconds").fill("1")
    growth.get_by_label("garbage").check()
    growth.get_by_role("button", name="Count").click()
    expect(page.get_by_role("heading", name="memory growth")).to_be_focused()
    expect(answers).to_have_count(2)
    row = answers.get_by_role("row").filter(has_text=f"{__name__}.Order")
    expect(row).to_contain_text(re.compile(r"\+\d+"))
    expect(answers.first).to_contain_text("collected before each count")
    if SEARCHABLE:
        row.get_by_role("button").click()
        expect(page.locator("#job-memory-backrefs").get_by_label("type")).to_have_value(f"{__name__}.Order")
        expect(page.get_by_role("heading", name=f"what keeps {__name__}.Order alive")).to_be_focused()
        expect(answers.first).to_contain_text(".KEPT")
        answers.first.locator("summary").click()
        expect(answers.first.locator("svg text").filter(has_text=".KEPT").first).to_be_visible()

    collect = page.locator("#job-memory-gc")
    collect.get_by_role("button", name="Collect").click()
    expect(page.get_by_role("heading", name="garbage collected")).to_be_focused()
    count = 4 if SEARCHABLE else 3
    expect(answers).to_have_count(count)
    collect.get_by_role("button", name="Collect").click()
    expect(page.get_by_role("heading", name="garbage collected")).to_be_focused()
    expect(answers).to_have_count(count)  # the latest of a kind
    answers.first.get_by_role("button", name="Remove").click()
    expect(answers).to_have_count(count - 1)
    expect(collect.get_by_role("button", name="Collect")).to_be_focused()


def test_a_trace_is_cancelled(site: httpx.Client, sign_in: SignIn) -> None:
    page = opened(sign_in(), site, "/memory")
    form = page.locator("#job-memory-trace")
    form.get_by_label("seconds").fill("60")
    form.get_by_role("button", name="Trace").click()
    wait_until(lambda: memory_job.tracing)
    collect = page.locator("#job-memory-gc")
    collect.get_by_role("button", name="Collect").click()
    expect(said(collect)).to_have_text(
        re.compile(r"^all has been tracing allocations here since .* at a time\.$")
    )
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#refresh-said")).to_contain_text("as of")
    expect(form.get_by_role("progressbar")).to_be_visible()
    form.get_by_role("button", name="Cancel").click()
    expect(said(form)).to_have_text("Cancelled: nothing is traced any more.")
    wait_until(lambda: not memory_job.tracing)
    collect.get_by_role("button", name="Collect").click()
    expect(page.get_by_role("heading", name="garbage collected")).to_be_focused()


@pytest.mark.skipif(not SEARCHABLE, reason="refused on Python 3.12, which it can crash")
def test_a_button_of_the_table_of_types_asks_what_keeps_them_alive(
    site: httpx.Client, sign_in: SignIn
) -> None:
    page = opened(sign_in(), site, "/memory")
    page.get_by_role("button", name="Refresh").click()
    expect(page.locator("#refresh-said")).to_contain_text("as of")
    page.get_by_role("button", name="what keeps builtins.module alive").click()
    expect(page.get_by_role("heading", name="what keeps builtins.module alive")).to_be_focused()
    form = page.locator("#job-memory-backrefs")
    form.get_by_label("type").fill("nowhere.<b>Nothing</b>")
    form.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="what keeps nowhere.<b>Nothing</b> alive")).to_be_focused()
    expect(page.locator("#answers")).to_contain_text("No object of this type was found")
    expect(page.locator("#answers b")).to_have_count(0)


ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "signed out": ({"status": 401}, "You are no longer signed in: load this page again."),
    "too many": (
        {
            "status": 429,
            "headers": {"retry-after": "7"},
            "json": {"error": {"status": 429, "message": "Too many attempts."}},
        },
        "Too many attempts. Try again in 7 s.",
    ),
    "overloaded": (
        {
            "status": 503,
            "headers": {"retry-after": "1"},
            "json": {"error": {"status": 503, "message": "Too much is being asked at once."}},
        },
        "Too much is being asked at once. Try again in 1 s.",
    ),
    "a proxy's": (
        {"status": 504, "content_type": "text/html", "body": "<h1>504</h1><script>alert(1)</script>"},
        "It was answered 504, not as these pages answer; if by a proxy that waits for less long, take fewer seconds.",
    ),
    "disabled": ({"status": 404, "body": "nothing"}, "It was answered 404, not as these pages answer."),
    "a login page": (
        {"status": 200, "content_type": "text/html", "body": "<h1>Sign in</h1>"},
        "Something else than the answer came: load this page again.",
    ),
    "cut JSON": (
        {"status": 200, "content_type": "application/json", "body": '{"id": '},
        "No whole answer came: the process may have ended, or the way to it is cut.",
    ),
    "hostile": (
        {"status": 422, "json": {"error": {"status": 422, "message": "<img src=x onerror=alert(1)>"}}},
        "<img src=x onerror=alert(1)>",
    ),
}


def fulfilled(answer: dict[str, Any], route: Route) -> None:
    route.fulfill(**answer)


def test_every_refusal_is_said_in_words_and_the_button_is_usable_again(
    site: httpx.Client, sign_in: SignIn, live_profiler: PerformanceProfiler
) -> None:
    page = opened(sign_in(), site, "/profile")
    form = page.locator("#job-profile")
    start = form.get_by_role("button", name="Take a profile")
    form.get_by_label("seconds").fill("0.1")
    for answer, words in ELSEWHERE.values():
        page.route("**/profile", partial(fulfilled, answer))
        start.click()
        expect(said(form)).to_have_text(words)
        expect(start).to_be_focused()
        page.unroute("**/profile")
    page.route("**/profile", lambda route: route.abort())
    start.click()
    expect(said(form)).to_have_text(
        "No whole answer came: the process may have ended, or the way to it is cut."
    )
    page.unroute("**/profile")

    form.evaluate(
        "form => { form.elements.seconds.removeAttribute('max'); form.elements.seconds.value = '61'; }"
    )
    start.click()
    expect(said(form)).to_have_text("seconds='61' is not allowed: give a number from 0.1 to 60.")
    form.get_by_label("seconds").fill("0.1")
    form.evaluate("form => { form.elements.form_token.value = 'of somebody else'; }")
    start.click()
    expect(said(form)).to_have_text(re.compile("needs the form's token.* load this page again"))
    assert list(live_profiler.storage.scan()) == []  # type: ignore[union-attr]


def test_without_the_scope_there_is_no_button_but_what_is_missing(
    site: httpx.Client, sign_in: SignIn
) -> None:
    context = sign_in("reader")
    for path, scope in (("/profile", "profile"), ("/memory", "memory"), ("/profile/settings", "manage")):
        page = opened(context, site, path)
        expect(page.locator("form[method=post]")).to_have_count(0)
        missing = page.locator(".needs")
        expect(missing).to_contain_text(f"needs the scope {scope}. You are signed in as reader, with: read.")
        expect(missing).to_contain_text(f"profkit token --name reader --scopes read+{scope}")
        page.close()


def test_without_scripts_forms_do_the_same(
    site: httpx.Client, sign_in: SignIn, asking: Asking, live_profiler: PerformanceProfiler
) -> None:
    page = opened(sign_in(java_script_enabled=False), site, "/profile")
    page.locator("#job-profile").get_by_label("seconds").fill("0.3")
    page.get_by_role("button", name="Take a profile").click()
    assert re.search(r"/profile/[0-9A-Z]{26}$", page.url)

    page.goto(f"{site.base_url}/memory")
    form = page.locator("#job-memory-trace")
    form.get_by_label("seconds").fill("1")
    form.get_by_role("button", name="Trace").click()
    expect(page.get_by_role("heading", name="memory trace")).to_be_visible()
    expect(page.get_by_role("columnheader", name="allocated at")).to_be_visible()
    if SEARCHABLE:
        page.goto(f"{site.base_url}/memory")
        page.get_by_role("button", name="what keeps builtins.module alive").click()
        expect(page.get_by_role("heading", name="what keeps builtins.module alive")).to_be_visible()

    page.goto(f"{site.base_url}/profile/settings")
    page.get_by_label("name").fill("llm")
    page.get_by_label("seconds").last.fill("2.5")
    page.get_by_role("button", name="Change").last.click()
    assert page.url.endswith("/profile/settings")
    assert live_profiler.settings.thresholds == {"llm": 2.5}
    page.get_by_role("button", name="take back the threshold of llm").click()
    assert live_profiler.settings.thresholds == {}

    page.goto(f"{site.base_url}/profile")
    with asking(site, "/profile?seconds=60"):
        wait_until(lambda: live_profiler.sampler.captures)
        page.get_by_role("button", name="Take a profile").click()
        expect(page.get_by_role("heading", name="409")).to_be_visible()
        expect(page.get_by_text("profiler has been taking a profile here since")).to_be_visible()
        expect(page.get_by_text(re.compile(r"Ask again in \d+ s"))).to_be_visible()


def test_the_settings_are_changed_from_the_page(
    site: httpx.Client, sign_in: SignIn, live_profiler: PerformanceProfiler
) -> None:
    page = opened(sign_in(), site, "/profile/settings")
    page.get_by_label("seconds").first.fill("0.75")
    page.get_by_role("button", name="Change").first.click()
    expect(page.get_by_text("750 ms")).to_be_visible()
    page.get_by_label("name").fill("agent <route>")
    page.get_by_label("seconds").last.fill("3")
    page.get_by_role("button", name="Change").last.click()
    page.get_by_role("button", name="take back the threshold of agent <route>").click()
    expect(page.get_by_text("agent <route>")).to_have_count(0)
    stop = page.get_by_role("button", name="Stop watching")
    expect(stop).not_to_be_visible()
    page.get_by_text("Watch nothing").click()
    assert live_profiler.enabled, "it is asked first"
    stop.click()
    page.get_by_role("button", name="Watch operations").wait_for()
    assert (live_profiler.enabled, live_profiler.settings.threshold) == (False, 0.75)
    page.get_by_role("button", name="Watch operations").click()
    page.get_by_text("Watch nothing").wait_for()
    assert live_profiler.enabled


def test_an_address_with_the_password_in_it_works_too(site: httpx.Client, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"http://me:{TOKENS['all']}@{site.base_url.host}:{site.base_url.port}/profile")
        page.locator("#job-profile").get_by_label("seconds").fill("0.2")
        page.get_by_role("button", name="Take a profile").click()
        page.wait_for_url(re.compile(r"/profile/[0-9A-Z]{26}$"), timeout=LATE)


def test_a_strange_name_of_who_is_waited_for_stays_text(
    live_profiler: PerformanceProfiler, serve: Serve, asking: Asking, browser: Browser
) -> None:
    name = "<img src=x onerror=alert(1)>" + "y" * 200
    auth = CallableAuth(lambda _: Principal(name), secret="of the test")
    app = DiagnosticEndpoints(auth=auth, profiler=live_profiler, limits=NO_DELAY)
    with serve(app) as site, asking(site, "/profile?seconds=60"), browser.new_context() as context:
        wait_until(lambda: live_profiler.sampler.captures)
        page = opened(context, site, "/profile")
        form = page.locator("#job-profile")
        form.get_by_role("button", name="Take a profile").click()
        expect(said(form)).to_have_text(re.compile(r"^<img src=x onerror=alert\(1\)>y{71}… has been taking"))
        expect(page.locator("img")).to_have_count(0)


def test_a_clock_that_has_run_down_stands_still(site: httpx.Client, sign_in: SignIn) -> None:
    page = opened(sign_in(), site, "/profile")
    form = page.locator("#job-profile")
    busy_words = {"error": {"status": 409, "message": "Another is at it."}}
    page.route(
        "**/profile", lambda route: route.fulfill(status=409, headers={"retry-after": "1"}, json=busy_words)
    )
    page.evaluate(
        """() => {
            const [set, clear] = [setInterval.bind(window), clearInterval.bind(window)];
            window.ticking = new Set();
            window.setInterval = (...given) => { const one = set(...given); ticking.add(one); return one; };
            window.clearInterval = (one) => { ticking.delete(one); clear(one); };
        }"""
    )
    form.get_by_role("button", name="Take a profile").click()
    expect(form.get_by_text("It should be done now.")).to_be_visible()
    page.wait_for_function("ticking.size === 0")
