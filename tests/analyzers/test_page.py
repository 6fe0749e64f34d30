"""The report's page, in a real browser: it asks for nothing, sorts, searches, opens, prints, and believes no name."""

from __future__ import annotations

import dataclasses
import re

import pytest
from playwright.sync_api import expect

from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.findings import Evidence, Finding, Unit
from profkit_analyzers.reporters import markdown, page
from profkit_analyzers.reporters.page.difference import difference
from profkit_analyzers.reporters.page.graphs import graphs_of
from profkit_analyzers.reporters.page.ranking import trees_of_rows
from profkit_storage import ChildOperation, Frame, MemoryStorage, Origin, Sampling, State
from profkit_storage.categories import default_categories

HOUR = 3_600_000_000_000
NOON = 1_773_489_600_000_000_000
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'`|&amp;\u202etxt.exe\x1b[31m"


def report_of(profiles, **options):
    store = MemoryStorage()
    for profile in profiles:
        store.put(profile)
    return ProfileAnalyzer(store).analyze(pictures=True, **options)


@pytest.fixture
def report(make_profile, frames):
    read, ask = frames.lib("redis:get"), frames.lib("openai:chat")

    def one(number):
        stacks = [
            ([frames.app("app:handle"), frames.app("app:look_up"), read], 1.0 + number % 5),
            ([frames.app("app:handle"), frames.app("app:answer"), ask], 2.5),
            ([frames.app("app:handle")], 0.5),
        ]
        return make_profile(
            operation=f"op.{number % 3}",
            stacks=stacks,
            states=[State.WAITING, State.WAITING, State.RUNNING],
            start_ns=NOON + number * HOUR,
            host=f"web-{number % 2}",
            children=(ChildOperation("llm.chat", "llm", 1.0, 2.0, {}),),
        )

    return report_of(map(one, range(30)))


def column(one, number):
    return one.locator(f"#ranking tbody:not([hidden]) .row td:nth-child({number})").all_inner_texts()


@pytest.mark.browser
def test_the_ranking_sorts_searches_and_opens_its_evidence(shown, report):
    one = shown(page.render(report, "profiles"))
    rows = len(report.bottlenecks)
    assert len(column(one, 1)) == rows == 9
    button = one.get_by_role("button", name="1, op", exact=False).first
    evidence = one.locator("#evidence-1")
    expect(evidence).to_be_hidden()
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    one.keyboard.press("Enter")
    expect(evidence).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    first = report.bottlenecks[0]
    for wanted in (first.exemplar, "first seen2026-03-1", "hostsweb-0, web-1", "95 %"):
        expect(evidence).to_contain_text(wanted)
    evidence.get_by_text("Its hottest stack").click()
    expect(evidence.locator("ol")).to_contain_text("app.handle")
    head = one.get_by_role("columnheader", name="seconds")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    figures = [float(text.split()[0].replace(",", "")) for text in column(one, 8)]
    assert figures == sorted(figures, reverse=True)
    head.get_by_role("button").click()
    assert column(one, 8) == [f"{value:,.2f} s" for value in sorted(figures)]
    one.get_by_role("columnheader", name="operation", exact=True).get_by_role("button").click()
    assert column(one, 2) == sorted(column(one, 2))
    one.get_by_label("Search the ranking").fill("OPENAI op.1")
    expect(one.locator("#ranking-found")).to_have_text(f"1 of {rows} rows")
    assert column(one, 4) == ["openai"]
    one.get_by_label("Search the ranking").fill("")
    one.get_by_role("button", name="Open all").click()
    assert one.locator(".evidence:visible").count() == rows


