"""When things happened: lanes, the strip of states, the axis and threshold, and what a capture of a process shows."""

from __future__ import annotations

import re

import pytest

from profkit_storage import Branch, ChildOperation, Frame, Origin, Sampling, State, Trigger
from profkit_storage.formats.lanes import MAX_ROWS, lanes_of
from profkit_storage.formats.strip import COLUMNS, by_root, columns_of
from profkit_storage.formats.timeline import timeline_section

HOSTILE = "</title></svg><script>alert(1)</script><img src=x>\"'&\x00\ud800\u202e"


def child(name: str, start: float, end: float, parent: int = -1, category: str = "db") -> ChildOperation:
    return ChildOperation(name, category, start, end, {}, parent)


def test_operations_of_one_name_below_the_same_one_are_a_lane(make_profile):
    children = [
        child("load", 0.0, 1.0),
        child("query", 0.1, 0.2, 0),
        child("query", 0.3, 0.5, 0),
        child("query", 1.5, 1.6),
        child("store", 1.2, 2.0),
        child("query", 1.3, 1.4, 4),
    ]
    shown, branches = lanes_of(make_profile(children=children, branches=()))
    assert [(lane.name, lane.depth, len(lane.spans)) for lane in shown.lanes] == [
        ("load", 0, 1),
        ("query", 1, 2),
        ("store", 0, 1),
        ("query", 1, 1),
        ("query", 0, 1),
    ]
    assert shown.lanes[1].seconds == pytest.approx(0.3)
    assert (shown.lanes[1].start, shown.lanes[1].end) == (0.1, 0.5)
    assert branches.lanes == []


def test_a_parent_may_come_after_its_children(make_profile):
    children = [child("inner", 0.1, 0.2, 1), child("outer", 0.0, 1.0)]
    shown, _ = lanes_of(make_profile(children=children, branches=()))
    assert [(lane.name, lane.depth) for lane in shown.lanes] == [("outer", 0), ("inner", 1)]


def test_of_many_lanes_the_longest_are_shown_and_the_others_counted(make_profile):
    children = [child(f"op {number}", 0.0, 0.001 * (number + 1)) for number in range(1_000)]
    branches = [Branch(f"task {number}", -1, 0.0, 0.5) for number in range(1_000)]
    operations, tasks = lanes_of(make_profile(children=children, branches=branches))
    assert len(operations.lanes) + len(tasks.lanes) == MAX_ROWS
    assert len(tasks.lanes) >= 10
    assert {lane.name for lane in operations.lanes} == {
        f"op {number}" for number in range(1_000 - len(operations.lanes), 1_000)
    }
    assert operations.left_out == operations.spans == 1_000 - len(operations.lanes)
    assert operations.seconds == pytest.approx(
        sum(0.001 * (number + 1) for number in range(operations.left_out))
    )
    section = timeline_section(make_profile(children=children, branches=branches))
    assert f"Left out: {operations.left_out:,} more kinds of operations" in section
    assert f"Left out: {tasks.left_out:,} more tasks or threads" in section
    assert section.count("<tr>") == MAX_ROWS + 1


def test_a_lane_below_one_that_is_left_out_is_below_the_next_that_is_shown(make_profile):
    children = [child("outer", 0.0, 1.0)]
    for _ in range(200):
        children.append(child(f"level {len(children)}", 0.0, 0.0001, len(children) - 1))
    children.append(child("deep", 0.0, 0.9, len(children) - 1))
    shown, _ = lanes_of(make_profile(children=children, branches=()))
    assert [(lane.name, lane.depth) for lane in shown.lanes if lane.name == "outer"] == [("outer", 0)]
    (deep,) = [lane for lane in shown.lanes if lane.name == "deep"]
    assert 1 <= deep.depth < MAX_ROWS


def test_few_changes_of_state_are_shown_as_they_were(make_profile):
    states = [State.RUNNING, State.RUNNING, State.WAITING, State.GC]
    profile = make_profile(stacks=[(["a"], 0.2), (["b"], 0.3), (["a"], 1.0), (["a"], 0.5)], states=states)
    assert [(round(one.start, 6), round(one.end, 6), one.shares) for one in columns_of(profile)] == [
        (0.0, 0.5, {State.RUNNING: 1.0}),
        (0.5, 1.5, {State.WAITING: 1.0}),
        (1.5, 2.0, {State.GC: 1.0}),
    ]


def test_what_was_not_observed_is_spread_over_the_states(make_profile):
    profile = make_profile(stacks=[(["a"], 1.0)], wall=2.0, sampling=Sampling(unobserved=1.0))
    (column,) = columns_of(profile)
    assert (column.start, column.end) == (0.0, pytest.approx(2.0))
    assert "1.00 s were not observed" in timeline_section(profile)


def test_many_changes_are_columns_that_keep_the_seconds(make_profile):
    stacks = [(["a"], 0.001 + (index % 7) / 1000) for index in range(5_000)]
    states = [[State.RUNNING, State.WAITING, State.HELD][index % 3] for index in range(5_000)]
    profile = make_profile(stacks=stacks, states=states)
    columns = columns_of(profile)
    assert len(columns) == COLUMNS
    assert columns[-1].end == pytest.approx(profile.wall)
    for state in (State.RUNNING, State.WAITING, State.HELD):
        expected = sum(sample.wall for sample in profile.samples if sample.state is state)
        found = sum(one.shares.get(state, 0.0) * (one.end - one.start) for one in columns)
        assert found == pytest.approx(expected, rel=1e-6)
    assert all(sum(one.shares.values()) == pytest.approx(1.0) for one in columns)
    assert len(timeline_section(profile)) < 60_000


