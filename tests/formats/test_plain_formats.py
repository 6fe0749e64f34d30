"""JSON, speedscope and text: what a reader of each relies on."""

from __future__ import annotations

import json

import pytest

from profkit_storage import Frame, Origin
from profkit_storage.formats import FORMATS, speedscope, text
from profkit_storage.formats import json as plain


def test_every_format_renders_the_same_profile_to_text(make_profile):
    assert list(FORMATS) == ["pyinstrument", "html", "speedscope", "json", "text"]
    profile = make_profile()
    for name, render in FORMATS.items():
        rendered = render(profile)
        assert "handle_message" in rendered, name
        rendered.encode("utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_an_empty_profile(make_profile, name):
    assert FORMATS[name](make_profile(stacks=[], wall=1.0))


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
