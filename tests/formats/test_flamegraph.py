"""The flame graph: its tree and colours, its page, and what a real browser does with it."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import re
import time

import pytest
from playwright.sync_api import Page, expect

from profkit_storage import ChildOperation, Frame, Origin, Profile, Sampling, State
from profkit_storage.categories import default_categories
from profkit_storage.formats import boxes as boxes_module
from profkit_storage.formats import flamegraph
from profkit_storage.formats.boxes import CATEGORIES, Box, boxes_of, spent_by_category
from profkit_storage.merging import MergedProfile

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;\x00\ud800"
AWAIT = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)


def library(name: str, distribution: str = "") -> Frame:
    module, _, qualname = name.partition(":")
    return Frame(qualname, f"/lib/{module}.py", 5, module, distribution or module, Origin.SITE_PACKAGES)


SESSION = library("sqlalchemy.orm:Session.execute", "SQLAlchemy")
OPENAI = library("openai.resources:Completions.create", "openai")
HTTPX = library("httpx._client:Client.send", "httpx")
GREENLET = library("greenlet_spawn:spawn", "greenlet")
CURSOR = Frame("cursor.execute", "", 0, "sqlite3", "", Origin.NATIVE)
DUMPS = Frame("dumps", "/usr/lib/python3.11/json/__init__.py", 183, "json", "", Origin.STDLIB)


def tree(profile: Profile) -> list[Box]:
    return boxes_of(MergedProfile.of(profile), default_categories())


def names(boxes: list[Box]) -> list[str]:
    return [box.frame.qualname for box in boxes]


@pytest.mark.parametrize(
    ("stack", "category"),
    [
        (["own"], "own"),
        (["own", SESSION], "db"),
        (["own", SESSION, GREENLET], "db"),
        (["own", SESSION, "callback"], "own"),
        (["own", GREENLET], "library"),
        (["own", OPENAI, HTTPX], "llm"),
        (["own", HTTPX], "http"),
        (["own", OPENAI, DUMPS], "serialization"),
        (["own", OPENAI, HTTPX, AWAIT], "llm"),
        (["own", AWAIT], "own"),
        (["own", CURSOR], "db"),
        (["own", Frame("x.y", "", 0, "", "", Origin.NATIVE)], "unknown"),
        ([Frame("[thread MainThread]", "", 0, "", "", Origin.SYNTHETIC)], "unknown"),
    ],
)
def test_a_box_has_the_category_of_what_it_is_or_of_who_called_it(make_profile, stack, category):
    assert tree(make_profile(stacks=[(stack, 1.0)]))[-1].category == category


def test_boxes_are_functions_the_largest_first_callers_before_called(make_profile):
    moved = Frame("f", "/elsewhere/app/main.py", 99, "app.main", "", Origin.APPLICATION)
    stacks = [
        (["root", "small"], 1.0),
        (["root", "f", "g"], 2.0),
        (["root", moved], 1.5),
        (["root", "mid"], 3.0),
    ]
    boxes = tree(make_profile(stacks=stacks))
    assert names(boxes) == ["agent.route", "root", "f", "g", "mid", "small"]
    assert [box.seconds for box in boxes] == pytest.approx([7.5, 7.5, 3.5, 2.0, 3.0, 1.0])
    assert [box.parent for box in boxes] == [-1, 0, 1, 2, 1, 1]
    assert boxes[2].line == 13, "the line that most seconds were spent at"


def test_what_was_not_observed_is_a_box_by_itself(make_profile):
    profile = make_profile(stacks=[(["root"], 1.0)], wall=1.5, sampling=Sampling(unobserved=0.5))
    boxes = tree(profile)
    assert names(boxes) == ["agent.route", "root", "[not observed]"]
    assert boxes[0].seconds == pytest.approx(1.5)
    assert spent_by_category(boxes)["unknown"] == pytest.approx(0.5)


def test_of_too_many_boxes_the_small_ones_are_one(make_profile, monkeypatch):
    monkeypatch.setattr(boxes_module, "MAX_BOXES", 30)
    stacks = [(["root", f"f{index % 20}", f"g{index}", "h"], 1.0 + index / 100) for index in range(100)]
    boxes = tree(make_profile(stacks=stacks))
    assert len(boxes) == 30 + names(boxes).count("[smaller ones]")
    whole = sum(seconds for _, seconds in stacks)
    assert boxes[0].seconds == pytest.approx(whole)
    assert sum(sum(box.own.values()) for box in boxes) == pytest.approx(whole)
    for index, box in enumerate(boxes):
        below = sum(other.seconds for other in boxes if other.parent == index)
        assert box.seconds == pytest.approx(below + sum(box.own.values()))


def test_seconds_of_the_loop_and_the_collector_are_the_runtimes(make_profile):
    stacks = [(["root"], 1.0), (["root"], 2.0), (["root"], 0.5), (["root"], 0.25), (["root"], 4.0)]
    states = [State.RUNNING, State.STARVED, State.HELD, State.GC, State.WAITING]
    profile = make_profile(stacks=stacks, states=states)
    spent = spent_by_category(tree(profile))
    assert (spent["runtime"], spent["own"]) == (2.75, 5.0)
    assert set(spent) == set(CATEGORIES)


def test_child_operations_are_marked_where_they_ran(make_profile):
    boxes = tree(make_profile())
    (marked,) = [box for box in boxes if box.marks]
    assert marked.frame.qualname == "complete"
    assert [(mark.name, mark.category, mark.calls) for mark in marked.marks] == [("llm.chat", "llm", 1.0)]


def test_the_data_is_what_the_boxes_are_and_leaves_no_script_element(make_profile):
    frame = Frame(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Origin.APPLICATION)
    text = flamegraph.data(tree(make_profile(stacks=[([frame, frame], 1.0)], operation=HOSTILE)))
    assert "<" not in text
    document = json.loads(text)
    assert HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd") in document["texts"]
    assert document["own"] == [[2], [0], [1.0]]


def test_the_picture_is_svg_without_script_or_style(make_profile):
    picture = flamegraph.picture(MergedProfile.of(make_profile(operation=HOSTILE)), width=800)
    assert picture.startswith('<svg class="flame" width="800"')
    tags = re.findall(r"<[^>]*>", picture)
    assert {re.match(r"</?(\w+)", tag)[1] for tag in tags} == {"svg", "g", "title", "rect", "text"}
    assert not any(re.search(r" (?:style|href|on\w+)=", re.sub(r'"[^"]*"', "", tag)) for tag in tags)
    assert picture.count("<g ") == picture.count("<title>") == picture.count("</g>") == 9
    assert "sqlite3.cursor.execute: 600 ms, 26.3 %" in picture
    assert 'fill="url(#flame-waiting)"' in picture
    assert 'class="mark"' in picture


def test_the_page_is_one_file_with_every_text_escaped(make_profile):
    child = ChildOperation(HOSTILE, HOSTILE, 0.0, 1.0, {HOSTILE: HOSTILE})
    frame = Frame(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Origin.APPLICATION)
    fields = dict.fromkeys(("operation", "category", "service", "request_id", "trace_id", "host"), HOSTILE)
    text = flamegraph.render(
        make_profile(stacks=[([frame], 1.0)], tags={HOSTILE: HOSTILE}, children=(child,), **fields)
    )
    text.encode()
    assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 4
    assert "<img" not in text
    assert "<!--" not in text
    assert markup.escape("<img src=x onerror=alert(1)>") in text
    assert not re.search(r"""(?:src|href)=["'](?!data:,)|@import|url\((?!#flame-)""", text)
    assert set(re.findall(r"https?://[\w./]+", text)) == {"http://www.w3.org/2000/svg"}


