"""What goes into a session or a file comes back: the same seconds for the same stacks."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinstrument import Profiler
from pyinstrument.session import Session

from profkit_storage import (
    ConfigurationError,
    Frame,
    Node,
    Origin,
    Profile,
    Sample,
    Sampling,
    State,
    Trigger,
)
from profkit_storage.categories import default_categories
from profkit_storage.formats import flamegraph, folded, pprof, speedscope
from profkit_storage.formats import json as plain
from profkit_storage.formats.boxes import boxes_of
from profkit_storage.formats.names import safe
from profkit_storage.formats.pyinstrument import from_session, merged_session, to_session
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile
from profkit_storage.ulid import is_ulid, new_ulid

NAMES = st.text(max_size=12).filter(lambda text: safe(text) == text)
QUALNAMES = st.one_of(
    NAMES, st.sampled_from(["A.b", "f.<locals>.g", "<module>", ".x", "x.", "..", "[await]"])
)
FILES = st.one_of(
    st.sampled_from(["/srv/app/a.py", "<frozen runpy>", "<string>", "C:\\app\\b.py"]),
    NAMES.map(lambda text: f"/srv/{text}.py"),
)
PYTHON = st.builds(
    Frame,
    QUALNAMES,
    FILES,
    st.integers(0, 10**6),
    st.just(
        "some.module"
    ),  # longer than any name here, so that no name can be that of another with its module
    st.just(""),
    st.sampled_from([Origin.APPLICATION, Origin.STDLIB, Origin.SITE_PACKAGES]),
)
NATIVE = QUALNAMES.map(lambda name: Frame(name, "", 0, "", "", Origin.NATIVE))
BRACKETED = st.one_of(
    st.sampled_from(["await", "self", "root", "out-of-context", "thread MainThread"]), NAMES
)
SYNTHETIC = BRACKETED.map(lambda name: Frame(f"[{name}]", "", 0, "", "", Origin.SYNTHETIC))
SECONDS = st.floats(0, 1e4, allow_subnormal=False)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    frames = draw(st.lists(st.one_of(PYTHON, NATIVE, SYNTHETIC), min_size=1, max_size=8, unique=True))
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 25))):
        frame = draw(st.integers(0, len(frames) - 1))
        line = 0 if frames[frame].origin is Origin.SYNTHETIC else draw(st.integers(0, 5000))
        nodes.append(Node(draw(st.integers(-1, index - 1)), frame, line))
    sample = st.builds(
        lambda node, wall, state: Sample(node, wall, state=state),
        st.integers(0, len(nodes) - 1),
        SECONDS,
        st.sampled_from(State),
    )
    samples = draw(st.lists(sample, max_size=30))
    observed = sum(sample.wall for sample in samples)
    unobserved = draw(SECONDS)
    return Profile(
        id=new_ulid(1_700_000_000_000_000_000),
        operation=draw(NAMES),
        category="",
        start_ns=1_700_000_000_000_000_000,
        wall=observed + unobserved,
        service="s",
        frames=tuple(frames),
        nodes=tuple(nodes),
        samples=tuple(samples),
        sampling=Sampling(ticks=draw(st.integers(0, 10**6)), unobserved=unobserved),
    )


Stack = tuple[tuple[str, str, int], ...]


def stacks(profile: Profile) -> list[tuple[Stack, float]]:
    """Return the profile's stacks in order, leaf first, neighbours that are the same as one."""
    found: list[tuple[Stack, float]] = []
    for sample in profile.samples:
        stack = tuple((frame.qualname, frame.filename, line) for frame, line in profile.stack(sample.node))
        seconds = sample.wall + (found.pop()[1] if found and found[-1][0] == stack else 0.0)
        found.append((stack, seconds))
    return found


def names_and_seconds(profile: Profile) -> dict[tuple[str, ...], float]:
    total: dict[tuple[str, ...], float] = defaultdict(float)
    for stack, seconds in stacks(profile):
        total[tuple(name for name, _, _ in reversed(stack))] += seconds
    return total


def same(left: list[tuple[Stack, float]], right: list[tuple[Stack, float]]) -> bool:
    return [stack for stack, _ in left] == [stack for stack, _ in right] and [
        seconds for _, seconds in left
    ] == pytest.approx([seconds for _, seconds in right])


