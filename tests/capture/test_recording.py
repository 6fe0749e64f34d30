"""Recordings: seconds conserved and everything bounded, whatever comes; and what is inferred from them."""

from __future__ import annotations

import itertools
import random
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit.recorder.strands import strands_of
from profkit.sampling import sights
from profkit.sampling.branches import Branch
from profkit.sampling.calltree import MAX_DEPTH, CallTree
from profkit.sampling.codes import OFFSET_BITS, CodeTable
from profkit.sampling.inference import with_unseen_running, with_unseen_steps
from profkit.sampling.recording import Recording
from profkit.sampling.threads import LoopUse
from profkit.sampling.timeline import HELD, NOBODY, RUNNING, STARVED, SUSPENDED, WAITING, Span
from profkit.sampling.view import View

STATES = [RUNNING, WAITING, SUSPENDED, STARVED, HELD]
LOOKS = st.lists(
    st.tuples(
        st.floats(0.0001, 10),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from(STATES)), max_size=4),
    ),
    max_size=80,
)
"""Looks: the gap before each, and what is seen: strand, node and state; nothing where that is empty."""
BRANCHES = [None, Branch("a"), Branch("b"), Branch("c")]


def recorded(
    looks: list[tuple[float, list[tuple[int, int, int]]]], limit: int = 1000
) -> tuple[Recording, float]:
    recording = Recording(CallTree(CodeTable()), 100.0, limit, 0.0)
    now = 100.0
    for gap, seen in looks:
        now += gap
        wall = recording.begin_look(now)
        for strand, node, state in seen:
            track = recording.track(BRANCHES[strand])
            recording.observe(track, wall, wall / len(seen), node, state, NOBODY, wall / 2 / len(seen))
        if not seen:
            recording.miss(wall)
    return recording, now


def spans_of(recording: Recording) -> list[list[Span]]:
    return [track.timeline.spans() for track in recording.tracks.values()]


def total(recording: Recording) -> float:
    return sum(span.wall for spans in spans_of(recording) for span in spans) + recording.unobserved


@given(LOOKS, st.floats(0, 5), st.floats(0, 5), st.integers(20, 60))
def test_seconds_are_conserved_and_spans_bounded(
    looks: list[tuple[float, list[tuple[int, int, int]]]], rest: float, allowance: float, limit: int
) -> None:
    recording, now = recorded(looks, limit)
    recording.finish(now + rest, allowance)
    assert total(recording) == pytest.approx(now + rest - 100.0)
    assert sum(map(len, spans_of(recording))) <= limit + len(BRANCHES)
    for spans in spans_of(recording):
        assert (
            all(
                one[0:4:3] != other[0:4:3] or other.began > one.ended
                for one, other in itertools.pairwise(spans)
            )
            or recording.stride > 1
        )
        assert all(span.began <= span.ended and span.wall >= 0 for span in spans)


@given(LOOKS.filter(bool), st.floats(0, 0.999))
def test_what_a_look_gave_after_the_end_is_taken_back(
    looks: list[tuple[float, list[tuple[int, int, int]]]], part: float
) -> None:
    recording, now = recorded(looks)
    ended = 100.0 + (now - 100.0) * part
    recording.finish(ended, 0.02)
    assert total(recording) == pytest.approx(ended - 100.0)
    for spans in spans_of(recording):
        assert all(0 <= span.cpu <= span.wall or span.wall == pytest.approx(0) for span in spans)


@given(LOOKS, st.lists(st.floats(0.0001, 5), max_size=80))
def test_a_clock_that_stands_still_meanwhile_counts_nothing(
    looks: list[tuple[float, list[tuple[int, int, int]]]], gaps: list[float]
) -> None:
    still, _ = recorded(looks)
    moved = Recording(CallTree(CodeTable()), 100.0, 1000, 0.0)
    then = 100.0
    for (gap, seen), pause in itertools.zip_longest(looks, gaps[: len(looks)], fillvalue=0.0):
        moved.move(pause)
        then += gap + pause
        wall = moved.begin_look(then)
        for strand, node, state in seen:
            track = moved.track(BRANCHES[strand])
            moved.observe(track, wall, wall / len(seen), node, state, NOBODY, 0.0)
        if not seen:
            moved.miss(wall)
    assert total(moved) == pytest.approx(total(still), abs=1e-6)


