"""What the ranking looks like in a terminal of any width, and that nothing stored can drive the terminal."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.reporters import listing, text
from profkit_analyzers.reporters.terminal import Screen, clipped, printable
from profkit_storage import ChildOperation, MemoryStorage, Trigger

HOSTILE = "evil\x1b]0;owned\x07\x1b[2J\r\n\u202eright\x9b31m"
LONG = "checkout.reserve_inventory_and_charge_customer.through_a_very_long_name"


@pytest.fixture
def report(make_profile, frames):
    store = MemoryStorage()
    store.put(make_profile())
    stack = [
        frames.app("a.very.deep.package.of.the.application.itself:Class.method_with_a_long_name"),
        frames.await_,
    ]
    store.put(make_profile(operation=LONG, stacks=[(stack, 3.0)]))
    store.put(
        make_profile(
            operation="订单.查询", stacks=[([frames.app("app:f"), frames.lib("redis:get", "redis")], 2.5)]
        )
    )
    return ProfileAnalyzer(store).analyze()


@pytest.mark.parametrize("width", [72, 80, 100, 139, 140, 160, 200])
def test_no_line_is_wider_than_the_terminal(report, width):
    page = text.render(report, Screen(width), "/store")
    ranking = page.partition("\nnext\n")[0]
    assert max(map(cell_len, ranking.split("\n"))) <= width


@pytest.mark.parametrize("width", [80, 160, None])
def test_every_figure_of_a_row_is_there(report, width):
    page = text.render(report, Screen(width), "/my store")
    row = report.bottlenecks[0]
    for wanted in (row.exemplar, "await", "2.00 s", "3.00 s", "39.", "long_name (line 13)"):
        assert wanted in page
    for title in (
        "operation",
        "category",
        "owner",
        "call site",
        "recoverable",
        "seconds",
        "share",
        "operations",
    ):
        assert title in page
    assert "db/cache" in page
    assert f"profkit show {row.exemplar} '/my store'" in page


def test_a_wide_page_has_one_line_a_row_and_a_pipe_cuts_nothing(report):
    rows = [line for line in text.render(report, Screen(160), "/s").split("\n") if re.match(r" *\d+  ", line)]
    assert len(rows) == len(report.bottlenecks)
    assert LONG not in text.render(report, Screen(80), "/s").partition("\nnext\n")[0]
    assert LONG in text.render(report, Screen(), "/s").partition("\nnext\n")[0]


@pytest.mark.parametrize("width", [80, 160, None])
def test_rows_of_nothing_are_left_out(make_profile, frames, width):
    store = MemoryStorage()
    stacks = [
        ([frames.app(f"app:f{number}"), frames.lib("redis:get", "redis")], 0.004 if number else 2.0)
        for number in range(6)
    ]
    stacks.append(([frames.app("app:g"), frames.std("json:dumps")], 0.003))
    store.put(make_profile(stacks=stacks, wall=2.0252, category="", operation="op"))
    for top in (3, None):
        page = text.render(ProfileAnalyzer(store).analyze(top=top), Screen(width))
        assert "app.f0" in page
        for absent in ("app.f1", "not observed", "serialization", "smaller", " 0.00 s"):
            assert absent not in page


def test_where_all_is_nothing_the_first_row_stays(make_profile, frames):
    store = MemoryStorage()
    store.put(
        make_profile(stacks=[([frames.app("app:f")], 0.006), ([frames.app("app:g")], 0.003)], threshold=0.005)
    )
    page = text.render(ProfileAnalyzer(store).analyze(), Screen())
    assert "app.f" in page
    assert "app.g" not in page


@pytest.mark.parametrize("width", [80, 160, None])
def test_where_no_application_code_was_seen_the_page_says_so(make_profile, frames, width):
    store = MemoryStorage()
    store.put(make_profile(stacks=[([frames.lib("starlette.routing:run", "starlette"), frames.await_], 3.0)]))
    report = ProfileAnalyzer(store).analyze()
    assert "[no application code seen]" in text.render(report, Screen(width))
    assert report.to_dict()["bottlenecks"][0]["call_site"] == ""


@pytest.mark.parametrize(
    ("triggers", "line"),
    [
        ([Trigger.MANUAL], "1 capture by hand is not ranked"),
        ([Trigger.MANUAL, Trigger.MANUAL], "2 captures by hand are not ranked"),
        ([Trigger.ERROR], ""),
    ],
)
def test_captures_by_hand_do_not_vanish_silently(make_profile, triggers, line):
    store = MemoryStorage()
    store.put(make_profile())
    for trigger in triggers:
        store.put(make_profile(trigger=trigger, weight=0.0))
    page = text.render(ProfileAnalyzer(store).analyze(), Screen())
    assert [found for found in page.split("\n") if "by hand" in found] == ([line] if line else [])


def test_a_cell_has_80_columns_at_most_where_there_is_no_terminal(make_profile, frames):
    store = MemoryStorage()
    place = "deep." * 40 + "module:" + "f" * 20
    stack = [frames.app(place), frames.await_]
    store.put(
        make_profile(
            operation="o" * 200,
            category="c" * 200,
            stacks=[(stack, 3.0)],
            children=(ChildOperation("k" * 200, "db", 0, 2.9, {}),),
        )
    )
    report = ProfileAnalyzer(store).analyze()
    page = text.render(report, Screen(), "/s")
    ranking, _, rest = page.partition("\nby category")
    for cut in ("  " + "o" * 77 + "...  ", "  " + "k" * 77 + "...  ", "f (line 13)"):
        assert cut in ranking
    assert all(letter * 78 not in ranking for letter in "okc")
    assert "c" * 78 not in rest.partition("\nnext")[0]
    assert max(map(cell_len, ranking.split("\n"))) < 420
    assert report.to_dict()["bottlenecks"][0]["owner"] == "k" * 200
    for width in (80, 160):
        page = text.render(report, Screen(width)).split("\n")
        assert max(map(cell_len, page)) <= width


def test_plain_where_no_colours_are_wanted(report):
    assert "\x1b" not in text.render(report, Screen(80), "/s")
    assert "\x1b[" in text.render(report, Screen(80, color=True), "/s")


@pytest.mark.parametrize("width", [80, 160, None])
def test_nothing_stored_reaches_the_terminal_as_a_control_character(make_profile, frames, width):
    store = MemoryStorage()
    hostile = [frames.app(f"app:{HOSTILE}"), frames.lib("redis:get", "redis")]
    store.put(make_profile(operation=HOSTILE, service=HOSTILE, category=HOSTILE, stacks=[(hostile, 2.0)]))
    store.put(make_profile(operation=HOSTILE, category=HOSTILE, stacks=[(hostile[:1], 2.0)]))
    report = ProfileAnalyzer(store).analyze()
    for page in (
        text.render(report, Screen(width), HOSTILE),
        listing.render(list(store.scan()), Screen(width)),
    ):
        assert page.replace("\n", "").isprintable()
        assert "evil\\x1b" in page


def test_printable_keeps_what_is_asked_to_be_kept():
    assert printable("a\nb\x1b[1mc\u202e") == "a\\nb\\x1b[1mc\\u202e"
    assert printable("a\nb", lines=True) == "a\nb"
    assert (
        printable("\x1b[1mb\x1b[0m\x1b]0;x\x07", lines=True, colors=True) == "\x1b[1mb\x1b[0m\\x1b]0;x\\x07"
    )
    assert printable("naïve 订单 \ud800") == "naïve 订单 \\ud800"


def test_clipping_counts_columns_and_can_keep_the_end():
    assert clipped("abcdef", 6) == "abcdef"
    assert clipped("abcdefgh", 6) == "abc..."
    assert clipped("abcdefgh", 6, keep_end=True) == "...fgh"
    assert cell_len(clipped("订单订单订单", 8)) <= 8
    assert cell_len(clipped("订单订单订单", 8, keep_end=True)) <= 8
