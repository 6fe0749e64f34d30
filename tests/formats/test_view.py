"""Parts of pages: what they share, how large they may be, and that their stylesheet is theirs alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import profkit
from profkit_storage import ChildOperation, Frame, Origin
from profkit_storage.formats import flamegraph
from profkit_storage.formats.names import legible
from profkit_storage.formats.view import view_of, view_of_merge
from profkit_storage.merging import MergedProfile

STYLE = Path(profkit.__file__).parent / "debug" / "static" / "style.css"


def rules(css: str) -> list[str]:
    """Return every selector of a stylesheet."""
    plain = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    heads = [head.strip() for head in re.findall(r"([^{}]+)\{", plain)]
    return [one.strip() for head in heads if not head.startswith("@") for one in head.split(",")]


def variables(css: str) -> list[dict[str, str]]:
    """Return the variables of the light theme, and of the dark one."""
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    return [dict(re.findall(r"(--[\w-]+): ([^;]+);", block)) for block in blocks]


def test_the_shared_stylesheet_has_no_rule_for_the_page_it_is_on():
    for selector in rules(flamegraph.resource("flamegraph.css")):
        assert selector == ":root" or selector.startswith("."), selector
    assert "body" in rules(flamegraph.resource("exported.css"))


def test_the_exported_page_has_the_colours_of_the_debug_pages():
    exported, debug = variables(flamegraph.resource("exported.css")), variables(STYLE.read_text())
    assert len(exported) == 2
    for own, theirs in zip(exported, debug, strict=True):
        assert {name: theirs.get(name) for name in own} == own
    light, dark = variables(flamegraph.resource("flamegraph.css"))
    assert set(light) == set(dark)
    assert not set(light) & set(exported[0])


def test_every_variable_that_is_used_is_set():
    shared, chrome = (flamegraph.resource(name) for name in flamegraph.STYLES)
    used = set(re.findall(r"var\((--[\w-]+)\)", shared + chrome))
    assert used <= {*variables(shared)[0], *variables(chrome)[0]}
    assert set(re.findall(r"var\((--[\w-]+)\)", shared)) <= {
        *variables(shared)[0],
        *variables(STYLE.read_text())[0],
    }


def test_a_profile_has_every_part_and_a_merge_no_timeline(make_profile):
    view = view_of(make_profile())
    assert all((view.states, view.graph, view.tree, view.timeline, view.hottest, view.data))
    assert not view_of(make_profile(), hottest=False).hottest
    merged = view_of_merge(MergedProfile.of(make_profile()))
    assert merged.hottest
    assert not merged.timeline
    assert "Operations inside" in merged.children


def test_ids_are_there_once(make_profile):
    page = flamegraph.render(make_profile())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for name in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page):
        assert name in ids


def test_the_data_fits_into_the_size_that_is_given(make_profile):
    stacks = [([f"root{'é' * 300}", f"f{index}{'<' * 1_000}"], 1.0 + index) for index in range(2_000)]
    view = view_of(make_profile(stacks=stacks), size=100_000)
    assert 20_000 < len(view.data.encode()) <= 100_000
    document = json.loads(view.data)
    assert sum(document["own"][2]) == pytest.approx(sum(seconds for _, seconds in stacks), rel=1e-6)
    assert "others, below the same callers, are summed up as [smaller ones]" in view.graph
    (smaller,) = document["smaller"]
    shown = len(document["boxes"]["parent"])
    assert smaller[1] + shown - 1 == 2_000 + 2, "all, the root, and what is below it"


def test_with_no_room_at_all_there_is_one_box(make_profile):
    view = view_of(make_profile(stacks=[(["a", "b"], 1.0)] * 50), size=1)
    assert len(json.loads(view.data)["boxes"]["parent"]) <= 3


def test_so_many_operations_are_looked_for_in_the_stacks_as_can_be(make_profile):
    children = tuple(
        ChildOperation(f"op{index}", "db", 0.0, 0.0001 * index, {}, index - 1) for index in range(3_000)
    )
    view = view_of(make_profile(children=children))
    assert "Left out:" in view.timeline
    assert "op2999" in view.timeline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\x00b\ud800c\u202ed\u2066e", "a\ufffdb\ufffdc\ufffdd\ufffde"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 299 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_a_name_is_shown_without_what_it_could_do(text, shown):
    assert legible(text) == shown


def test_a_page_of_a_hostile_profile_has_no_markup_of_it(make_profile):
    name = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'\x00\ud800\u202e"
    frame = Frame(name, name, 1, name, name, Origin.APPLICATION)
    children = (ChildOperation(name, name, 0.0, 1.0, {name: name}),)
    page = flamegraph.render(
        make_profile(
            stacks=[([frame], 1.0)], operation=name, category=name, tags={name: name}, children=children
        )
    )
    page.encode()
    assert "<img" not in page
    assert "\u202e" not in page
    assert page.count("<script") == 4