def test_neighbours_at_the_same_place_are_one_span() -> None:
    recording, _ = recorded([(0.01, [(0, 7, WAITING)])] * 50)
    ((span,),) = spans_of(recording)
    assert span.wall == pytest.approx(0.5)
    assert recording.ticks == 50


def test_halving_keeps_the_proportions() -> None:
    chance = random.Random(7)
    recording = Recording(CallTree(CodeTable()), 0.0, 500, 0.0)
    for tick in range(1, 100_001):
        if tick % recording.stride == 0:
            wall = recording.begin_look(tick / 100)
            node = int(chance.choice("aab") == "a")
            recording.observe(recording.main, wall, wall, node, RUNNING, NOBODY, 0.0)
    assert recording.stride >= 64
    (spans,) = spans_of(recording)
    assert sum(span.wall for span in spans if span.node) == pytest.approx(1000 * 2 / 3, rel=0.2)


def test_a_late_look_is_as_good_a_guess_as_the_one_before_it() -> None:
    recording, now = recorded([(0.01, [(0, 1, RUNNING)])] * 10)
    wall = recording.begin_look(now + 0.4, held=False)
    recording.observe(recording.main, wall, wall, 2, RUNNING, NOBODY, 0.0)
    ((first, second),) = spans_of(recording)
    assert (first.wall, second.wall) == (pytest.approx(0.3), pytest.approx(0.2))


def test_what_held_the_gil_has_all_of_a_long_gap() -> None:
    recording, now = recorded([(0.01, [(0, 1, RUNNING)])] * 10)
    wall = recording.begin_look(now + 0.4, held=True)
    recording.observe(recording.main, wall, wall, 2, RUNNING, NOBODY, 0.0)
    ((first, second),) = spans_of(recording)
    assert (first.wall, second.wall) == (pytest.approx(0.1), pytest.approx(0.4))


def test_a_first_look_that_comes_late_knows_nothing_of_the_beginning() -> None:
    recording = Recording(CallTree(CodeTable()), 100.0, 1000, 0.0)
    wall = recording.begin_look(100.5, held=False)
    recording.observe(recording.main, wall, wall, 2, RUNNING, NOBODY, 0.0)
    assert (wall, recording.unobserved) == (pytest.approx(0.1), pytest.approx(0.4))
    assert total(recording) == pytest.approx(0.5)


def test_any_number_of_branches_is_bounded() -> None:
    recording = Recording(CallTree(CodeTable()), 0.0, 400, 0.0)
    for tick in range(1, 5_001):
        wall = recording.begin_look(tick / 100)
        recording.observe(recording.track(Branch(f"task {tick}")), wall, wall, 1, WAITING, NOBODY, 0.0)
    recording.finish(50.0, 0.0)
    assert len(recording.tracks) <= 103
    assert sum(map(len, spans_of(recording))) <= 400 + 103
    assert total(recording) == pytest.approx(50.0)


def test_a_step_that_held_the_loop_did_so_from_its_beginning() -> None:
    recording, _ = recorded([(0.01, [(0, 7, SUSPENDED)])] * 10)
    recording.turn(recording.main, SUSPENDED, HELD, 3, 0.04)
    ((waiting, held),) = spans_of(recording)
    assert (waiting.state, held.state, held.holder) == (SUSPENDED, HELD, 3)
    assert (waiting.wall, held.wall) == (pytest.approx(0.06), pytest.approx(0.04))
    recording.turn(recording.main, SUSPENDED, HELD, 3, 0.04)
    assert spans_of(recording) == [[waiting, held]]


def test_garbage_collections_have_a_state_of_their_own() -> None:
    recording, _ = recorded([(0.01, [(0, 7, RUNNING)])])
    recording.collected = 0.004
    wall = recording.begin_look(100.02)
    recording.observe(recording.main, wall, wall, 7, RUNNING, NOBODY, wall)
    (spans,) = spans_of(recording)
    assert [(round(span.wall, 4), span.state) for span in spans] == [
        (0.01, RUNNING),
        (0.004, 5),
        (0.006, RUNNING),
    ]