@settings(max_examples=60, deadline=None)
@given(profiles())
def test_a_session_and_back_gives_the_same_stacks_and_seconds(profile: Profile) -> None:
    session = Session.from_json(json.loads(json.dumps(to_session(profile).to_json())))
    back = from_session(session, operation=profile.operation, service="s")
    assert same(stacks(back), stacks(profile))
    assert back.wall == profile.wall
    assert back.sampling.ticks == profile.sampling.ticks
    assert back.sampling.unobserved == pytest.approx(profile.sampling.unobserved, abs=1e-6)
    assert same(stacks(from_session(to_session(back), operation="o", service="s")), stacks(back))


@settings(max_examples=60, deadline=None)
@given(profiles())
def test_the_session_holds_every_second_of_every_stack(profile: Profile) -> None:
    total: dict[tuple[str, ...], float] = defaultdict(float)
    for stack, seconds in to_session(profile).frame_records:
        total[tuple(stack)] += seconds
    assert sum(total.values()) == pytest.approx(sum(sample.wall for sample in profile.samples))
    tree = to_session(profile).root_frame(trim_stem=False)
    if tree is not None:
        assert tree.time == pytest.approx(sum(sample.wall for sample in profile.samples))


@settings(max_examples=60, deadline=None)
@given(profiles())
def test_speedscope_holds_every_second_of_every_stack(profile: Profile) -> None:
    document = json.loads(speedscope.render(profile))
    frames = document["shared"]["frames"]
    total: dict[tuple[str, ...], float] = defaultdict(float)
    for timeline in document["profiles"]:
        assert timeline["endValue"] == pytest.approx(sum(timeline["weights"]))
        assert len(timeline["samples"]) == len(timeline["weights"])
        for stack, seconds in zip(timeline["samples"], timeline["weights"], strict=True):
            total[tuple(frames[index]["name"] for index in stack)] += seconds
    assert total == pytest.approx(names_and_seconds(profile))


@settings(max_examples=30, deadline=None)
@given(profile=profiles())
def test_every_format_gives_back_the_same_seconds_of_the_same_stacks(
    read_pprof: Any, profile: Profile
) -> None:
    expected = {stack: wall for stack, wall in names_and_seconds(profile).items() if wall > 1e-3}
    merged = MergedProfile.of(profile)
    for name, found in {
        "merge": of_merge(merged),
        "pyinstrument, merged": of_session(merged_session(merged)),
        "speedscope, merged": of_speedscope(speedscope.render_merged(merged)),
        "pprof": of_pprof(read_pprof(pprof.render(profile)), profile),
        "folded": of_folded(profile),
        "flamegraph": of_boxes(merged),
    }.items():
        shown = {tuple(map(_folded, stack)): wall for stack, wall in found.items() if wall > 1e-3}
        wanted: dict[tuple[str, ...], float] = defaultdict(float)
        for stack, wall in expected.items():
            wanted[tuple(map(_folded, stack))] += wall
        assert shown == pytest.approx(dict(wanted), rel=1e-6, abs=2e-5), name


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(profiles(), st.floats(0.5, 50)), min_size=1, max_size=4))
def test_a_merge_is_the_sum_of_what_is_in_it(weighted: list[tuple[Profile, float]]) -> None:
    merged = MergedProfile()
    expected: dict[tuple[str, ...], float] = defaultdict(float)
    for profile, weight in weighted:
        merged.add(profile, weight)
        for stack, wall in names_and_seconds(profile).items():
            expected[stack] += wall * weight
    assert of_merge(merged) == pytest.approx(dict(expected))
    assert merged.wall == pytest.approx(merged.unobserved + sum(expected.values()))


Seconds = dict[tuple[str, ...], float]


def _folded(name: str) -> str:
    return name.replace(";", ",")


def of_merge(merged: MergedProfile) -> Seconds:
    found: Seconds = defaultdict(float)
    for part, spent in merged.parts.items():
        found[tuple(frame.qualname for frame, _ in merged.stack(part.node))[::-1]] += spent.wall
    return found


def of_session(session: Session) -> Seconds:
    found: Seconds = defaultdict(float)
    back = from_session(session, operation="o", service="s")
    for stack, wall in names_and_seconds(back).items():
        found[stack] += wall
    return found


def of_speedscope(text: str) -> Seconds:
    document = json.loads(text)
    names = [frame["name"] for frame in document["shared"]["frames"]]
    found: Seconds = defaultdict(float)
    for timeline in document["profiles"]:
        for stack, wall in zip(timeline["samples"], timeline["weights"], strict=True):
            found[tuple(names[index] for index in stack)] += wall
    return found


def of_pprof(reader: Any, profile: Profile) -> Seconds:
    found: Seconds = defaultdict(float)
    names = {function_name(frame): frame.qualname for frame in profile.frames}
    for stack, (wall, _), _ in reader.stacks():
        found[tuple(names[function.name] for function in reversed(stack))] += wall / 1e9
    return found


