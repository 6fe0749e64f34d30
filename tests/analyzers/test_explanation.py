"""Why each second went where it did: the same seconds as the ranking's, with what decided."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from profkit_analyzers import Role, Rule, explain
from profkit_analyzers.attribution.rulings import attribute
from profkit_storage import Branch, ChildOperation, Sample, State
from profkit_storage.categories import default_categories, load_categories
from tests.analyzers.profiles import any_profiles

TABLE = default_categories()


def child(name, category, start, end, parent=-1):
    return ChildOperation(name, category, start, end, {}, parent)


@pytest.fixture
def only(make_profile):
    """`only(stack, state, **fields)`: the one group of a profile with one stack."""

    def run(stack, state=State.RUNNING, **fields):
        found = explain(make_profile(stacks=[(stack, 2.0)], states=[state], **fields), TABLE)
        (group,) = found.groups
        return group

    return run


@settings(max_examples=150, deadline=None)
@given(profile=any_profiles())
def test_its_seconds_are_the_rankings_and_the_operations(profile):
    found = explain(profile, TABLE)
    ranked = attribute(profile, TABLE)
    assert found.seconds().keys() == ranked.seconds.keys()
    for blame, seconds in found.seconds().items():
        assert seconds == pytest.approx(ranked.seconds[blame])
    assert sum(group.seconds for group in found.groups) + found.unobserved == pytest.approx(profile.wall)
    assert [group.seconds for group in found.groups] == sorted(
        (group.seconds for group in found.groups), reverse=True
    )


@settings(max_examples=150, deadline=None)
@given(profile=any_profiles())
def test_what_it_gives_as_evidence_is_of_the_blamed_category_and_nothing_that_owns_is_passed(profile):
    for group in explain(profile, TABLE).groups:
        assert all(step.role is not Role.OWNER for step in group.passed)
        if group.rule in (Rule.LIBRARY, Rule.AROUND):
            deciding = group.stack[group.decided]
            word = deciding.word.place.split(".")[1]
            assert deciding.role is Role.OWNER
            assert word.startswith("calls[") or TABLE.category(word).reported == group.blame.category
        else:
            assert (group.decided, group.named) == (None, None)
        assert (group.child is not None) == (group.rule is Rule.CHILD)
        if group.child is not None:
            assert group.child.name == group.blame.owner
            assert TABLE.category(group.child.category).reported == group.blame.category
        if group.rule is Rule.TRANSPORT:
            assert group.only_remote
    json.dumps(explain(profile, TABLE).to_dict())


def test_a_library_is_named_with_its_frame_its_word_and_what_handed_on(frames, only):
    group = only(
        [
            frames.lib("starlette.routing:app", "starlette"),
            frames.app("app.llm:complete"),
            frames.lib("openai.resources:create", "openai"),
            frames.lib("httpx._client:Client.send", "httpx"),
            frames.std("ssl:SSLSocket.read"),
            frames.native("self._sslobj.read"),
        ]
    )
    assert group.rule is Rule.LIBRARY
    assert str(group.stack[group.decided]) == "openai.resources.create (line 13)"
    assert group.named == group.decided
    word = group.stack[group.decided].word
    assert word == ("categories.llm.packages", "openai", "categories.toml", "")
    assert [(step.name, step.role) for step in group.passed] == [
        ("self._sslobj.read", Role.TRANSPORT),
        ("ssl.SSLSocket.read", Role.TRANSPORT),
        ("httpx._client.Client.send", Role.TRANSPORT),
    ]
    assert [step.word.text for step in group.passed] == ["sslobj.read*", "ssl", "httpx"]
    assert group.passed[0].word.place == "calls[6]"
    assert not group.only_remote


def test_who_gave_the_name_is_told_where_it_was_another(frames, only):
    engine = frames.lib("sqlalchemy.engine.default:do_execute", "SQLAlchemy")
    group = only([frames.app("app:f"), engine, frames.native("cursor.execute")])
    assert group.blame.owner == "sqlalchemy"
    assert (group.stack[group.decided].name, group.stack[group.named].name) == (
        "cursor.execute",
        "sqlalchemy.engine.default.do_execute",
    )
    sdk = frames.lib("openai.resources:create", "openai")
    group = only([frames.app("app:f"), sdk, frames.std("json:dumps")])
    assert (group.blame.category, group.blame.owner) == ("serialization", "openai")
    assert (group.decided, group.named) == (0, 1)


def test_a_distribution_that_had_to_be_right_is_named(frames, only):
    group = only([frames.app("app:f"), frames.lib("agents.run:Runner.run", "openai-agents")])
    assert group.stack[0].word.distribution == "openai-agents"
    group = only([frames.app("app:f"), frames.lib("agents.run:Runner.run", "tensorflow-agents")])
    assert (group.rule, group.stack[0].role) == (Rule.OPERATION, Role.UNNAMED)


def test_child_operations_are_named_with_their_calls_and_how(make_profile, frames):
    stack = [frames.app("app:main"), frames.app("app:tool")]
    calls = tuple(child("tool", "db", number * 0.5, number * 0.5 + 0.5) for number in range(4))
    profile = make_profile(stacks=[(stack, 1.0), (stack, 1.0)], children=calls)
    (group,) = explain(profile, TABLE).groups
    assert (group.rule, group.samples) == (Rule.CHILD, 2)
    assert (group.child.name, group.child.category, group.child.in_flight) == ("tool", "db", False)

    waits = make_profile(
        stacks=[([*stack, frames.await_], 2.0)],
        states=[State.WAITING],
        children=(child("a", "db", 0, 1), child("a", "db", 1, 2), child("b", "llm", 0, 2)),
    )
    first, second = explain(waits, TABLE).groups
    assert {(group.child.name, group.child.calls) for group in (first, second)} == {("a", 2), ("b", 1)}
    assert first.child.in_flight
    assert (first.seconds, second.seconds) == (pytest.approx(1.0), pytest.approx(1.0))
    assert [step.name for step in first.passed] == ["[await]"]


def test_transport_says_that_only_remote_categories_could_have_it(frames, only):
    stack = [frames.app("app:ask"), frames.lib("httpx._api:get", "httpx"), frames.await_]
    tool = only(stack, State.WAITING, children=(child("tool", "agent", 0, 2),))
    assert (tool.rule, tool.only_remote, tool.blame.category) == (Rule.TRANSPORT, True, "http")
    llm = only(stack, State.WAITING, children=(child("llm.chat", "llm", 0, 2),))
    assert (llm.rule, llm.only_remote) == (Rule.CHILD, True)
    own = only(stack, State.WAITING, category="llm")
    assert (own.rule, own.only_remote) == (Rule.OPERATION, True)


def test_a_framework_around_the_application_is_rule_4_and_plain_code_rule_5(frames, only):
    around = frames.lib("langgraph.pregel:invoke", "langgraph")
    group = only([frames.app("app:main"), around, frames.app("app:node"), frames.std("re:sub")])
    assert (group.rule, group.stack[group.decided].name) == (Rule.AROUND, "langgraph.pregel.invoke")
    assert [step.role for step in group.passed] == [Role.UNNAMED, Role.APPLICATION]
    group = only([frames.app("app:main"), frames.std("asyncio.tasks:sleep"), frames.await_], State.WAITING)
    assert (group.rule, group.decided) == (Rule.OPERATION, None)
    assert [step.role for step in group.passed] == [Role.WAIT, Role.WAIT]


def test_what_held_the_loop_is_named(make_profile, frames):
    profile = make_profile(stacks=[([frames.app("app:main")], 2.0)])
    held = Sample(0, 2.0, state=State.HELD, holder=0)
    (group,) = explain(dataclasses.replace(profile, samples=(held,)), TABLE).groups
    assert (group.rule, group.holder, group.passed) == (Rule.RUNTIME, "app.main", ())


def test_samples_are_one_group_by_stack_state_and_outcome(make_profile, frames):
    stack = [frames.app("app:main"), frames.lib("redis.client:get", "redis")]
    profile = make_profile(
        stacks=[(stack, 0.5), (stack[:1], 0.25), (stack, 0.5), (stack, 0.125)],
        states=[State.RUNNING, State.RUNNING, State.RUNNING, State.WAITING],
    )
    beside = tuple(
        sample._replace(branch=0, inferred=True) if index == 2 else sample
        for index, sample in enumerate(profile.samples)
    )
    profile = dataclasses.replace(profile, samples=beside, branches=(Branch("b", -1, 0, 1),))
    groups = explain(profile, TABLE).groups
    assert [(group.seconds, group.samples, group.inferred) for group in groups] == [
        (1.0, 2, 0.5),
        (0.25, 1, 0),
        (0.125, 1, 0),
    ]


def test_a_users_own_word_is_named_with_its_file(tmp_path, make_profile, frames):
    path = tmp_path / "mine.toml"
    path.write_text(
        'schema = 1\n[categories.payments]\npackages = ["redis"]\nfunctions = ["app_sdk.wire:pack*"]\n'
        '[[calls]]\ncategory = "payments"\nowner = "terminal"\nmethods = ["authorise"]\nreceivers = ["card"]\n'
    )
    table = load_categories(path)
    stacks = [
        ([frames.app("app:a"), frames.lib("redis.client:get", "redis")], 1.0),
        ([frames.app("app:a"), frames.lib("app_sdk.wire:pack_all", "app-sdk")], 0.5),
        ([frames.app("app:a"), frames.native("card_reader.authorise")], 0.25),
    ]
    groups = explain(make_profile(stacks=stacks), table).groups
    assert {group.blame.category for group in groups} == {"payments"}
    assert [group.stack[0].word[:3] for group in groups] == [
        ("categories.payments.packages", "redis", str(path)),
        ("categories.payments.functions", "app_sdk.wire:pack*", str(path)),
        ("calls[1]", "card.authorise", str(path)),
    ]


def test_it_is_frozen_and_its_json_says_all_of_it(make_profile):
    found = explain(make_profile(), TABLE)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.wall = 0  # type: ignore[misc]
    document = json.loads(json.dumps(found.to_dict()))
    assert (document["schema"], document["groups_count"]) == (1, len(found.groups))
    assert set(document["rules"]) == {"1", "2", "3", "4", "5", "6"}
    assert sum(group["seconds"] for group in document["groups"]) + document["unobserved"] == pytest.approx(
        document["seconds"], abs=1e-4
    )
    for group in document["groups"]:
        if group["decided"] is not None:
            assert group["stack"][group["decided"]]["role"] == "owner"
    assert len(found.to_dict(top=2)["groups"]) == 2


def test_every_name_in_its_json_is_in_the_documentation(make_profile, frames):
    page = (Path(__file__).parents[2] / "docs" / "analysis-json.md").read_text()
    section = page.split("## `profkit explain")[1].split("\n## ")[0]
    document = explain(make_profile(), TABLE).to_dict()
    groups = document["groups"]
    names = {*document, *groups[0], *groups[0]["stack"][0], *groups[0]["stack"][1]["word"]}
    assert {name for name in names if f"`{name}`" not in section} == set()
