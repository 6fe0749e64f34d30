"""What the ranking looks like in a terminal of any width, and that nothing stored can drive the terminal."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.reporters import listing, text
from profkit_analyzers.reporters.terminal import Screen, clipped, printable
from profkit_storage import MemoryStorage

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
