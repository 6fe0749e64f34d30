"""The page of a comparison, in a real browser, and as Markdown: what changed is shown, and no name is believed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from profkit_analyzers import ProfileComparer, Source
from profkit_analyzers.changes.sides import ALL, Sides
from profkit_analyzers.pictures.trees import CallTree
from profkit_analyzers.reporters import comparison_markdown
from profkit_analyzers.reporters.page import comparison as page
from profkit_analyzers.reporters.page.difference import difference
from profkit_storage import ChildOperation, Frame, MemoryStorage, Origin, Sampling
from profkit_storage.categories import default_categories

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'`|&amp;\u202etxt.exe\x1b[31m"


def rendered(comparison, top=100):
    return page.render(comparison, ("a store", "a store"), top=top)


def column(one, number):
    return one.locator(f"#ranking tbody:not([hidden]) .row td:nth-child({number})").all_inner_texts()


@pytest.mark.browser
def test_the_table_sorts_searches_and_opens_what_is_known(shown, compared):
    one = shown(rendered(compared))
    first, rows = compared.bottlenecks[0], len(compared.bottlenecks)
    assert column(one, 5)[0] == first.function == "shop.orders.read"
    assert len(column(one, 1)) == rows > 5
    one.get_by_role("button", name=f"1, {first.operation}: evidence").click()
    for id in first.exemplars:
        expect(one.locator("#evidence-1")).to_contain_text(f"profkit show {id} 'a store'")
    head = one.locator("#ranking th", has_text="change")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    figures = [float(text.split()[0]) for text in column(one, 8)]
    assert figures == sorted(figures, reverse=True)
    assert figures != sorted(figures)
    search = one.get_by_label("Search the table")
    search.fill("SLOWER orders")
    expect(one.locator("#ranking-found")).to_have_text(f"1 of {rows} rows")
    assert (column(one, 2), column(one, 11)) == (["checkout"], ["slower"])
    search.fill("orders")
    expect(one.locator("#ranking-found")).to_have_text(f"2 of {rows} rows")


@pytest.mark.browser
def test_the_page_tells_both_sides_and_each_operation(shown, compared):
    one = shown(rendered(compared))
    sides = one.locator("header tbody tr")
    for row, side in zip(sides.all(), (compared.before, compared.after), strict=True):
        for wanted in (side.name, "a store", f"{side.profiles:,}", f"{side.first_seen:%Y-%m-%d %H:%M:%S}"):
            expect(row).to_contain_text(wanted)
    expect(one.locator("header")).to_contain_text("by another mix of operations")
    operations = one.locator("section[aria-labelledby=operations-title] tbody tr")
    assert operations.count() == 3
    expect(operations.first).to_contain_text(re.compile(r"checkout\s*slower"))
    change = compared.operations[0].seconds
    expect(operations.first).to_contain_text(f"{change.before:.3f} s{change.after:.3f} s")
    expect(one.locator("main")).to_contain_text("Only slow operations leave profiles")


@pytest.mark.browser
def test_the_flame_graph_has_the_slower_place_and_says_what_is_pointed_at(shown, compared):
    one = shown(rendered(compared))
    graph = one.locator(".difference-of", has=one.locator("summary b", has_text="checkout"))
    longer = graph.locator(".longer-strong > title, .longer-clear > title").all_text_contents()
    assert any(title.startswith("shop.orders.read: ") for title in longer)
    assert not any("shop.items" in title or "shop.prices" in title for title in longer)
    expect(graph.locator(".pointed")).to_contain_text("Point at a box")
    graph.locator(".box", has_text="shop.orders.read").first.hover()
    expect(graph.locator(".pointed")).to_contain_text(re.compile(r"shop\.orders\.read: .* before, .* after"))
    closed = one.locator(".difference-of", has=one.locator("summary b", has_text="chat"))
    expect(closed.locator("svg")).to_be_hidden()
    closed.locator("summary").click()
    expect(closed.locator("svg")).to_be_visible()
    assert one.locator(".difference-of").count() == 3


@pytest.mark.browser
def test_the_flame_graph_is_gone_through_by_keys(shown, compared):
    one = shown(rendered(compared))
    graph = one.locator(".difference-of", has=one.locator("summary b", has_text="checkout"))
    picture, said = graph.locator("svg"), graph.locator(".pointed")
    graph.locator("summary").focus()
    one.keyboard.press("Tab")
    expect(picture).to_be_focused()
    names = []
    for key in (
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
        "ArrowRight",
        "ArrowRight",
        "ArrowLeft",
        "ArrowUp",
        "Home",
        "ArrowUp",
    ):
        one.keyboard.press(key)
        expect(picture.locator(".current")).to_have_count(1)
        expect(said).to_have_text(picture.locator(".current title").text_content())
        names.append(said.text_content().partition(": ")[0])
    left = {name: box["x"] for name, box in boxes_of(picture)}
    top = {name: box["y"] for name, box in boxes_of(picture)}
    root, widest, below, beside, further, back, caller, home, stays = names
    assert root == "checkout" == home == stays
    assert (widest, below) != (root, widest)
    assert top[root] < top[widest] < top[below] == top[beside] == top[further]
    assert left[below] < left[beside] < left[further]
    assert (back, caller) == (
        beside,
        next(name for name in (widest, *left) if top[name] < top[beside] and left[name] <= left[beside]),
    )


def boxes_of(picture):
    return [
        (box.locator("title").text_content().partition(": ")[0], box.locator("rect").bounding_box())
        for box in picture.locator(".box").all()
    ]


@pytest.mark.browser
def test_both_themes_a_phone_and_paper(shown, compared):
    looks = []
    for scheme in ("light", "dark"):
        one = shown(rendered(compared), viewport={"width": 375, "height": 700}, color_scheme=scheme)
        one.get_by_role("button", name="Open all").click()
        one.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        assert one.evaluate("document.documentElement.scrollWidth") <= 375
        fill = "getComputedStyle(document.querySelector('.longer-clear .fill, .longer-strong .fill')).fill"
        looks.append((one.evaluate("getComputedStyle(document.body).backgroundColor"), one.evaluate(fill)))
    assert looks[0][0] != looks[1][0]
    assert looks[0][1] != looks[1][1]
    one = shown(rendered(compared), viewport={"width": 720, "height": 900})
    one.emulate_media(media="print")
    one.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(one.locator("#ranking-search")).to_be_hidden()
    assert one.locator(".difference:visible").count() == 3
    assert one.evaluate("document.documentElement.scrollWidth") <= 720
    assert one.pdf()[:4] == b"%PDF"


@pytest.mark.browser
def test_without_scripts_nothing_is_hidden_that_needs_none(shown, compared):
    one = shown(rendered(compared), java_script_enabled=False)
    expect(one.locator("#evidence-1")).to_be_visible()
    expect(one.locator("#ranking-search")).to_be_hidden()
    expect(one.locator(".difference").first).to_be_visible()
    expect(one.locator(".pointed").first).to_be_hidden()


def hostile(make_profile):
    """Two stores with a move and a change, in names that are markup."""
    own, place = (Frame(f"{name}{HOSTILE}", HOSTILE, 1, "", "", Origin.APPLICATION) for name in "ab")
    other = Frame("c" * 5_000, HOSTILE, 1, "y" * 5_000, "", Origin.SITE_PACKAGES)
    stores = MemoryStorage(), MemoryStorage()
    for number in range(40):
        # Seconds go from one library to another below the same function: they only move.
        for store, (first, second, rest) in zip(stores, ((1.0, 0.2, 0.1), (0.2, 1.0, 2.1)), strict=True):
            spread = number % 5 / 50
            store.put(
                make_profile(
                    operation=HOSTILE,
                    category=HOSTILE,
                    tags={HOSTILE: HOSTILE},
                    stacks=[([own, other], first + spread), ([own, place], second), ([place], rest)],
                    children=(ChildOperation(HOSTILE, HOSTILE, 0.5, 1.0, {HOSTILE: HOSTILE}),),
                    version=HOSTILE,
                )
            )
    return stores


@pytest.fixture
def hostile_comparison(make_profile):
    before, after = hostile(make_profile)
    return ProfileComparer().sources(Source(before, name=HOSTILE), Source(after, name=HOSTILE), pictures=True)


@pytest.mark.browser
def test_no_name_becomes_markup(shown, hostile_comparison):
    one = shown(page.render(hostile_comparison, (HOSTILE, HOSTILE), top=10))
    one.get_by_role("button", name="Open all").click()
    one.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    assert one.title() != "owned"
    assert one.locator("img").count() == 0
    assert "\u202e" not in one.content()
    assert one.evaluate("document.documentElement.scrollWidth") <= 1280
    one.set_viewport_size({"width": 375, "height": 700})
    assert one.evaluate("document.documentElement.scrollWidth") <= 375
    expect(one.locator("#ranking .row").first).to_contain_text("<img src=x onerror=alert(1)>")
    expect(one.locator(".difference-of summary")).to_contain_text("<img src=x")
    assert any("<img src=x" in text for text in one.locator(".difference .box title").all_text_contents())
    expect(one.locator("header")).to_contain_text("<img src=x")


def test_no_name_becomes_markdown(hostile_comparison):
    text = comparison_markdown.render(hostile_comparison, (HOSTILE, HOSTILE), top=10)
    assert "\u202e" not in text
    assert "\x1b" not in text
    rows = [line for line in text.split("\n") if line.startswith("| ") and " s |" in line]
    assert len(rows) >= 2
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) in (9, 11)
    # Outside of code every < is escaped, so no tag can begin.
    assert not re.search(r"(?<!\\)<", re.sub(r"(?<!\\)(`+)(?!`).*?[^`]\1(?!`)", "", text))


def test_markdown_has_operations_places_moves_and_notes(compared):
    text = comparison_markdown.render(compared, ("a store", "b"), top=2)
    first = compared.bottlenecks[0]
    assert re.search(r"^\| `checkout` \| \d+ .*\| \*\*slower\*\* \|$", text, re.MULTILINE)
    assert re.search(
        r"^\| `checkout` \| db \| psycopg \| `shop.orders.read` \|.*\*\*slower\*\*", text, re.MULTILINE
    )
    assert f"- after: `profkit show {first.exemplars[1]} b`" in text
    assert "by another mix of operations" in text
    assert "rows without evidence of a change" in text
    assert "- Only slow operations leave profiles" in text


def test_what_only_moved_is_told_in_each_form(compared, make_profile, frames):
    top, one, two = frames.app("a:top"), frames.lib("redis:get"), frames.lib("openai:chat")
    before, after = MemoryStorage(), MemoryStorage()
    for store, seconds in ((before, (1.0, 0.5)), (after, (0.5, 1.0))):
        for number in range(60):
            spread = number % 7 / 100
            stacks = [([top, one], seconds[0] + spread), ([top, two], seconds[1])]
            store.put(make_profile(operation="o", stacks=stacks, children=()))
    found = ProfileComparer().sources(Source(before), Source(after), pictures=True)
    assert any(row.shift is not None for row in found.bottlenecks)
    assert "moved: `a.top` " in comparison_markdown.render(found, ("x", "y"), top=5)
    text = rendered(found)
    assert '<span class="verdict moved">moved (slower)</span>' in text
    assert text.count("moved: <b>a.top</b> ") == 4  # in a list, and in what each of two rows opens
    assert "moved: <b>" not in rendered(compared)


def test_what_is_not_observed_has_a_box_and_only_the_widest_are_drawn(make_profile, frames):
    def tree(count):
        stacks = [([frames.app("a:top"), frames.app(f"a:f{number}")], 1.0) for number in range(count)]
        sides = Sides(detail=True)
        sides.add(make_profile(operation="o", stacks=stacks), ALL, default_categories(), pictured=True)
        return sides.sides[ALL].trees.trees()["o"]

    drawn = difference(tree(3), CallTree((), (), ()), (1, 0), "o", unobserved=(0.0, 2.0), width=500)
    assert re.findall(r"<title>(\[not observed\][^<]*)", drawn) == [
        "[not observed]: 0 ms before, 2.00 s after, +2.00 s an operation"
    ]
    many = difference(tree(3_000), tree(3_000), (1, 1), "o", width=50_000)
    assert many.count('<g class="box') == 1_000
    assert ">a.top: " in many


def test_a_page_is_small_whatever_the_names(make_profile):
    def stack(number, at):
        names = (f'"{number}.{at}.{depth}"' * 60 for depth in range(12))
        return [Frame(name, "", 1, "m", "", Origin.APPLICATION) for name in names]

    stores = MemoryStorage(), MemoryStorage()
    for times, store in enumerate(stores, start=1):
        for number in range(60):
            stacks = [(stack(number, at), 1.0 * times) for at in range(20)]
            for _ in range(2):
                store.put(make_profile(operation=f"<{number}>" * 90, stacks=stacks))
    found = ProfileComparer().sources(Source(stores[0]), Source(stores[1]), pictures=True)
    text = page.render(found, ("s" * 10_000, "s" * 10_000), top=100_000).encode()
    assert len(text) < 5_000_000
    assert "without a graph here" in text.decode()


def test_pages_of_next_to_nothing(make_profile):
    store = MemoryStorage()
    store.put(make_profile(stacks=[], wall=2.0, sampling=Sampling(unobserved=2.0)))
    found = ProfileComparer().sources(Source(store), Source(MemoryStorage()), pictures=True)
    assert "too few" in rendered(found)
    assert "<svg" not in rendered(replace(found, pictures=None))
