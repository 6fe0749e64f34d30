"""Several profiles as one: every second counted, memory bounded, and where child operations ran."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest

from profkit_storage import Branch, ChildOperation, Frame, Origin, Sampling, State, Status, Trigger, merging
from profkit_storage.marks import marks_of
from profkit_storage.merging import LEFT_OUT, MergedProfile, weight_of


def seconds(merged: MergedProfile) -> dict[tuple[str, ...], float]:
    """Return the wall seconds of each stack, its functions' names from the root."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for part, spent in merged.parts.items():
        names = [frame.qualname for frame, _ in merged.stack(part.node)]
        found[tuple(reversed(names))] += spent.wall
    return dict(found)


def test_the_same_stacks_are_summed_each_times_its_weight(make_profile):
    merged = MergedProfile()
    merged.add(make_profile(stacks=[(["a", "b"], 1.0), (["a", "c"], 0.5)], wall=2.0), 3.0)
    merged.add(make_profile(stacks=[(["a", "b"], 2.0), (["a"], 0.25)]), 1.0)
    assert seconds(merged) == pytest.approx({("a", "b"): 5.0, ("a", "c"): 1.5, ("a",): 0.25})
    assert (merged.count, merged.weight) == (2, 4.0)
    assert merged.wall == pytest.approx(8.25)
    assert merged.unobserved == pytest.approx(1.5)
    assert merged.wall == pytest.approx(merged.unobserved + sum(seconds(merged).values()))


def test_the_cpu_seconds_are_weighted_too(make_profile):
    merged = MergedProfile()
    merged.add(make_profile(stacks=[(["a"], 1.0), (["b"], 1.0)], states=[State.RUNNING, State.WAITING]), 2.0)
    assert merged.cpu == pytest.approx(2.0)
    assert sum(spent.cpu for spent in merged.parts.values()) == pytest.approx(2.0)


def test_only_slow_operations_stand_for_more_than_themselves(make_profile):
    assert weight_of(make_profile(weight=4.0)) == 4.0
    assert weight_of(make_profile(weight=0.0, trigger=Trigger.ERROR)) == 1.0


def test_one_profile_by_itself_is_not_weighted(make_profile):
    profile = make_profile(weight=7.0, request_id="r1")
    merged = MergedProfile.of(profile)
    assert merged.wall == profile.wall
    assert sum(seconds(merged).values()) == pytest.approx(sum(sample.wall for sample in profile.samples))
    assert (merged.title, merged.request_id) == ("agent.route", "r1")


def test_operations_and_ways_of_ending_stay_apart(make_profile):
    merged = MergedProfile()
    for operation, status in (
        ("one", Status.OK),
        ("one", Status.ERROR),
        ("two", Status.OK),
        ("one", Status.OK),
    ):
        merged.add(make_profile(stacks=[(["a", "b"], 1.0)], operation=operation, status=status))
    spent: dict[tuple[str, str], float] = defaultdict(float)
    for part, time in merged.parts.items():
        source = merged.sources[merged.source_of[part.node]]
        spent[source.operation, source.status] += time.wall
    assert spent == {("one", "ok"): 2.0, ("one", "error"): 1.0, ("two", "ok"): 1.0}
    assert merged.title == "4 profiles of one and 1 other operation"


def test_a_request_id_is_kept_only_if_all_are_of_it(make_profile):
    merged = MergedProfile()
    for id in ("r1", "r1"):
        merged.add(make_profile(request_id=id))
    assert merged.request_id == "r1"
    merged.add(make_profile(request_id="r2"))
    merged.add(make_profile(request_id="r1"))
    assert merged.request_id == ""


def test_what_held_the_loop_is_kept(make_profile):
    profile = make_profile(stacks=[(["a"], 1.0), (["a"], 1.0)], states=[State.HELD, State.HELD])
    samples = [profile.samples[0]._replace(holder=0), profile.samples[1]]
    merged = MergedProfile.of(make_profile(stacks=[(["z"], 0.0)]))
    merged.add(make_profile(frames=profile.frames, nodes=profile.nodes, samples=tuple(samples)))
    held = {merged.frames[part.holder].qualname if part.holder >= 0 else "" for part in merged.parts}
    assert held == {"a", ""}