@pytest.mark.browser
def test_flame_graphs_are_of_an_operation_or_of_a_row(shown, report):
    one = shown(page.render(report, "profiles"))
    assert one.locator("[data-box]").count() == 0
    one.locator("#graphs").scroll_into_view_if_needed()
    one.locator("[data-box]").first.wait_for()
    names = one.locator(".flame text").all_text_contents()
    assert {"handle", "look_up", "answer", "get", "chat"} <= set(names)
    asked = next(row for row in report.bottlenecks if row.owner == "openai")
    one.get_by_role("button", name=f"{asked.rank}, {asked.operation}: evidence").click()
    one.locator(f"#evidence-{asked.rank}").get_by_role("button", name="Its flame graph").click()
    expect(one.locator(".flame text", has_text="chat")).to_be_visible()
    assert set(one.locator(".flame text").all_text_contents()) == {
        asked.operation,
        "handle",
        "answer",
        "chat",
    }
    expect(one.get_by_role("tree")).to_have_attribute("aria-label", re.compile(f"{asked.seconds:.2f} s"))
    assert one.evaluate("document.activeElement.id") == "graph-choice"
    one.keyboard.press("/")
    one.locator("#flame-search").fill("chat")
    expect(one.locator("#flame-found")).to_contain_text("1 function")
    one.locator("#flame-tree").focus()
    one.keyboard.press("ArrowDown")
    assert "handle" in one.locator(".tree-row.active").inner_text()


@pytest.mark.browser
def test_both_themes_a_phone_and_paper(shown, report):
    text = page.render(report, "profiles")
    grounds = []
    for scheme in ("light", "dark"):
        one = shown(text, viewport={"width": 375, "height": 700}, color_scheme=scheme)
        one.get_by_role("button", name="Open all").click()
        one.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        one.locator("#graphs").scroll_into_view_if_needed()
        one.locator("[data-box]").first.wait_for()
        assert one.evaluate("document.documentElement.scrollWidth") <= 375
        grounds.append(one.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]
    one.emulate_media(media="print")
    expect(one.locator("#ranking-search")).to_be_hidden()
    expect(one.locator("#flame-search")).to_be_hidden()
    expect(one.locator("#evidence-1")).to_be_visible()
    assert one.pdf()[:4] == b"%PDF"


@pytest.mark.browser
def test_without_scripts_nothing_is_hidden_that_needs_none(shown, report):
    one = shown(page.render(report, "profiles"), java_script_enabled=False)
    expect(one.locator("#evidence-1")).to_be_visible()
    expect(one.locator("#ranking-search")).to_be_hidden()
    expect(one.locator("#graphs")).to_be_hidden()


def hostile(make_profile):
    frame = Frame(HOSTILE, HOSTILE, 1, HOSTILE, HOSTILE, Origin.APPLICATION)
    long = Frame("x" * 5_000, HOSTILE, 1, "y" * 5_000, "", Origin.SITE_PACKAGES)
    return make_profile(
        operation=HOSTILE,
        category=HOSTILE,
        host=HOSTILE,
        version=HOSTILE,
        service=HOSTILE,
        tags={HOSTILE: HOSTILE},
        stacks=[([frame, long], 2.0), ([frame], 1.0)],
        children=(ChildOperation(HOSTILE, HOSTILE, 0.5, 1.0, {HOSTILE: HOSTILE}),),
    )


def finding_of(text):
    return Finding(
        pattern=text, operation=text, place=text, seconds=1.5, operations=3, advice=text, exemplars=(text,),
        evidence=(
            Evidence(text, text, Unit.NAME), Evidence("queries", 12, Unit.COUNT), Evidence("waited", 0.5, Unit.SECONDS),
        ),
    )  # fmt: skip


@pytest.mark.browser
def test_no_name_becomes_markup(shown, make_profile):
    found = report_of([hostile(make_profile)])
    found = dataclasses.replace(found, findings=(finding_of(HOSTILE),))
    one = shown(page.render(found, HOSTILE))
    one.get_by_role("button", name="Open all").click()
    one.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    one.locator("#graphs").scroll_into_view_if_needed()
    one.locator("[data-box]").first.wait_for()
    assert one.title() != "owned"
    assert one.locator("img").count() == 0
    assert "\u202e" not in one.content()
    assert one.evaluate("document.documentElement.scrollWidth") <= 1280
    one.set_viewport_size({"width": 375, "height": 700})
    assert one.evaluate("document.documentElement.scrollWidth") <= 375
    expect(one.locator("#ranking .row").first).to_contain_text("<img src=x onerror=alert(1)>")
    expect(one.locator(".findings")).to_contain_text("queries12")