class Bursts:
    """A tree with two functions, one running and one blocking, below each of two callers."""

    def __init__(self) -> None:
        self.tree = CallTree(CodeTable())
        root = 1 << OFFSET_BITS
        self.run = {
            caller: self.tree.insert([10 + caller << OFFSET_BITS, caller << OFFSET_BITS, root])
            for caller in (2, 3)
        }
        self.wait = {
            caller: self.tree.insert([20 + caller << OFFSET_BITS, caller << OFFSET_BITS | 8, root | 6])
            for caller in (2, 3)
        }


def test_what_no_tick_saw_is_given_to_what_ran_below_the_same_caller() -> None:
    bursts = Bursts()
    spans: list[Span] = []
    for caller in (2, 3):
        for number in range(40):
            began = len(spans) * 0.01
            seen = (bursts.run[caller], RUNNING) if number % 10 == 0 else (bursts.wait[caller], WAITING)
            spans.append(Span(seen[0], 0.01, 0.003, seen[1], NOBODY, began, began + 0.01))
    found = with_unseen_running(spans, bursts.tree)
    assert sum(span.wall for span in found) == pytest.approx(0.8)
    assert sum(span.cpu for span in found) == pytest.approx(0.24)
    for caller in (2, 3):
        running = sum(span.wall for span in found if span.node == bursts.run[caller])
        assert running == pytest.approx(0.12, abs=0.01)
    assert sum(span.wall for span in found if span.inferred) == pytest.approx(0.16, abs=0.02)


def test_nothing_is_inferred_where_nothing_was_seen_running() -> None:
    bursts = Bursts()
    spans = [
        Span(bursts.wait[2], 0.01, 0.003, WAITING, NOBODY, number / 100, (number + 1) / 100)
        for number in range(50)
    ]
    assert with_unseen_running(spans, bursts.tree) == spans


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 0.5), st.floats(0, 1), st.sampled_from([RUNNING, WAITING])),
        max_size=60,
    )
)
def test_inferring_conserves_seconds(looks: list[tuple[int, float, float, int]]) -> None:
    bursts = Bursts()
    nodes = [*bursts.run.values(), *bursts.wait.values()]
    spans, began = [], 0.0
    for node, wall, share, state in looks:
        spans.append(Span(nodes[node], wall, wall * share, state, NOBODY, began, began + wall))
        began += wall
    found = with_unseen_running(spans, bursts.tree)
    assert sum(span.wall for span in found) == pytest.approx(began)
    assert sum(span.cpu for span in found) == pytest.approx(sum(span.cpu for span in spans))
    assert all(span.wall >= -1e-9 and span.cpu <= span.wall + 1e-9 for span in found)


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from([RUNNING, SUSPENDED, STARVED, HELD])), max_size=60),
    st.floats(0, 50),
    st.floats(0, 50),
)
def test_steps_nobody_saw_come_from_what_was_awaited(
    looks: list[tuple[float, int]], seen: float, ran: float
) -> None:
    spans = [
        Span(state, wall, wall * (state == RUNNING), state, NOBODY, number, number + wall)
        for number, (wall, state) in enumerate(looks)
    ]
    found = with_unseen_steps(spans, seen, ran)

    def seconds(spans: list[Span], *states: int) -> float:
        return sum(span.wall for span in spans if span.state in states)

    total = sum(span.wall for span in spans)
    assert sum(span.wall for span in found) == pytest.approx(total)
    assert all(span.wall >= 0 and span.cpu <= span.wall + 1e-9 for span in found)
    assert seconds(found, STARVED, HELD) == seconds(spans, STARVED, HELD)
    running = seconds(spans, RUNNING)
    more = 0.0
    if 0 < seen < ran:
        more = max(0.0, min(running / seen * (ran - seen), seconds(spans, SUSPENDED), ran - running))
    assert seconds(found, RUNNING) == pytest.approx(running + more, abs=0.01 * total + 1e-9)


def test_what_a_loop_ran_unseen_is_its_tasks(captured: Any) -> None:
    operation = captured.profiler.operation("awaits")
    operation.ended = 1.0
    recording = Recording(CallTree(CodeTable()), 0.0, 1000, 0.0)
    for number in range(10):
        recording.loop_to = LoopUse(number, number / 10, 0.0, number / 30, number / 90)
        recording.loop_from = recording.loop_from or recording.loop_to
        wall = recording.begin_look((number + 1) / 10)
        state = RUNNING if number == 5 else SUSPENDED
        recording.observe(recording.main, wall, wall, state, state, NOBODY, 0.0)
    (spans,) = strands_of(recording, operation).values()
    running = [span for span in spans if span.state == RUNNING]
    assert sum(span.wall for span in running) == pytest.approx(0.3), "it was seen for a third of what it ran"
    assert [span.inferred for span in running] == [False, True]