def test_the_threshold_is_a_line_or_a_sentence(make_profile):
    reached = timeline_section(make_profile(threshold=1.0))
    assert "threshold 1.00 s" in reached
    line = re.search(r'<line class="threshold" x1="([0-9.]+)%"', reached)
    assert float(line[1]) == pytest.approx(100 / 2.28, abs=0.01)
    never = timeline_section(make_profile(threshold=10.0))
    assert '<line class="threshold"' not in never
    assert "It ended before its threshold, 10.00 s." in never
    for value in (0.0, float("inf")):
        assert "threshold" not in timeline_section(make_profile(threshold=value))


@pytest.mark.parametrize(
    ("wall", "ticks"),
    [
        (2.4, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]),
        (0.0123, ["0 ms", "5 ms", "10 ms"]),
        (1.0, ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s"]),
        (3_600.0, ["0 s", "1,000 s", "2,000 s", "3,000 s"]),
        (5e-6, ["0 ms", "0.001 ms", "0.002 ms", "0.003 ms", "0.004 ms", "0.005 ms"]),
    ],
)
def test_the_axis_has_round_figures(make_profile, wall, ticks):
    section = timeline_section(make_profile(stacks=[(["a"], wall)], threshold=0.0))
    assert re.findall(r'text-anchor="\w+">([0-9.,]+ m?s)<', section) == ticks


def test_nested_operations_and_branches_are_in_the_picture_and_in_the_table(make_profile):
    children = [child("agent.step", 0.1, 2.0, category="agent"), child("llm.chat", 0.2, 1.8, 0, "llm")]
    section = timeline_section(make_profile(children=children, branches=[Branch("fetch", -1, 0.0, 0.5)]))
    assert re.findall(r'<path class="(lane \w+)"', section) == ["lane agent", "lane llm", "lane other"]
    assert re.findall(r'<text x="(\d+)" y="13">([\w.]+)</text>', section) == [
        ("0", "agent.step"),
        ("12", "llm.chat"),
        ("0", "fetch"),
    ]
    assert "<title>1.60 s, from 200 ms to 1.80 s</title>" in section
    rows = re.findall(r"<tr>(.*?)</tr>", section)[1:]
    assert [re.findall(r"<td[^>]*>([^<]*)", row) for row in rows] == [
        ["1.90 s", "1", "agent.step", "agent", "100 ms", "2.00 s"],
        ["1.60 s", "1", "llm.chat", "llm", "200 ms", "1.80 s"],
        ["500 ms", "1", "fetch", "task or thread", "0 ms", "500 ms"],
    ]


def test_it_fits_any_width_without_script_or_style(make_profile):
    section = timeline_section(make_profile())
    assert "<script" not in section
    assert not re.search(r" (?:style|on\w+)=", re.sub(r'"[^"]*"', "", section))
    assert re.search(r'<svg class="flame-time" width="100%"', section)


def test_names_stay_text(make_profile):
    section = timeline_section(
        make_profile(
            operation=HOSTILE,
            children=[child(HOSTILE, 0.0, 1.0, category=HOSTILE)],
            branches=[Branch(HOSTILE, -1, 0.0, 1.0)],
        )
    )
    section.encode()
    assert "<script" not in section
    assert "<img" not in section
    assert not set(section) & set("\x00\u202e")
    assert section.count("&lt;img src=x&gt;") >= 5


def test_it_is_small_whatever_the_profile_holds(make_profile):
    children = [
        child(f"{index % 40} {'<' * 5_000}", index / 1e4, index / 1e4 + 5e-5, category="<" * 5_000)
        for index in range(20_000)
    ]
    assert len(timeline_section(make_profile(children=children))) < 300_000


def test_a_capture_of_the_whole_process_has_no_line_of_time(make_profile):
    roots = [Frame(f"[{name}]", "", 0, "", "", Origin.SYNTHETIC) for name in ("thread MainThread", "task t")]
    stacks = [([roots[0], "work"], 0.7), ([roots[0], "wait"], 0.3), ([roots[1], "wait"], 1.0)]
    states = [State.RUNNING, State.WAITING, State.WAITING]
    profile = make_profile(stacks=stacks, states=states, wall=1.0, trigger=Trigger.MANUAL)
    assert by_root(profile) == [
        ("thread MainThread", {"running": pytest.approx(0.7), "waiting": pytest.approx(0.3)}),
        ("task t", {"waiting": pytest.approx(1.0)}),
    ]
    section = timeline_section(profile)
    assert "A capture of the whole process counts the seconds of every thread and task" in section
    assert 'flame-time" width' not in section
    assert "700 ms running, 300 ms waiting" in section


def test_many_threads_are_counted(make_profile):
    stacks = [
        ([Frame(f"[thread {number}]", "", 0, "", "", Origin.SYNTHETIC), "work"], 1.0) for number in range(100)
    ]
    section = timeline_section(make_profile(stacks=stacks, wall=1.0, trigger=Trigger.MANUAL))
    assert section.count("<li>") == MAX_ROWS
    assert "Left out: 60 more, 1 min 00 s in all." in section


@pytest.mark.parametrize("trigger", [Trigger.SLOW, Trigger.MANUAL])
def test_nothing_is_drawn_of_nothing(make_profile, trigger):
    empty = make_profile(stacks=[], wall=0.0, children=(), branches=(), trigger=trigger)
    assert "no sample was taken" in timeline_section(empty).lower()


def test_a_generator_that_stood_still_is_explained(make_profile):
    section = timeline_section(make_profile(paused=30.0, children=[child("late", 31.0, 32.0)]))
    assert "It stood still for 30.00 s between its steps." in section
    assert "<title>1.00 s, from 31.00 s to 32.00 s</title>" in section