def test_neighbours_are_in_order_of_their_seconds(make_profile):
    stacks = [(["a", "small"], 1.0), (["a", "large", "leaf"], 3.0), (["a", "middle"], 2.0)]
    merged = MergedProfile.of(make_profile(stacks=stacks))
    names = [merged.frames[merged.nodes[node].frame].qualname for node in merged.depth_first()]
    assert names == ["a", "large", "leaf", "middle", "small"]
    leaves = [merged.frames[merged.nodes[part.node].frame].qualname for part, _ in merged.in_order()]
    assert leaves == ["leaf", "middle", "small"]


def test_its_memory_has_a_bound_and_no_second_is_lost(make_profile):
    merged = MergedProfile(max_nodes=50)
    for number in range(100):
        stack = ["root", *(f"f{number}.{depth}" for depth in range(10))]
        merged.add(make_profile(stacks=[(stack, 1.0)], operation="o"))
    assert len(merged.nodes) <= 2 * 50
    assert len(merged.frames) <= 50 + 1
    assert sum(seconds(merged).values()) == pytest.approx(100.0)
    left_out = sum(spent for stack, spent in seconds(merged).items() if stack[-1] == LEFT_OUT.qualname)
    assert left_out == pytest.approx(96.0), "root and four stacks of ten have room"
    assert all(stack[0] == "root" for stack in seconds(merged))
    assert max(stack.count(LEFT_OUT.qualname) for stack in seconds(merged)) == 1


def test_names_without_a_bound_are_summed_as_others(make_profile, monkeypatch):
    monkeypatch.setattr(merging, "MAX_SOURCES", 3)
    monkeypatch.setattr(merging, "MAX_MARKS", 3)
    merged = MergedProfile()
    for number in range(6):
        child = ChildOperation(f"c{number}", "", 0.0, 1.0, {})
        merged.add(make_profile(stacks=[(["a"], 1.0)], operation=f"o{number}", children=(child,)))
    assert [source.operation for source in merged.sources] == ["o0", "o1", "o2", "[others]"]
    assert sum(seconds(merged).values()) == pytest.approx(6.0)
    assert len(merged.children) == 4
    assert sum(spent.wall for spent in merged.children.values()) == pytest.approx(6.0)


def marked(profile) -> list[str]:
    """Return the function each child operation was found in, "" for none."""
    nodes = [mark.node for mark in marks_of(profile)]
    return [profile.frames[profile.nodes[node].frame].qualname if node >= 0 else "" for node in nodes]


LIBRARY = Frame("send", "/lib/http.py", 1, "http", "http", Origin.SITE_PACKAGES)


def test_a_child_named_like_a_function_is_that_function(make_profile):
    stacks = [(["main"], 1.0), (["main", "app.db:Orders.read", LIBRARY], 1.0)]
    children = (
        ChildOperation("Orders.read", "db", 1.0, 2.0, {}),
        ChildOperation("app.db.Orders.read", "db", 1.0, 2.0, {}),
    )
    assert marked(make_profile(stacks=stacks, children=children)) == ["Orders.read", "Orders.read"]


def test_a_child_of_another_name_is_found_by_its_time(make_profile):
    stacks = [
        (["main"], 1.0),
        (["main", "ask", LIBRARY], 1.0),
        (["main", "ask", LIBRARY, "callback"], 0.0),
        (["main", "ask"], 1.0),
        (["main", "other"], 1.0),
    ]
    profile = make_profile(
        stacks=stacks,
        children=(
            ChildOperation("llm.chat", "llm", 1.01, 2.99, {}),
            ChildOperation("whole", "", 0.0, 4.0, {}),
            ChildOperation("short", "", 0.1, 0.2, {}),
            ChildOperation("late", "", 9.0, 9.5, {}),
        ),
    )
    assert marked(profile) == ["ask", "main", "", ""]


