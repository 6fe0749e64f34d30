"""The call tree of an exported page in a browser: what is open, the keyboard, the way to the graph and back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from profkit_storage import Frame, Origin
from profkit_storage.formats import flamegraph

pytestmark = pytest.mark.browser
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;\x00\ud800\u202e"
)


def tree(page: Page) -> Locator:
    return page.get_by_role("treegrid", name="Call tree")


def rows(page: Page) -> list[str]:
    """Return the names of the rows that are there, in order."""
    return page.locator(".tree-row .tree-name .tree-name").all_inner_texts()


def cells(page: Page, name: str) -> list[str]:
    row = page.locator(".tree-row", has=page.get_by_text(name, exact=True))
    return [text.strip() for text in row.get_by_role("gridcell").all_inner_texts()]


def active(page: Page) -> str:
    """Return the name of the row that the grid says has the focus."""
    return page.evaluate(
        """() => {
          const id = document.getElementById("flame-tree").getAttribute("aria-activedescendant");
          return document.getElementById(id).querySelector(".tree-name .tree-name").textContent;
        }"""
    )


def box(page: Page, name: str) -> Locator:
    return page.get_by_role("treeitem", name=re.compile(rf"^{re.escape(name)},"))


def test_it_opens_along_the_hottest_path_sorted_by_total(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    assert rows(page) == [
        "agent.route", "handle_message", "complete", "AsyncCompletions.create", "[await]", "Orders.lookup", "dumps",
    ]  # fmt: skip
    assert cells(page, "complete")[1:] == [
        "1.20 s", "52.6 %", "0 ms", "0.0 %", "own code", "waiting 100.0 %", "app.llm:80",
    ]  # fmt: skip
    assert cells(page, "handle_message")[3:7] == [
        "120 ms",
        "5.3 %",
        "own code",
        "waiting 52.6 %, running 47.4 %",
    ]
    row = page.locator(".tree-row", has_text="Orders.lookup")
    assert [row.get_attribute(f"aria-{name}") for name in ("level", "expanded", "posinset", "setsize")] == [
        "3", "false", "2", "3",
    ]  # fmt: skip
    assert page.get_by_role("columnheader", name="Total").get_attribute("aria-sort") == "descending"


def test_it_can_be_used_by_keyboard_alone(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    tree(page).focus()
    assert active(page) == "agent.route"
    for key, name in [
        ("ArrowDown", "handle_message"),
        ("ArrowDown", "complete"),
        ("ArrowLeft", "complete"),
        ("ArrowDown", "Orders.lookup"),
        ("ArrowRight", "Orders.lookup"),
        ("ArrowRight", "Session.execute"),
        ("ArrowRight", "Session.execute"),
        ("ArrowRight", "cursor.execute"),
        ("ArrowRight", "cursor.execute"),
        ("ArrowLeft", "Session.execute"),
        ("ArrowLeft", "Session.execute"),
        ("ArrowLeft", "Orders.lookup"),
        ("End", "dumps"),
        ("ArrowDown", "dumps"),
        ("ArrowUp", "Session.execute"),
        ("Home", "agent.route"),
        ("ArrowUp", "agent.route"),
        ("PageDown", "dumps"),
        ("PageUp", "agent.route"),
        (" ", "agent.route"),
    ]:
        page.keyboard.press(key)
        assert active(page) == name, key
        assert page.locator(".tree-row[aria-selected=true]").count() == 1
    assert rows(page) == ["agent.route"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "flame-tree", "Tab leaves it"


def test_a_click_in_the_graph_shows_the_row_and_leaves_the_page_where_it_is(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    assert "cursor.execute" not in rows(page)
    before = page.evaluate("scrollY")
    box(page, "cursor.execute").click()
    assert active(page) == "cursor.execute"
    assert page.locator(".tree-row.active").count() == 1
    assert page.evaluate("scrollY") == before
    assert page.evaluate("document.activeElement.id") != "flame-tree"


def test_the_button_and_the_key_go_to_the_row(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    box(page, "Session.execute").hover()
    page.get_by_role("button", name="Show in the call tree").click()
    assert active(page) == "Session.execute"
    expect(tree(page)).to_be_focused()
    box(page, "dumps").focus()
    page.keyboard.press("t")
    assert active(page) == "dumps"
    expect(tree(page)).to_be_focused()


def test_a_row_goes_to_its_box(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    focused = "document.activeElement.getAttribute('aria-label')"
    row = page.locator(".tree-row", has_text="Orders.lookup")
    row.click()
    assert active(page) == "Orders.lookup"
    assert box(page, "complete").count() == 1, "a click alone does not zoom"
    row.get_by_role("button", name="show").click()
    assert box(page, "complete").count() == 0
    assert page.evaluate(focused).startswith("Orders.lookup, ")
    page.keyboard.press("Escape")
    page.locator(".tree-row", has_text="dumps").dblclick()
    assert page.evaluate(focused).startswith("dumps, ")
    page.keyboard.press("Escape")
    tree(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate(focused).startswith("handle_message, ")


def test_a_click_on_the_mark_opens_and_closes(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    mark = page.locator(".tree-row", has_text="Orders.lookup").locator(".tree-mark")
    mark.click()
    assert "Session.execute" in rows(page)
    page.locator(".tree-row", has_text="Orders.lookup").locator(".tree-mark").click()
    assert "Session.execute" not in rows(page)


def test_only_rows_in_sight_are_made(shown, make_profile):
    stacks = [(["root", f"f{index}"], 1.0 + index / 1e4) for index in range(8_000)]
    page = shown(flamegraph.render(make_profile(stacks=stacks)))
    assert tree(page).get_attribute("aria-rowcount") == "8003"
    assert page.locator(".tree-row").count() < 80
    tree(page).focus()
    page.keyboard.press("End")
    assert active(page) == "f0"
    assert page.locator(".tree-row").count() < 80
    last = page.locator(".tree-row.active")
    assert last.get_attribute("aria-rowindex") == "8003"
    inside = page.evaluate(
        """() => {
          const row = document.querySelector(".tree-row.active").getBoundingClientRect();
          const grid = document.getElementById("flame-tree").getBoundingClientRect();
          return row.top >= grid.top && row.bottom <= grid.bottom;
        }"""
    )
    assert inside
    page.locator("#flame-tree").evaluate("e => { e.scrollTop = 0; }")
    expect(page.locator(".tree-row").first).to_contain_text("agent.route")
    assert tree(page).get_attribute("aria-activedescendant") is None, "it names no row that is not there"
    page.keyboard.press("ArrowUp")
    assert active(page) == "f1"


def test_a_very_deep_stack_opens_in_part_and_fits(shown, make_profile):
    stacks = [([f"f{depth}" for depth in range(3_000)], 1.0)]
    page = shown(flamegraph.render(make_profile(stacks=stacks)))
    assert tree(page).get_attribute("aria-rowcount") == "62"
    page.locator('[data-box="500"]').dispatch_event("click")
    assert active(page) == "f499"
    widths = page.locator(".tree-row.active .tree-name .tree-name").evaluate(
        "e => e.getBoundingClientRect().width"
    )
    assert widths > 20, "the name is still there, however deep"


def test_nothing_in_a_hostile_profile_becomes_markup(shown, make_profile):
    frame = Frame(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Origin.APPLICATION)
    page = shown(flamegraph.render(make_profile(stacks=[([frame], 1.0)], operation=HOSTILE)))
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    assert "<img src=x onerror=alert(1)>" in rows(page)[1]


def test_on_a_narrow_screen_the_tree_scrolls_and_the_page_does_not(shown, make_profile):
    page = shown(flamegraph.render(make_profile()))
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.locator("#flame-tree").evaluate("e => e.scrollWidth > e.clientWidth")
    total = page.locator(".tree-row .tree-number").first.bounding_box()
    assert total["x"] + total["width"] <= 375, "the total is seen without scrolling"


def test_an_empty_profile_has_a_tree_of_one_row(shown, make_profile):
    page = shown(flamegraph.render(make_profile(stacks=[], wall=0.0)))
    assert rows(page) == ["agent.route"]
    tree(page).focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "End", " ", "Enter"):
        page.keyboard.press(key)
    assert rows(page) == ["agent.route"]