def test_the_policy_has_a_hash_for_each_and_allows_nothing_inline(make_profile):
    text = flamegraph.render(make_profile())
    policy = markup.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert re.search(r"script-src( 'sha256-[^ ']+'){3}; style-src( 'sha256-[^ ']+'){2}; ", policy)
    assert flamegraph.content_security_policy() == f"{policy}; frame-ancestors 'none'; sandbox allow-scripts"
    for name, tag in [
        *((one, "script") for one in flamegraph.SCRIPTS),
        *((one, "style") for one in flamegraph.STYLES),
    ]:
        content = re.escape(flamegraph.resource(name))
        (found,) = re.findall(f"<{tag}>({content})</{tag}>", text)
        digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy, name
    assert not re.search(r"<[^>]+ style=", text.partition("<script>")[0])


def test_a_page_of_two_seconds_is_small(make_profile):
    stacks = [
        ([*(f"app.module{depth}:Class{depth}.method_{depth}" for depth in range(35)),
          *(f"app.leaf{index % 80}:Other.function_{depth}" for depth in range(10))], 0.01)
        for index in range(200)
    ]  # fmt: skip
    text = flamegraph.render(make_profile(stacks=stacks))
    assert len(text.encode()) < 150_000


def item(page: Page, name: str):
    return page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(name)},"))