def test_the_lines_of_a_function_are_one_place(make_profile):
    profile = make_profile(
        stacks=[(["main", "read", LIBRARY], 1.0), (["main", "read", "x"], 1.0), (["main"], 1.0)],
        children=(ChildOperation("db.orders", "db", 0.0, 2.0, {}),),
    )
    nodes = list(profile.nodes)
    nodes.append(nodes[1]._replace(line=77))
    nodes.append(nodes[3]._replace(parent=4))
    samples = (profile.samples[0], profile.samples[1]._replace(node=5), profile.samples[2])
    assert marked(replace(profile, nodes=tuple(nodes), samples=samples)) == ["read"]


def test_what_was_not_observed_moves_no_child(make_profile):
    stacks = [(["main", "first"], 1.0), (["main", "second"], 1.0)]
    profile = make_profile(
        stacks=stacks,
        wall=4.0,
        sampling=Sampling(unobserved=2.0),
        children=(ChildOperation("x", "", 2.0, 4.0, {}),),
    )
    assert marked(profile) == ["second"]


def test_side_by_side_a_child_is_where_all_that_lasted_as_long_agree(make_profile):
    stacks = [(["main", "a"], 1.0), (["main", "b"], 1.0), (["main", "b"], 1.0), (["main", "c"], 1.0)]
    profile = make_profile(
        stacks=stacks,
        branches=(Branch("t0", -1, 0.0, 4.0), Branch("t1", -1, 0.0, 4.0), Branch("t2", -1, 0.0, 3.0)),
        children=(
            ChildOperation("long", "", 0.1, 4.0, {}),
            ChildOperation("short", "", 0.1, 3.9, {}),
            ChildOperation("both", "", 1.0, 3.0, {}),
        ),
    )
    branches = {"one": (2, 0, 1, 2), "itself": (-1, 0, 1, 2)}
    found = {}
    for name, numbers in branches.items():
        samples = tuple(
            sample._replace(branch=number) for sample, number in zip(profile.samples, numbers, strict=True)
        )
        found[name] = marked(replace(profile, samples=samples))
    assert found == {"one": ["b", "b", "b"], "itself": ["", "", "b"]}


def test_inferred_samples_say_nothing_of_a_child(make_profile):
    profile = make_profile(
        stacks=[(["main", "a"], 1.0), (["main", "b"], 1.0), (["main", "a"], 1.0)],
        children=(ChildOperation("x", "", 0.0, 3.0, {}),),
    )
    inferred = profile.samples[1]._replace(inferred=True)
    assert marked(profile) == ["main"]
    assert marked(replace(profile, samples=(profile.samples[0], inferred, profile.samples[2]))) == ["a"]


def test_a_name_tells_side_by_side_too(make_profile):
    profile = make_profile(
        stacks=[(["main", "a"], 1.0), (["main", "b"], 1.0)],
        branches=(Branch("t", -1, 0.0, 2.0),),
        children=(ChildOperation("x", "", 0.0, 2.0, {}), ChildOperation("b", "", 0.0, 2.0, {})),
    )
    samples = (profile.samples[0], profile.samples[1]._replace(branch=0))
    assert marked(replace(profile, samples=samples)) == ["", "b"]


def test_marks_are_summed_by_place_and_name(make_profile):
    merged = MergedProfile()
    for weight in (1.0, 2.0):
        child = ChildOperation("ask", "llm", 1.0, 2.0, {})
        merged.add(make_profile(stacks=[(["main"], 1.0), (["main", "ask"], 1.0)], children=(child,)), weight)
    ((child, spent),) = merged.children.items()
    assert merged.frames[merged.nodes[child.node].frame].qualname == "ask"
    assert (spent.wall, spent.count) == (3.0, 3.0)