def test_no_name_becomes_markdown(make_profile):
    text = markdown.render(report_of([hostile(make_profile)]), HOSTILE)
    assert "\u202e" not in text
    assert "\x1b" not in text
    table = [line for line in text.split("\n") if line.startswith("| 1 ")]
    assert len(table) == 1
    assert len(re.findall(r"(?<!\\)\|", table[0])) == 11
    # Outside of code every < is escaped, so no tag can begin.
    assert not re.search(r"(?<!\\)<", re.sub(r"(?<!\\)(`+)(?!`).*?[^`]\1(?!`)", "", text))


def test_markdown_has_the_ranking_and_its_evidence(report):
    text = markdown.render(report, "profiles")
    first = report.bottlenecks[0]
    assert f"| 1 | `{first.operation}` | {first.category}" in text
    assert f"`profkit show {first.exemplar} profiles`" in text
    assert "hosts: `web-0`, `web-1`" in text
    assert "| llm | 75.00 s |" in text


def test_a_page_is_small_whatever_the_names(make_profile):
    def stack(number):
        return [
            Frame(f'"{number}.{depth}"' * 60, "", 1, f"m{number}", "", Origin.APPLICATION)
            for depth in range(12)
        ]

    profiles = [
        make_profile(
            operation=f"<{number}>" * 90,
            stacks=[(stack(number * 20 + at), 1.0) for at in range(20)],
            host="é" * 400 + str(number),
        )
        for number in range(60)
    ]
    found = report_of(profiles)
    assert len(found.bottlenecks) > 1_000
    text = page.render(found, "s" * 10_000).encode()
    assert len(text) < 5_000_000
    assert "smaller ones" in text.decode()


def test_graphs_conserve_the_seconds(report):
    found = graphs_of(report, trees_of_rows(report), default_categories())
    assert set(found.of_rows) == {row.rank for row in report.bottlenecks}
    for row in report.bottlenecks:
        (option,) = re.findall(rf'value="row-{row.rank}">[^<]*\(([0-9.]+) s\)', found.section)
        assert float(option) == pytest.approx(row.seconds, abs=0.01)


@pytest.mark.browser
def test_pages_of_next_to_nothing(shown, make_profile):
    empty = report_of([make_profile(stacks=[], wall=2.0, sampling=Sampling(unobserved=2.0))])
    one = shown(page.render(empty, "profiles"))
    expect(one.locator("main")).to_contain_text("Nothing is over the budget")
    page.render(report_of([]), "profiles")


def test_a_difference_shows_what_takes_longer_and_what_less(make_profile, frames):
    top, slow, quick = frames.app("a:top"), frames.app("a:slow"), frames.app("a:quick<")

    def tree(*seconds):
        stacks = [([top, slow], seconds[0]), ([top, quick], seconds[1])]
        found = report_of([make_profile(operation="o", stacks=stacks) for _ in range(2)])
        return found.pictures.trees["o"]

    drawn = difference(tree(1.0, 3.0), tree(4.0, 1.0), (2, 2), HOSTILE, width=800)
    boxes = re.findall(
        r'<g class="box ([a-z-]+)"><title>([^<]*)</title><rect class="fill" x="([0-9.]+)"', drawn
    )
    assert [(kind, title) for kind, title, _ in boxes if "a." in title] == [
        ("longer-strong", "a.top: 4.00 s before, 5.00 s after, +1.00 s an operation"),
        ("shorter-strong", "a.quick&lt;: 3.00 s before, 1.00 s after, -2.00 s an operation"),
        ("longer-strong", "a.slow: 1.00 s before, 4.00 s after, +3.00 s an operation"),
    ]
    widths = [float(width) for width in re.findall(r'width="([0-9.]+)" height="19"', drawn)]
    assert max(widths) == 799
    assert "<script" not in drawn