def of_folded(profile: Profile) -> Seconds:
    found: Seconds = defaultdict(float)
    names = {_folded(function_name(frame)): frame.qualname for frame in profile.frames}
    for line in folded.render(profile).split("\n")[:-1]:
        stack, _, wall = line.rpartition(" ")
        found[tuple(names[name] for name in stack.split(";"))] += int(wall) / 1e6
    return found


def of_boxes(merged: MergedProfile) -> Seconds:
    document = json.loads(flamegraph.data(boxes_of(merged, default_categories())))
    boxes, texts, found = document["boxes"], document["texts"], defaultdict(float)
    for leaf, state, wall in zip(*document["own"], strict=True):
        if document["states"][state] != "not observed":
            names: list[str] = []
            box = leaf
            while box > 0:
                names.append(texts[boxes["name"][box]])
                box = boxes["parent"][box]
            found[tuple(reversed(names))] += wall
    return found


@settings(max_examples=60, deadline=None)
@given(profiles())
def test_plain_json_holds_everything(profile: Profile) -> None:
    document = json.loads(plain.render(profile))
    assert document.pop("schema") == 1
    assert set(document) == {field.name for field in dataclasses.fields(Profile)}
    assert [Frame(**row) for row in document["frames"]] == list(profile.frames)
    assert [Node(**row) for row in document["nodes"]] == list(profile.nodes)
    assert [Sample(**row) for row in document["samples"]] == list(profile.samples)
    assert Sampling(**document["sampling"]) == profile.sampling


def test_pyinstruments_own_session_becomes_a_profile() -> None:
    with Profiler(interval=0.001) as profiler:
        sum(len(str(number)) for number in range(200_000))
    session = profiler.last_session
    profile = from_session(session, operation="sum", service="tests", category="app", tags={"n": 1})
    assert is_ulid(profile.id)
    assert (profile.operation, profile.service, profile.category, profile.tags) == (
        "sum",
        "tests",
        "app",
        {"n": 1},
    )
    assert profile.wall == session.duration
    assert profile.sampling.engine == "pyinstrument"
    assert sum(sample.wall for sample in profile.samples) == pytest.approx(
        sum(seconds for _, seconds in session.frame_records)
    )
    ours = {frame.qualname: frame for frame in profile.frames if frame.filename == __file__}
    assert ours["test_pyinstruments_own_session_becomes_a_profile"].origin is Origin.APPLICATION
    assert not any(frame.qualname.startswith("[thread") for frame in profile.frames)
    origins = {frame.origin for frame in profile.frames if "/_pytest/" in frame.filename}
    assert origins == {Origin.SITE_PACKAGES}
    modules = {frame.module for frame in profile.frames if frame.filename.endswith("/_pytest/runner.py")}
    assert modules == {"_pytest.runner"}


def record_of(*strings: str, seconds: float = 1.0) -> Session:
    return Session(
        [(list(strings), seconds)], 1.0, 1.0, 0.01, 0.01, 1, [strings[0]] if strings else [], "", 0.5, [], []
    )


def test_threads_stay_apart_when_there_are_several() -> None:
    session = record_of("MainThread\x00<thread>\x001", "f\x00/a.py\x001")
    session.frame_records.append((["worker\x00<thread>\x002", "[await]"], 0.5))
    profile = from_session(session, operation="o", service="s", trigger=Trigger.MANUAL)
    assert [[name for name, _, _ in stack] for stack, _ in stacks(profile)] == [
        ["f", "[thread MainThread]"],
        ["[await]", "[thread worker]"],
    ]
    assert [sample.state for sample in profile.samples] == [State.RUNNING, State.WAITING]
    assert profile.weight == 0.0


def test_seconds_without_a_stack_are_unobserved() -> None:
    profile = from_session(record_of("MainThread\x00<thread>\x001"), operation="o", service="s")
    assert profile.samples == ()
    assert profile.sampling.unobserved == 1.0


@pytest.mark.parametrize(
    ("session", "named"),
    [
        (record_of("f\x00/a.py\x00x"), "f\\x00/a.py\\x00x"),
        (record_of("f\x00/a.py\x001\x01lx"), "lx"),
        (record_of("f", seconds=-1.0), "-1.0"),
        (record_of("f", seconds=float("nan")), "nan"),
    ],
)
def test_a_session_that_pyinstrument_would_not_write_is_refused_by_name(session: Session, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_session(session, operation="o", service="s")
    assert named in str(caught.value)
    assert "allowed" in str(caught.value)