def wide(page: Page, name: str) -> float:
    return item(page, name).locator("rect").first.bounding_box()["width"]


@pytest.mark.browser
def test_a_browser_draws_it_and_asks_nobody(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    assert page.get_by_role("tree", name="Flame graph of agent.route").count() == 1
    assert page.get_by_role("treeitem").count() == 9
    assert wide(page, "handle_message") == pytest.approx(
        page.locator("#flame-graph").bounding_box()["width"], abs=2
    )
    assert wide(page, "complete") == pytest.approx(wide(page, "Session.execute") * 2, rel=0.02)
    assert page.locator("text", has_text="handle_message").count() == 1
    assert item(page, "[await]").locator(".shade").count() == 1
    assert item(page, "complete").locator(".mark").count() == 1
    fill = item(page, "cursor.execute").locator(".fill").evaluate("e => getComputedStyle(e).fill")
    assert fill == "rgb(143, 189, 238)"


@pytest.mark.browser
def test_a_click_zooms_and_reset_goes_back(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    reset = page.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_disabled()
    item(page, "Orders.lookup").click()
    full = page.locator("#flame-graph").bounding_box()["width"]
    assert wide(page, "Orders.lookup") == pytest.approx(full, abs=2)
    assert wide(page, "cursor.execute") == pytest.approx(full, abs=2)
    assert item(page, "complete").count() == 0, "what it does not call is not drawn"
    assert wide(page, "handle_message") == pytest.approx(full, abs=2), "what calls it is"
    reset.click()
    assert item(page, "complete").count() == 1
    expect(reset).to_be_disabled()


@pytest.mark.browser
def test_it_can_be_used_by_keyboard_alone(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    focused = "document.activeElement.getAttribute('aria-label')"
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate(focused).startswith("agent.route, ")
    for key, name in [
        ("ArrowDown", "handle_message"),
        ("ArrowDown", "complete"),
        ("ArrowRight", "Orders.lookup"),
        ("ArrowRight", "dumps"),
        ("ArrowRight", "dumps"),
        ("ArrowLeft", "Orders.lookup"),
        ("ArrowDown", "Session.execute"),
        ("ArrowUp", "Orders.lookup"),
    ]:
        page.keyboard.press(key)
        assert page.evaluate(focused).startswith(f"{name}, "), key
    page.keyboard.press("Enter")
    assert item(page, "complete").count() == 0
    assert page.evaluate(focused).startswith("Orders.lookup, "), "the focus stays"
    page.keyboard.press("Backspace")
    assert item(page, "complete").count() == 1
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert item(page, "dumps").count() == 1
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "flame-search"


@pytest.mark.browser
def test_what_is_pointed_at_is_explained(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    details = page.locator("#flame-details")
    item(page, "[await]").hover()
    expect(details).to_contain_text("1.20 s waiting")
    item(page, "complete").hover()
    for wanted in (
        "app.llm",
        "/srv/app/llm.py",
        "line 80",
        "1.20 s, 52.6 % of all",
        "llm.chat (llm): 1 call, 1.14 s",
    ):
        expect(details).to_contain_text(wanted)


@pytest.mark.browser
def test_search_marks_counts_and_forgets(shown, make_profile):
    stacks = [
        (["a:root", "b:Read.f", "b:Read.g"], 1.0),
        (["a:root", "c:other"], 2.0),
        (["a:root", "b:Read.g"], 1.0),
    ]
    page = shown(flamegraph.render(make_profile(stacks=stacks)))
    search, found = page.get_by_label("Search", exact=True), page.get_by_role("status")
    search.fill("read.")
    expect(found).to_have_text("2 functions, 2.00 s, 50.0 % of all")
    assert page.locator(".hit").count() == 3
    search.fill("b.Read.F")
    expect(found).to_have_text("1 function, 1.00 s, 25.0 % of all")
    search.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Read.f, ")
    search.fill("nowhere")
    expect(found).to_have_text("Nothing found")
    search.fill("")
    expect(found).to_have_text("")
    assert page.locator(".hit, .searching").count() == 0


@pytest.mark.browser
def test_nothing_in_a_hostile_profile_becomes_markup(shown, make_profile):
    frame = Frame(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Origin.APPLICATION)
    page = shown(
        flamegraph.render(make_profile(stacks=[([frame], 1.0)], operation=HOSTILE, tags={HOSTILE: HOSTILE}))
    )
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    page.get_by_role("treeitem").nth(1).hover()
    expect(page.locator("#flame-details")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0


@pytest.mark.browser
def test_an_empty_profile_is_a_page_too(shown, make_profile):
    for wall in (1.0, 0.0):
        page = shown(
            flamegraph.render(make_profile(stacks=[], wall=wall, sampling=Sampling(unobserved=wall)))
        )
        assert item(page, "agent.route").count() == 1
    assert item(shown(flamegraph.render_merged(MergedProfile())), "no profile").count() == 1


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_on_every_colour(shown, make_profile, scheme):
    page = shown(flamegraph.render(make_profile()), color_scheme=scheme)
    worst = page.evaluate(
        """() => {
          const light = (text) => {
            const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(Number).map((v) => v / 255)
              .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ink = light(getComputedStyle(document.querySelector(".flame text")).fill);
          return [...document.querySelectorAll(".flame-legend span.swatch")].map((swatch) => {
            const ground = light(getComputedStyle(swatch).backgroundColor);
            return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
          }).reduce((least, one) => Math.min(least, one));
        }"""
    )
    assert worst >= 4.5


@pytest.mark.browser
def test_on_a_narrow_screen_nothing_is_wider_than_it(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.querySelector('.flame').clientWidth < 400")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.get_by_role("treeitem").count() == 9


@pytest.mark.browser
def test_many_boxes_are_drawn_only_where_they_can_be_seen(shown, make_profile):
    stacks = [
        (
            ["root", *(f"m{index % 7}:f{index // 10**level}.{level}" for level in range(3, -1, -1))],
            0.01 + index / 1e7,
        )
        for index in range(18_000)
    ]
    page_text = flamegraph.render(make_profile(stacks=stacks))
    begun = time.perf_counter()
    page = shown(page_text)
    page.get_by_role("treeitem").first.wait_for()
    opened = time.perf_counter() - begun
    count = page.evaluate("JSON.parse(document.getElementById('flame-data').textContent).boxes.parent.length")
    assert count > 20_000
    assert page.locator("[data-box]").count() < 5_000
    spent = page.evaluate(
        """() => {
          const begun = performance.now();
          document.querySelector('[data-box="2"]').dispatchEvent(new MouseEvent("click", { bubbles: true }));
          return performance.now() - begun;
        }"""
    )
    assert spent < 1_000, "milliseconds for a zoom"
    assert opened < 10
    assert page.locator("[data-box]").count() > 5


@pytest.mark.browser
def test_a_very_deep_stack_is_drawn_in_parts(shown, make_profile):
    names = [f"f{depth}" for depth in range(3_000)]
    page = shown(flamegraph.render(make_profile(stacks=[(names, 1.0)])))
    assert page.locator("[data-box]").count() == 501
    page.locator('[data-box="500"]').dispatch_event("click")
    assert page.locator("[data-box]").count() == 60 + 501
    page.locator('[data-box="500"]').focus()
    page.keyboard.press("Home")  # whose box is not drawn: it is far above
    assert page.evaluate("document.activeElement.dataset.box") == "0"
    assert page.locator("[data-box]").count() == 501


@pytest.mark.browser
def test_escape_in_the_search_takes_back_what_is_searched_then_the_zoom(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    item(page, "Orders.lookup").click()
    assert item(page, "complete").count() == 0
    search = page.get_by_label("Search")
    search.fill("execute")
    expect(page.locator(".flame.searching")).to_have_count(1)
    search.press("Escape")
    expect(search).to_have_value("")
    expect(search).to_be_focused()
    expect(page.locator(".flame.searching")).to_have_count(0)
    expect(page.locator("#flame-found")).to_have_text("")
    assert item(page, "complete").count() == 0, "still zoomed"
    search.press("Escape")
    assert item(page, "complete").count() == 1
    expect(search).to_be_focused()
    search.press("Escape")  # nothing is left to take back
    search.fill("execute")
    search.press("Escape")  # before it has been searched
    page.wait_for_timeout(400)
    expect(page.locator(".flame.searching")).to_have_count(0)