def test_what_a_loop_ran_while_the_operation_stood_still_is_not_its_own() -> None:
    recording = Recording(CallTree(CodeTable()), 0.0, 1000, 0.0)
    assert recording.loop_seconds == (0.0, 0.0)
    for running, ran in ((1.0, 2.0), (1.1, 2.4)):
        recording.loop_to = LoopUse(1, 0.0, 0.0, ran, running)
        recording.loop_from = recording.loop_from or recording.loop_to
    recording.move(0.5)
    assert recording.loop_seconds == pytest.approx((0.1, 0.4))
    for running, ran in ((3.0, 7.0), (3.2, 7.3)):
        recording.loop_to = LoopUse(2, 0.0, 0.0, ran, running)
        recording.loop_from = recording.loop_from or recording.loop_to
    assert recording.loop_seconds == pytest.approx((0.3, 0.7))


def test_a_look_that_met_a_pause_does_not_begin_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sights, "see", lambda *_: sights.Sight(None, WAITING))
    recording = Recording(CallTree(CodeTable()), 0.0, 1000, 0.0)
    thread = SimpleNamespace(use=LoopUse(0, 0.0, 0.0, 0.0, 0.0))
    operation: Any = SimpleNamespace(task=object, thread=thread, branches=None, paused=0.0)

    class Meeting(View):
        """Its clock is read, and the generator pauses and goes on before that is noted."""

        def loop_use(self, thread: object) -> LoopUse:
            operation.paused = time.perf_counter()
            recording.move(0.0)
            return LoopUse(self.tick, self.now, 0.0, 1.0, 1.0)

    class After(View):
        def loop_use(self, thread: object) -> LoopUse:
            return LoopUse(self.tick, self.now, 0.0, 5.0 + self.tick, 5.0)

    sights.look(operation, recording, Meeting(CodeTable(), 1, took_gil=None))
    for tick in (2, 3):
        sights.look(operation, recording, After(CodeTable(), tick, took_gil=None))
    assert recording.loop_seconds == (0.0, 1.0)


def test_what_is_inferred_does_not_pass_the_bound(captured: Any) -> None:
    operation = captured.profiler.operation("bursts")
    operation.ended = 1.2
    bursts = Bursts()
    recording = Recording(bursts.tree, 0.0, 100, 0.0)
    recording.main.has_thread = True
    for number in range(96):
        wall = recording.begin_look((number + 1) / 80)
        running = number % 4 == 0
        node = bursts.run[2] if running else bursts.wait[2 + number % 2]
        recording.observe(recording.main, wall, wall, node, RUNNING if running else WAITING, NOBODY, wall / 2)
    seen = recording.main.timeline.spans()
    assert len(with_unseen_running(seen, bursts.tree)) > 100, "else this shows nothing"
    (spans,) = strands_of(recording, operation).values()
    assert 50 <= len(spans) <= 100
    assert sum(span.wall for span in spans) == pytest.approx(1.2)
    assert sum(span.cpu for span in spans) == pytest.approx(0.6)


def test_a_deep_stack_keeps_its_root_and_its_leaf_side() -> None:
    codes = CodeTable()
    tree = CallTree(codes)
    stack = [place << OFFSET_BITS for place in range(1000, 6000)]
    node = tree.insert(stack)
    path = []
    while node >= 0:
        path.append(tree.places[node])
        node = tree.parents[node]
    assert len(path) == MAX_DEPTH
    assert path[:10] == stack[:10]
    assert path[-1] == stack[-1]
    assert codes.entries[codes.resolve(path[-2])[0]].name == "[frames left out]"


def test_a_full_tree_takes_the_deepest_node_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profkit.sampling.calltree._MAX_NODES", 10)
    tree = CallTree(CodeTable())
    for leaf in range(100):
        tree.insert([leaf << OFFSET_BITS, 2 << OFFSET_BITS, 1 << OFFSET_BITS])
    assert len(tree.places) == 10
    assert tree.insert([99 << OFFSET_BITS, 2 << OFFSET_BITS, 1 << OFFSET_BITS]) == 1
