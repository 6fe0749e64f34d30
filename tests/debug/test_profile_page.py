"""The page of one profile: everything there is to see of it, in a browser, under the policy of the debug pages."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints
from profkit.debug.masked import masked, shortened
from profkit.debug.profile_page import MAX_DATA, profile_page
from profkit.masking import masker
from profkit_storage import (
    Branch,
    ChildOperation,
    Frame,
    Node,
    Origin,
    Profile,
    Sample,
    State,
    Status,
    Trigger,
)
from profkit_storage.ulid import new_ulid

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
HOSTILE = (
    "\"'></script><script>document.title='owned'</script><img src=x onerror=alert(1)>{{ 7*7 }}&\x00\u202e"
)
SECRET = "hunter2-Xk29fLqv7Wm84"
DSN = f"postgresql://app:{SECRET}@db/orders"


def put(profiler: PerformanceProfiler, profile: Profile) -> str:
    """Store a profile as one of just now; return its id."""
    now = time.time_ns()
    assert profiler.storage is not None
    profiler.storage.put(dataclasses.replace(profile, id=new_ulid(now), start_ns=now))
    return new_id(profiler)


def new_id(profiler: PerformanceProfiler) -> str:
    assert profiler.storage is not None
    return max(entry.id for entry in profiler.storage.scan())


def large(make_profile: Callable[..., Profile], nodes: int, **fields: Any) -> Profile:
    """Return a profile with so many places in its tree, each with a function of its own, and as many samples."""
    frames = tuple(
        Frame(
            f"Handler.step_{number}",
            f"app/part{number % 50}.py",
            10,
            f"app.part{number % 50}",
            "",
            Origin.APPLICATION,
        )
        for number in range(nodes)
    )
    places = tuple(Node(number // 3 - 1 if number else -1, number, 11) for number in range(nodes))
    states = list(State)
    samples = tuple(
        Sample(number, 0.001 + (number % 7) / 1e4, state=states[number % 5]) for number in range(nodes)
    )
    plain = make_profile(stacks=[], wall=sum(sample.wall for sample in samples), **fields)
    return dataclasses.replace(plain, frames=frames, nodes=places, samples=samples)


@pytest.fixture
def page_of(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> Callable[..., str]:
    """`page_of(profile, token="all") -> text` of its page."""

    def text(profile: Profile, token: str = "all") -> str:
        id = put(live_profiler, profile)
        answer = debug_client.get(f"/profile/{id}", headers={**bearer(token), "accept": "text/html"})
        assert answer.status_code == 200
        return answer.text

    return text


def facts(page: str) -> dict[str, str]:
    return dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", page))


def test_the_head_says_what_it_is_and_how_it_was_sampled(page_of, make_profile):
    found = facts(page_of(make_profile(weight=4.0)))
    expected = {
        "category": "agent",
        "status": "ok",
        "kept because": "slow: it took longer than its threshold",
        "wall": "2.28 s",
        "CPU": "1.08 s",
        "threshold": "1.00 s",
        "stands for": "4 slow operations: itself and 3 that there was no room to keep",
        "request id": "7f3c2a",
        "trace id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span id": "00f067aa0ba902b7",
        "service": "orders 2026.3.1",
        "process": "pid 4242 on web-1",
        "Python": "3.11.9",
        "tenant": "acme",
        "engine": "watchdog: looked at from outside",
        "asked for": "one in 10 ms",
        "looks": "227, one in 10 ms on average",
        "cost of looking": "4 ms CPU, 0.18 % of its seconds",
        "not observed": "nothing",
        "dropped": "nothing",
        "kept": "4 samples, 8 places, 1 operation, 1 task or thread",
    }
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"trigger": Trigger.ERROR, "status": Status.ERROR, "weight": 0.0}, "error: it failed"),
        ({"trigger": Trigger.MANUAL, "weight": 0.0}, "0 ms of all threads"),
        ({"trigger": Trigger.STALLED, "status": Status.RUNNING, "weight": 0.0}, "takes no part in rankings"),
        ({"cpu": None}, "there is no clock for it"),
        ({"paused": 3.0}, "3.00 s between its steps"),
    ],
)
def test_what_is_unusual_is_said(page_of, make_profile, fields, words):
    changed = {"cpu": 0.0, **fields}
    assert words in facts(page_of(dataclasses.replace(make_profile(), **changed))).values().__str__()


def test_downloads_are_for_those_with_the_scope_and_others_are_told(page_of, make_profile):
    profile = make_profile()
    every, some = page_of(profile), page_of(profile, "reader")
    for form in ("pyinstrument", "speedscope", "pprof", "folded", "text", "json"):
        assert f'?format={form}" download' in every
        assert f"?format={form}" not in some
    assert "Downloading a file needs the scope" in some
    assert "Downloading a file needs" not in every
    for page in (every, some):
        assert re.search(r'format=html" target="_blank" rel="noopener"', page)


def test_json_is_what_it_was(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, make_profile: Any
) -> None:
    id = put(live_profiler, make_profile())
    document = debug_client.get(f"/profile/{id}", headers=bearer()).json()
    assert set(document) == {"answered_by", "profile"}


def test_no_secret_of_an_older_process_is_on_the_page_or_in_a_file(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, make_profile: Any
) -> None:
    frame = Frame(DSN, DSN, 1, DSN, DSN, Origin.APPLICATION)
    texts = dict.fromkeys(("operation", "category", "service", "host", "request_id", "version"), DSN)
    id = put(
        live_profiler,
        dataclasses.replace(
            make_profile(stacks=[([frame, frame], 1.0)]),
            **texts,
            tags={DSN: DSN, "password": SECRET},
            children=(ChildOperation(DSN, DSN, 0.0, 0.5, {"token": SECRET, "dsn": DSN}),),
            branches=(Branch(DSN, -1, 0.0, 0.5),),
        ),
    )
    page = debug_client.get(f"/profile/{id}", headers={**bearer(), "accept": "text/html"}).text
    assert "postgresql://" in page
    assert SECRET not in page
    for form in ("flamegraph", "html", "speedscope", "folded", "text", "json", "pyinstrument"):
        answer = debug_client.get(f"/profile/{id}?format={form}", headers=bearer())
        assert answer.status_code == 200
        assert SECRET not in answer.text, form


def test_masking_changes_nothing_that_is_no_secret(make_profile):
    profile = make_profile()
    assert masked(profile, masker) == profile
    assert shortened(profile).frames == profile.frames


def test_the_page_of_any_profile_is_bounded(make_profile):
    name = "<'\u4e2d" * 400
    base = large(make_profile, 4_000)
    profile = dataclasses.replace(
        base,
        operation=name, category=name, service=name, host=name, request_id=name, python=name,
        frames=tuple(
            frame._replace(qualname=f"q{index}{name}", module=f"{index}{name}", filename=f"{index}{name}")
            for index, frame in enumerate(base.frames)
        ),
        samples=tuple(sample._replace(holder=index) for index, sample in enumerate(base.samples)),
        children=tuple(
            ChildOperation(f"{index}{name}", name, index / 1e4, index / 1e4 + 0.01, {}) for index in range(2_000)
        ),
        branches=tuple(Branch(f"{index}{name}", -1, 0.0, 1.0) for index in range(1_000)),
        tags={f"{index}{name}": name for index in range(500)},
    )  # fmt: skip
    content = profile_page(profile, masker)
    assert len(content.view["data"].encode()) <= MAX_DATA
    whole = sum(len(part.encode()) for part in content.view.values())
    whole += len(str(content.facts).encode()) + len(str(content.profile).encode())
    assert whole < 900_000


def test_of_very_many_places_the_largest_are_boxes(make_profile):
    content = profile_page(large(make_profile, 12_000), masker)
    assert "are summed up as [smaller ones]" in content.view["graph"]


@pytest.fixture
def page(browser: Browser, token: str) -> Iterator[Page]:
    """A page of a browser that knows the token."""
    with browser.new_context(
        http_credentials={"username": "me", "password": token}, viewport={"width": 1280, "height": 900}
    ) as context:
        yield context.new_page()


@pytest.fixture
def opened(
    page: Page, endpoints: DiagnosticEndpoints, live_profiler: PerformanceProfiler, serve: Serve
) -> Iterator[Callable[[Profile], Page]]:
    """`opened(profile) -> page` served by a real server; a complaint, or a request to another host, fails the test."""
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => console.error('violates', e.violatedDirective))"
    )
    with serve(Starlette(routes=[Mount("/debug", endpoints)])) as client:

        def show(profile: Profile) -> Page:
            page.goto(f"{client.base_url}/debug/profile/{put(live_profiler, profile)}")
            return page

        yield show
        assert [url for url in asked if not url.startswith(str(client.base_url))] == []
    assert complaints == []


def box(page: Page, name: str) -> Any:
    return page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(name)},"))


def active(page: Page) -> str:
    return page.locator(".tree-row.active .tree-name .tree-name").inner_text()


@pytest.mark.browser
def test_a_graph_of_5000_places_is_searched_zoomed_and_followed(opened: Any, make_profile: Any) -> None:
    page = opened(large(make_profile, 5_000, operation="agent.large"))
    assert page.get_by_role("heading", level=1).inner_text() == "agent.large"
    assert page.evaluate("flameTree.count") >= 5_000
    search = page.get_by_label("Search", exact=True)
    search.fill("step_1204")
    expect(page.locator("#flame-found")).to_have_text(re.compile("^1 function, "))
    search.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(
        "Handler.step_1204, "
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_enabled()
    assert active(page) == "Handler.step_1204"
    page.keyboard.press("t")
    expect(page.locator("#flame-tree")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    parent = active(page)
    assert parent == "Handler.step_400"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(f"{parent}, ")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_disabled()
    assert page.locator(".tree-row").count() < 80


@pytest.mark.browser
def test_a_click_on_a_box_shows_its_row_and_the_row_its_box(opened: Any, make_profile: Any) -> None:
    page = opened(make_profile())
    box(page, "cursor.execute").click()
    assert active(page) == "cursor.execute"
    assert box(page, "complete").count() == 0
    row = page.locator(".tree-row", has_text="complete").first
    row.hover()
    row.get_by_role("button", name="show").click()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("complete, ")
    expect(page.locator("#flame-details")).to_contain_text("llm.chat (llm): 1 call")


@pytest.mark.browser
def test_everything_is_there_to_be_seen(opened: Any, make_profile: Any) -> None:
    page = opened(make_profile())
    titles = [title.lower() for title in page.get_by_role("heading", level=2).all_inner_texts()]
    assert titles == [
        "about it",
        "what it was doing",
        "flame graph",
        "call tree",
        "timeline",
        "where the time went",
    ]
    timeline = page.get_by_role("img", name=re.compile("^Timeline of agent.route"))
    assert timeline.bounding_box()["width"] > 900
    assert (
        page.locator(".state-waiting").first.evaluate("e => getComputedStyle(e).fill") == "rgb(169, 199, 232)"
    )
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("cell", name="llm.chat")).to_be_visible()
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open pyinstrument's view").click()
    popup.value.locator("#app > *").first.wait_for()
    assert popup.value.evaluate("window.origin") == "null"
    with page.expect_download() as download:
        page.get_by_role("link", name="speedscope").click()
    assert download.value.suggested_filename.endswith(".speedscope.json")


@pytest.mark.browser
def test_tables_are_sorted_by_value_whatever_the_unit(opened: Any, make_profile: Any) -> None:
    seconds = {"a": 0.5, "b": 1.5, "c": 0.002}
    children = tuple(ChildOperation(name, "db", 0.0, end, {}) for name, end in seconds.items())
    page = opened(make_profile(children=children, branches=()))
    page.get_by_text("The same as a table").click()
    table = page.get_by_role("table").filter(has_text="first began at")
    table.get_by_role("button", name="seconds").click()
    assert table.locator("tbody td:nth-child(3)").all_inner_texts() == ["b", "a", "c"]


@pytest.mark.browser
def test_nothing_in_a_hostile_profile_becomes_markup(opened: Any, make_profile: Any) -> None:
    frame = Frame(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Origin.APPLICATION)
    page = opened(
        make_profile(
            stacks=[([frame], 1.0)], operation=HOSTILE, category=HOSTILE, service=HOSTILE, tags={HOSTILE: HOSTILE},
            children=(ChildOperation(HOSTILE, HOSTILE, 0.0, 1.0, {}),), branches=(Branch(HOSTILE, -1, 0.0, 1.0),),
        )
    )  # fmt: skip
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    assert "{{ 7*7 }}" in page.get_by_role("heading", level=1).inner_text()
    assert "\u202e" not in page.content()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_it(opened: Any, make_profile: Any, page: Page, scheme: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    page.emulate_media(color_scheme=scheme)
    opened(large(make_profile, 500, operation="a.name.that.is.long." * 8))
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    ground, ink = page.evaluate(
        """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector(".flame text")).fill]"""
    )
    bright = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) > 380
    assert bright == (scheme == "light")
    assert (sum(int(part) for part in re.findall(r"\d+", ink)[:3]) > 380) != bright


@pytest.mark.browser
def test_a_capture_of_the_process_is_shown_by_thread(opened: Any, make_profile: Any) -> None:
    root = Frame("[thread MainThread]", "", 0, "", "", Origin.SYNTHETIC)
    page = opened(make_profile(stacks=[([root, "work"], 1.0)], trigger=Trigger.MANUAL, operation="process"))
    expect(page.get_by_role("listitem").filter(has_text="thread MainThread")).to_contain_text(
        "1.00 s running"
    )
    assert page.locator("svg.flame-time").count() == 0


@pytest.mark.browser
def test_without_scripts_the_rest_of_the_page_is_there(
    browser: Browser,
    token: str,
    endpoints: DiagnosticEndpoints,
    live_profiler: Any,
    serve: Serve,
    make_profile: Any,
) -> None:
    id = put(live_profiler, make_profile())
    with (
        serve(Starlette(routes=[Mount("/debug", endpoints)])) as client,
        browser.new_context(
            http_credentials={"username": "me", "password": token}, java_script_enabled=False
        ) as context,
    ):
        page = context.new_page()
        page.goto(f"{client.base_url}/debug/profile/{id}")
        assert "scripts are off" in page.locator("#flame-graph").inner_text()
        for name in ("#flame-search", "#flame-to-tree", "#flame-tree"):
            expect(page.locator(name)).to_be_hidden()
        expect(page.locator("svg.flame-time")).to_be_visible()
        expect(page.get_by_role("cell", name="cursor.execute")).to_be_visible()


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False])
def test_a_profile_is_deleted_only_when_the_question_is_answered(
    endpoints, live_profiler, serve, browser, token, make_profile, scripts
):
    id = put(live_profiler, make_profile())
    login = {"username": "me", "password": token}
    with (
        serve(Starlette(routes=[Mount("/debug", endpoints)])) as client,
        browser.new_context(http_credentials=login, java_script_enabled=scripts) as context,
    ):
        page = context.new_page()
        page.goto(f"{client.base_url}/debug/profile/{id}")
        delete = page.get_by_role("button", name="Delete it")
        expect(delete).not_to_be_visible()
        page.get_by_text("Delete this profile").click()
        expect(page.get_by_text("for everybody and for good")).to_be_visible()
        delete.click()
        page.wait_for_url(re.compile(r"/profile$"))
        assert id not in page.content()
        assert page.goto(f"{client.base_url}/debug/profile/{id}").status == 404
