"""The page of a trend, in a real browser: each series is drawn, changes are marked, and no name is believed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from profkit_analyzers.changes.comparison import Verdict
from profkit_analyzers.changes.trend import Change, Series, Trend
from profkit_analyzers.reporters.page import trend as page
from profkit_analyzers.skipping import Skipped

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'`|&amp;\u202etxt.exe\x1b[31m"
DAY = tuple(f"2026-02-{day:02}T{hour:02}:00" for day, hour in itertools.product(range(2, 12), range(24)))


def series(count=48, *, change=30, **fields):
    """A level of 1 s that is 2 s from `change` on; nothing is known of the fifth time."""
    values = tuple(None if n == 4 else 1.0 + n / 1000 if n < change else 2.0 + n / 1000 for n in range(count))
    changes = (Change(DAY[change], 1.0, 2.0, Verdict.SLOWER, 0.0004),) if change < count else ()
    known = {"figure": "seconds", "operation": "checkout", "category": "db", "function": "shop.orders.read"}
    return Series(**{**known, **fields}, operations=(3.0,) * count, values=values, changes=changes)


def trend_of(*found, count=48, **fields):
    return Trend(by="hour", profiles=1_234, times=DAY[:count], series=found, **fields)


@pytest.fixture
def trend():
    return trend_of(
        series(category="", function=""),
        series(change=48, figure="slow", category="", function=""),
        series(change=48, function="shop.prices.get", owner="redis"),
        series(owner="psycopg"),
    )


def column(one, number):
    return one.locator(f"#ranking tbody:not([hidden]) .row td:nth-child({number})").all_inner_texts()


@pytest.mark.browser
def test_changes_come_first_and_each_series_is_drawn(shown, trend):
    one = shown(page.render(trend, "a store"))
    expect(one.locator("header")).to_contain_text(
        "1,234 profiles, 48 hours, 2026-02-02T00:00 to 2026-02-03T23:00"
    )
    changes = one.locator("section[aria-labelledby=changes-title] tbody tr")
    assert changes.count() == 2
    expect(changes.last).to_contain_text("2026-02-03T06:00")
    expect(changes.last).to_contain_text("slower checkout in db, shop.orders.read")
    expect(changes.last).to_contain_text("1.000 s2.000 s0.0004")
    assert column(one, 3) == ["all of it", "share of calls", "db", "db"]
    assert column(one, 6) == ["1.000 s", "100.00 %", "1.000 s", "1.000 s"]
    one.get_by_role("button", name="4, checkout: evidence").click()
    plot = one.locator("#evidence-4 .plot")
    bars, lines = plot.locator(".lane"), plot.locator(".change")
    assert (bars.count(), lines.count()) == (47, 1), "of one time nothing is known"
    assert bars.nth(4).locator("title").text_content() == "2026-02-02T05:00: 1.005 s"
    low, high, line = bars.nth(20).bounding_box(), bars.nth(40).bounding_box(), lines.bounding_box()
    assert high["height"] == pytest.approx(2 * low["height"], rel=0.05)
    changed = bars.nth(29).bounding_box()  # the thirtieth time
    assert line["x"] == pytest.approx(changed["x"], abs=1)
    expect(one.locator("#evidence-4")).to_contain_text(
        "2026-02-03T06:00: slower, 1.000 s before, 2.000 s after"
    )
    one.locator("#evidence-4 summary").click()
    assert one.locator("#evidence-4 table tbody tr").nth(4).locator("td").all_inner_texts() == [
        "2026-02-02T04:00",
        "-",
    ]


@pytest.mark.browser
def test_rows_are_found_and_sorted(shown, trend):
    one = shown(page.render(trend, "a store"))
    one.get_by_label("Search the table").fill("SLOWER orders")
    expect(one.locator("#ranking-found")).to_have_text("1 of 4 rows")
    one.get_by_label("Search the table").fill("")
    one.locator("#ranking th", has_text="last").get_by_role("button").click()
    assert column(one, 7) == ["2.047 s", "2.047 s", "104.70 %", "1.047 s"]


@pytest.mark.browser
def test_a_long_series_has_several_times_in_a_column(shown):
    one = shown(page.render(trend_of(series(240, change=200), count=240), "a store"))
    one.get_by_role("button", name="Open all").click()
    bars, line = one.locator("#evidence-1 .plot .lane"), one.locator("#evidence-1 .plot .change")
    assert bars.count() == 80
    assert bars.nth(1).locator("title").text_content() == f"{DAY[3]}: 1.004 s"  # of the fourth and the sixth
    assert line.bounding_box()["x"] == pytest.approx(
        bars.nth(66).bounding_box()["x"] + bars.nth(66).bounding_box()["width"] * 0.72, abs=2
    )
    assert one.locator("#evidence-1 table tbody tr").count() == 80


@pytest.mark.browser
def test_a_share_is_of_all_calls_and_none_is_no_gap(shown):
    values = tuple(0.0 if n % 2 else 0.01 for n in range(200))
    slow = tuple(0.0 if n % 2 else 10.0 for n in range(200))
    share = replace(
        series(200, change=200, figure="slow", category="", function=""),
        values=values, operations=slow, calls=tuple(1_000.0 if n % 2 == 0 else 3_000.0 for n in range(200)),
    )  # fmt: skip
    one = shown(page.render(trend_of(share, count=200), "a store"))
    one.get_by_role("button", name="Open all").click()
    told = one.locator("#evidence-1 .plot .lane title").all_text_contents()
    # Three in each: 10 and 0 and 10 of 1,000 and 3,000 and 1,000, then 0 and 10 and 0.
    assert [text.partition(": ")[2] for text in told[:2]] == ["0.40 %", "0.14 %"]
    short = replace(share, values=values[:3], operations=slow[:3], calls=share.calls[:3])
    one = shown(page.render(trend_of(short, count=3), "a store"))
    one.get_by_role("button", name="Open all").click()
    one.locator("#evidence-1 summary").click()
    assert one.locator("#evidence-1 table td.figure").all_inner_texts() == ["1.00 %", "0.00 %", "1.00 %"]


@pytest.mark.browser
def test_a_few_times_have_room_on_a_phone(shown):
    one = shown(
        page.render(trend_of(series(5, change=9), count=5), "a store"), viewport={"width": 375, "height": 700}
    )
    one.get_by_role("button", name="Open all").click()
    plot = one.locator("#evidence-1 .plot").bounding_box()
    last = one.locator("#evidence-1 .plot > text").last.bounding_box()
    assert last["x"] + last["width"] <= plot["x"] + plot["width"]


@pytest.mark.browser
def test_both_themes_a_phone_and_no_scripts(shown, trend):
    looks = []
    for scheme in ("light", "dark"):
        one = shown(
            page.render(trend, "a store"), viewport={"width": 375, "height": 700}, color_scheme=scheme
        )
        one.get_by_role("button", name="Open all").click()
        assert one.evaluate("document.documentElement.scrollWidth") <= 375
        looks.append(one.evaluate("getComputedStyle(document.querySelector('.change.slower')).fill"))
    assert looks[0] != looks[1]
    one = shown(page.render(trend, "a store"), java_script_enabled=False)
    expect(one.locator("#evidence-1 .plot")).to_be_visible()
    expect(one.locator("#ranking-search")).to_be_hidden()


@pytest.mark.browser
def test_no_name_becomes_markup(shown):
    names = dict.fromkeys(("operation", "category", "owner", "function"), HOSTILE)
    found = trend_of(series(**names), skipped=(Skipped(HOSTILE, HOSTILE),), skipped_count=2)
    one = shown(page.render(found, HOSTILE))
    one.get_by_role("button", name="Open all").click()
    one.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert one.title() != "owned"
    assert one.locator("img").count() == 0
    assert "\u202e" not in one.content()
    for place in ("#ranking .row", "section[aria-labelledby=changes-title]", "h1", "header details"):
        expect(one.locator(place)).to_contain_text("<img src=x onerror=alert(1)>")
    one.set_viewport_size({"width": 375, "height": 700})
    assert one.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_page_has_a_bound():
    many = [replace(series(240, function=f"f{n}" * 200), operation="o" * 500) for n in range(1_000)]
    text = page.render(trend_of(*many, count=240), "a store")
    assert len(text) < 4_500_000
    assert "more rows" in text or " more</p>" in text


def test_nothing_changed_and_nothing_known():
    text = page.render(trend_of(series(change=48)), "a store")
    assert "No change that is more than chance." in text
    unknown = Series(figure="seconds", operation="o", operations=(0.0,) * 3, values=(None,) * 3)
    assert '<tbody data-rank="1">' in page.render(trend_of(unknown, count=3), "a store")


def test_the_command_writes_the_page(profkit, tmp_path, make_profile):
    from profkit_storage import open_storage

    with open_storage(tmp_path / "store") as storage:
        storage.put(make_profile(operation="checkout"))
    path = tmp_path / "trend.html"
    assert profkit("trend", tmp_path / "store", "--format", "html", "-o", path) == (0, "", "")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert profkit("trend", tmp_path / "store", "--format", "html")[1] == text
