"""JSON, speedscope, folded stacks and text: what a reader of each relies on."""

from __future__ import annotations

import gzip
import json
import tracemalloc

import pytest

from profkit_storage import Branch, Frame, Origin, Status
from profkit_storage.formats import FORMATS, MERGED_FORMATS, folded, speedscope, text
from profkit_storage.formats import json as plain
from profkit_storage.merging import MergedProfile


def test_every_format_renders_the_same_profile(make_profile):
    assert list(FORMATS) == [
        "pyinstrument",
        "html",
        "flamegraph",
        "speedscope",
        "pprof",
        "folded",
        "json",
        "text",
    ]
    profile = make_profile()
    for name, render in FORMATS.items():
        rendered = render(profile)
        if isinstance(rendered, bytes):
            rendered = gzip.decompress(rendered).decode("utf-8", "replace")
        assert "handle_message" in rendered, name
        rendered.encode("utf-8")


def test_all_but_json_can_carry_a_merge(make_profile):
    assert set(FORMATS) - set(MERGED_FORMATS) == {"json"}
    merged = MergedProfile()
    for operation in ("one", "two"):
        merged.add(make_profile(operation=operation), 2.0)
    for name, render in MERGED_FORMATS.items():
        rendered = render(merged)
        if isinstance(rendered, bytes):
            rendered = gzip.decompress(rendered).decode("utf-8", "replace")
        assert "handle_message" in rendered, name
        assert render(MergedProfile()) is not None, name


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_an_empty_profile(make_profile, name):
    rendered = FORMATS[name](make_profile(stacks=[], wall=1.0))
    assert rendered or name == "folded", "no stack, no line"


def test_json_is_ascii_with_tags_children_and_branches(make_profile):
    profile = make_profile(operation="größe \ud800", tags={"who": "é", "when": object})
    rendered = plain.render(profile)
    assert rendered.isascii()
    document = json.loads(rendered)
    assert document["operation"] == "größe \ud800"
    assert document["tags"] == {"who": "é", "when": "<class 'object'>"}
    assert document["children"][0]["tags"] == {"model": "m-large"}
    assert document["branches"][0]["name"] == "fetch_context"
    assert (document["status"], document["trigger"], document["samples"][2]["state"]) == (
        "ok",
        "slow",
        "waiting",
    )


def test_json_refuses_a_number_that_json_has_not(make_profile):
    with pytest.raises(ValueError, match="JSON compliant"):
        plain.render(make_profile(threshold=float("inf")))


def test_speedscope_shows_each_thread_by_itself(make_profile):
    first = Frame("[thread MainThread]", "", 0, "", "", Origin.SYNTHETIC)
    second = Frame("[thread \x1bworker]", "", 0, "", "", Origin.SYNTHETIC)
    stacks = [([first, "a"], 1.0), ([second, "b"], 2.0), ([first, "a"], 0.5)]
    document = json.loads(speedscope.render(make_profile(stacks=stacks)))
    assert document["$schema"] == speedscope.SCHEMA
    assert [(timeline["name"], timeline["endValue"]) for timeline in document["profiles"]] == [
        ("[thread MainThread]", 1.5),
        ("[thread \ufffdworker]", 2.0),
    ]
    assert document["shared"]["frames"][0] == {"name": "[thread MainThread]"}
    assert document["shared"]["frames"][1] == {"name": "a", "file": "/srv/app/main.py", "line": 10}


def test_speedscope_names_a_single_timeline_after_the_operation(make_profile):
    profile = make_profile()
    (timeline,) = json.loads(speedscope.render(profile))["profiles"]
    assert timeline["name"] == f"agent.route {profile.id}"
    assert timeline["endValue"] == pytest.approx(2.28)


def test_speedscope_shows_each_branch_by_itself_in_order_of_time(make_profile):
    stacks = [(["main", "a"], 1.0), (["work", "b"], 2.0), (["main", "c"], 0.5), (["work", "d"], 1.0)]
    profile = make_profile(stacks=stacks, branches=(Branch("Task-\x1b7", -1, 0.0, 4.0),))
    samples = tuple(
        sample._replace(branch=index % 2 - 1) for index, sample in enumerate(profile.samples, start=0)
    )
    fields = {name: getattr(profile, name) for name in ("frames", "nodes", "branches", "wall")}
    document = json.loads(speedscope.render(make_profile(**fields, samples=samples[::-1])))
    main, branch = document["profiles"]
    assert branch["name"] == "Task-\ufffd7"
    assert main["name"].startswith("agent.route ")
    names = [frame["name"] for frame in document["shared"]["frames"]]
    assert [names[stack[-1]] for stack in main["samples"]] == ["c", "a"]
    assert [names[stack[-1]] for stack in branch["samples"]] == ["d", "b"]
    assert (main["weights"], branch["weights"]) == ([0.5, 1.0], [1.0, 2.0])


def test_speedscope_shows_each_operation_of_a_merge_by_itself(make_profile):
    merged = MergedProfile()
    for operation, status in (("one", Status.OK), ("one", Status.ERROR), ("one", Status.OK)):
        merged.add(
            make_profile(stacks=[(["a"], 1.0), (["a", "b"], 2.0)], operation=operation, status=status), 2.0
        )
    document = json.loads(speedscope.render_merged(merged))
    assert {(one["name"], one["endValue"]) for one in document["profiles"]} == {
        ("one ok", 12.0),
        ("one error", 6.0),
    }


def test_folded_stacks_are_a_line_each_that_nothing_can_break(make_profile):
    odd = Frame("a;b\nc 1", "", 0, "", "", Origin.NATIVE)
    stacks = [(["m:root", odd], 1.0), (["m:root"], 0.25), (["m:root", odd], 0.5), (["m:root", "never"], 0.0)]
    assert folded.render(make_profile(stacks=stacks)) == "m.root 250000\nm.root;a,b\ufffdc 1 1500000\n"
    assert folded.render(make_profile(stacks=[], wall=1.0)) == ""


def test_text_is_plain_unless_colour_is_asked_for(make_profile):
    profile = make_profile(operation="evil\x1b[2J")
    assert "\x1b" not in text.render(profile)
    assert "evil\ufffd[2J" in text.render(profile)
    assert "\x1b[" in text.render(profile, color=True)
    assert text.render(profile, unicode=False).isascii() is False  # the replacement character of the name
    assert text.render(make_profile(), unicode=False).isascii()
    assert "└─" in text.render(profile)


def test_text_folds_libraries_until_asked_not_to(make_profile):
    library = [
        Frame(
            f"step{index}",
            "/srv/venv/lib/python3.11/site-packages/lib/x.py",
            index,
            "lib.x",
            "lib",
            Origin.SITE_PACKAGES,
        )
        for index in range(6)
    ]
    profile = make_profile(stacks=[(["root", *library, "callback"], 1.0)])
    assert "frames hidden" in text.render(profile)
    assert "step3" not in text.render(profile)
    assert "step3" in text.render(profile, show_all=True)


def test_a_deep_stack_is_folded_in_the_memory_of_its_line(make_profile):
    profile = make_profile(stacks=[([f"deep:function_{i}" for i in range(4_000)], 1.0)])
    tracemalloc.start()
    try:
        rendered = folded.render(profile)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rendered.count(";") == 3_999
    assert peak < 10_000_000
