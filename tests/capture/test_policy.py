"""Which operations leave a profile and why: thresholds, limits, errors, the control set, and those that stall."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profkit import ConfigurationError, PerformanceProfiler, Settings
from profkit.operations import Operation
from profkit.recorder.finished import Finished, profile_of
from profkit.recorder.policy import Policy
from profkit.recorder.running import still_running
from profkit.recorder.stalls import Left, Stalls
from profkit.sampling.branches import Branch
from profkit.sampling.calltree import CallTree
from profkit.sampling.recording import Recording
from profkit.sampling.threads import this
from profkit_storage import Profile, ProfileNotFound, Status, Trigger, decode, encode, open_storage


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_policy(clock: Clock) -> Callable[..., Policy]:
    return lambda **settings: Policy(Settings(**settings), clock)


def wait_until(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def kinds(profiles: list[Profile]) -> list[tuple[str, str, str, float]]:
    return [(one.operation, str(one.trigger), str(one.status), one.weight) for one in profiles]


# Settings


def test_thresholds_come_from_the_environment() -> None:
    text = "db=0.2, POST /agent=3,a=b=1e-3,"
    assert Settings.from_env({"PROFKIT_THRESHOLDS": text}).thresholds == {
        "db": 0.2,
        "POST /agent": 3.0,
        "a=b": 0.001,
    }


def test_thresholds_are_the_settings_own() -> None:
    given = {"db": 0.2}
    settings = Settings(thresholds=given)
    given["db"] = 7.0
    assert settings.thresholds == {"db": 0.2}
    assert Settings().thresholds == {}
    assert hash(settings) == hash(Settings())


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("THRESHOLDS", "db"),
        ("THRESHOLDS", "=1"),
        ("THRESHOLDS", "db=soon"),
        ("THRESHOLDS", "db=-1"),
        ("THRESHOLDS", "db=nan"),
        ("THRESHOLDS", "db=90000"),
        ("KEEP_ERRORS", "perhaps"),
        ("CONTROL_RATE", "1.1"),
        ("MAX_PROFILES", "-1"),
        ("MAX_PROFILES_PER_OPERATION", "many"),
        ("STALL_AFTER", "inf"),
        ("MAX_OVERHEAD", "0"),
        ("SWITCH_INTERVAL", "0.00001"),
        ("SWITCH_INTERVAL", "0.01"),
        ("QUEUE_BYTES", "10"),
        ("ROLLUP_INTERVAL", "-0.5"),
    ],
)
def test_what_is_not_allowed_is_named_with_what_is(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"PROFKIT_{variable}='{text}' is not allowed: give "):
        Settings.from_env({f"PROFKIT_{variable}": text})


@pytest.mark.parametrize(
    "wrong", [7, {"db": "1"}, {"": 1}, {3: 1.0}, {"db": True}, {"db": 10**400}, [("db", 1)]]
)
def test_thresholds_that_are_none_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"thresholds=.* is not allowed: give names"):
        Settings(thresholds=wrong)


def test_a_threshold_in_the_code_is_a_number_of_seconds(captured: Any) -> None:
    for wrong in (-1, float("inf"), 10**400, "1"):
        with pytest.raises(ConfigurationError, match="threshold="):
            captured.profiler.operation("work", threshold=wrong)


def test_settings_reach_what_they_are_for(make_captured: Any) -> None:
    captured = make_captured(max_overhead=0.5, switch_interval=0.001, keep_errors=True, max_children=3)
    sampler = captured.profiler.sampler
    assert (sampler.max_overhead, sampler.switch_interval) == (0.5, 0.001)
    assert (captured.profiler.keep_errors, captured.profiler.max_children) == (True, 3)


def test_the_switch_interval_is_set_while_something_is_in_flight(make_captured: Any) -> None:
    captured = make_captured(switch_interval=0.002)
    usual = sys.getswitchinterval()
    with captured.profiler.operation("work"):
        wait_until(lambda: sys.getswitchinterval() == pytest.approx(0.002))
    wait_until(lambda: sys.getswitchinterval() == pytest.approx(usual))


def test_a_switch_interval_of_none_is_left_alone(make_captured: Any) -> None:
    captured = make_captured(switch_interval=0.0)
    usual = sys.getswitchinterval()
    with captured.profiler.operation("work"):
        for _ in range(20):
            time.sleep(0.003)
            assert sys.getswitchinterval() == usual


# Thresholds


def test_a_name_goes_before_the_code_before_a_category_before_the_default(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0, thresholds={"db": 60.0, "query": 0.0, "quick": 60.0})
    profiler = captured.profiler

    def run(name: str, category: str = "", threshold: float | None = None) -> None:
        with profiler.operation(name, category=category, threshold=threshold):
            pass

    run("any")
    run("in a category", "db")
    run("query", "db")
    run("told by the code", "db", 0.0)
    run("query", "db", 60.0)
    run("quick", "", 0.0)
    run("db")
    assert [one.operation for one in captured.all()] == ["any", "query", "told by the code", "query"]
    assert {one.threshold for one in captured.profiles} == {0.0}


def test_a_threshold_is_changed_in_a_live_process(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0)
    profiler = captured.profiler
    query = profiler.profile("query", category="db")(lambda: None)
    query()
    with profiler.operation("in flight"):
        profiler.set_threshold(0.0)
    profiler.set_threshold(60.0, "db")
    query()
    profiler.set_threshold(0.0, "query")
    query()
    profiler.set_threshold(None, "query")
    query()
    profiler.set_threshold(None, "never set")
    assert [one.operation for one in captured.all()] == ["in flight", "query"]
    for wrong in (-1, None, float("nan")):
        with pytest.raises(ConfigurationError, match="threshold="):
            profiler.set_threshold(wrong)
    with pytest.raises(ConfigurationError, match="thresholds="):
        profiler.set_threshold(-1, "query")
    assert profiler.settings.threshold == 0.0


def test_it_is_switched_off_and_on_in_a_live_process(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    profiler = captured.profiler
    work = profiler.profile("work")(lambda: None)
    with profiler.operation("in flight"):
        profiler.enabled = False
        work()
    assert (profiler.enabled, profiler.stats()["active"]) == (False, False)
    profiler.enabled = True
    work()
    assert [one.operation for one in captured.all()] == ["in flight", "work"]
    assert profiler.stats()["operations"] == 2


def test_what_was_never_configured_cannot_be_switched_on() -> None:
    profiler = PerformanceProfiler()
    profiler.enabled = True
    assert not profiler.stats()["active"]


# Limits


def test_of_one_operation_so_many_are_kept_in_any_minute(make_policy: Any, clock: Clock) -> None:
    policy = make_policy(max_profiles_per_operation=3, max_profiles=0)
    kept: list[float] = []
    for _ in range(300):
        if not policy.admit(Trigger.SLOW, "a"):
            kept.append(clock.now)
        clock.now += 1.3
    assert len(kept) > 3 * 300 * 1.3 / 61 - 3
    assert all(later - earlier >= 60 for earlier, later in zip(kept, kept[3:], strict=False))


def test_a_process_keeps_so_many_in_a_minute(make_policy: Any, clock: Clock) -> None:
    policy = make_policy(max_profiles_per_operation=2, max_profiles=5)
    found = [policy.admit(Trigger.SLOW, f"op {number // 3}") for number in range(12)]
    assert Counter(found) == {"": 5, "max_profiles_per_operation": 2, "max_profiles": 5}
    clock.now += 59.9
    assert policy.admit(Trigger.SLOW, "another") == "max_profiles"
    clock.now += 0.1
    assert policy.admit(Trigger.SLOW, "another") == ""


def test_each_trigger_has_the_limits_for_itself(make_policy: Any) -> None:
    policy = make_policy(max_profiles_per_operation=1)
    for trigger in (Trigger.SLOW, Trigger.ERROR, Trigger.CONTROL, Trigger.STALLED):
        assert policy.admit(trigger, "a") == ""
        assert policy.admit(trigger, "a") == "max_profiles_per_operation"
    assert policy.over_limit() == {"error": 1, "control": 1, "stalled": 1}, "slow ones are in the rollups"


def test_what_was_admitted_and_not_kept_leaves_room(make_policy: Any) -> None:
    policy = make_policy(max_profiles_per_operation=1)
    assert policy.admit(Trigger.SLOW, "a") == policy.admit(Trigger.SLOW, "b") == ""
    policy.take_back(Trigger.SLOW, "a")
    policy.take_back(Trigger.SLOW, "never kept")
    assert policy.admit(Trigger.SLOW, "a") == ""
    assert policy.admit(Trigger.SLOW, "b") != ""


def test_no_limit_is_none_and_names_do_not_grow_memory(make_policy: Any, clock: Clock) -> None:
    policy = make_policy(max_profiles_per_operation=0, max_profiles=0)
    for number in range(5_000):
        clock.now += 0.1
        assert policy.admit(Trigger.SLOW, f"job {number}") == ""
    assert len(policy._kept[Trigger.SLOW]._of) <= 700


def test_the_next_one_stands_for_those_over_the_limit(make_captured: Any, clock: Clock) -> None:
    captured = make_captured(threshold=0.0, max_profiles_per_operation=2)
    profiler = captured.profiler
    profiler._intake.policy._clock = clock
    work = profiler.profile("work")(lambda: None)
    for _ in range(6):
        work()
    assert profiler.flush(5)
    clock.now += 61
    work()
    assert kinds(captured.all()) == [("work", "slow", "ok", weight) for weight in (1.0, 1.0, 5.0)]
    stats = profiler.stats()
    assert (stats["slow"], stats["kept"], stats["dropped"]) == (7, 3, {"max_profiles_per_operation": 4})
    assert stats["faults"] == {}, "it is what was asked for"


def test_what_ran_inside_a_slow_one_is_weighed_apart(make_captured: Any, clock: Clock) -> None:
    captured = make_captured(threshold=0.0, max_profiles_per_operation=2)
    profiler = captured.profiler
    profiler._intake.policy._clock = clock

    def run() -> None:
        with profiler.operation("outer"), profiler.operation("step"):
            pass

    run()
    with profiler.operation("step"):
        pass
    run()
    clock.now += 61
    run()
    steps = [one.weight for one in captured.all() if one.operation == "step"]
    assert steps == [1.0, 1.0, 2.0], "the one outside is not one of those inside"


# Errors, and the control set


def fail(profiler: PerformanceProfiler, error: type[BaseException], name: str = "work") -> None:
    with pytest.raises(error), profiler.operation(name):
        raise error


def test_errors_are_kept_if_asked(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, keep_errors=True)
    profiler = captured.profiler

    @profiler.profile("function")
    def function() -> None:
        raise LookupError

    @profiler.profile("coroutine")
    async def coroutine() -> None:
        raise LookupError

    with profiler.operation("fine"):
        pass
    with pytest.raises(LookupError):
        function()
    with pytest.raises(LookupError):
        asyncio.run(coroutine())
    fail(profiler, KeyError, "block")
    fail(profiler, asyncio.CancelledError, "cancelled")
    assert kinds(captured.all()) == [
        (name, "error", "error", 0.0) for name in ("function", "coroutine", "block")
    ]
    assert captured.profiles[0].tags == {"error": "LookupError"}
    assert profiler.stats()["errors"] == 3
    assert profiler.stats()["kept"] == 0, "none of them was slow"


def test_a_slow_one_that_fails_is_slow(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0, keep_errors=True)
    fail(captured.profiler, LookupError)
    assert kinds(captured.all()) == [("work", "slow", "error", 1.0)]


def test_errors_are_not_kept_unless_asked(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0)
    fail(captured.profiler, LookupError)
    assert captured.all() == []
    assert captured.profiler.stats()["errors"] == 1


def test_one_that_fails_is_one_of_the_control_set_as_any_other(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, control_rate=1.0)
    fail(captured.profiler, LookupError)
    assert kinds(captured.all()) == [("work", "control", "error", 0.0)]


def test_a_storm_of_errors_leaves_room_for_what_is_slow(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, keep_errors=True, max_profiles=2)
    for _ in range(5):
        fail(captured.profiler, LookupError)
    with captured.profiler.operation("slow", threshold=0.0):
        pass
    assert [one.trigger for one in captured.all()] == [Trigger.ERROR, Trigger.ERROR, Trigger.SLOW]
    assert captured.profiler.stats()["over_limit"] == {"error": 3}
    assert captured.profiler.stats()["dropped"] == {}


def test_a_control_set_of_fast_ones_is_kept_if_asked(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, control_rate=1.0, interval=0.001)

    @captured.profiler.profile("function")
    def function() -> None:
        time.sleep(0.05)

    function()
    with captured.profiler.operation("block"):
        time.sleep(0.05)
    with captured.profiler.operation("slow", threshold=0.0):
        pass
    assert kinds(captured.all()) == [
        ("function", "control", "ok", 0.0),
        ("block", "control", "ok", 0.0),
        ("slow", "slow", "ok", 1.0),
    ]
    assert all(one.samples and one.threshold == 60.0 for one in captured.profiles[:2]), (
        "sampled like any other"
    )
    (row, *_) = captured.profiler.rollups.collect().rollups
    assert (row.threshold, row.slow) == (60.0, 0)


def test_the_control_set_is_drawn_by_chance(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, control_rate=0.2, queue_size=10_000)
    work = captured.profiler.profile("work")(lambda: None)
    for _ in range(2_000):
        work()
    assert len(captured.all()) == pytest.approx(400, abs=5 * (2_000 * 0.2 * 0.8) ** 0.5)


def test_the_control_set_is_limited_apart(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, control_rate=1.0, max_profiles_per_operation=2)
    work = captured.profiler.profile("work")(lambda: None)
    for _ in range(10):
        work()
    with captured.profiler.operation("work", threshold=0.0):
        pass
    assert Counter(one.trigger for one in captured.all()) == {Trigger.CONTROL: 2, Trigger.SLOW: 1}
    assert captured.profiler.stats()["over_limit"] == {"control": 8}


def test_fast_ones_that_are_not_drawn_keep_nothing(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, control_rate=1e-12, interval=0.001)
    operation = captured.profiler.operation("work")
    with operation:
        with captured.profiler.operation("step"):
            pass
        time.sleep(0.03)
    assert operation.recording is operation.children is None
    assert captured.all() == []


# Those that stall


def test_one_that_stalls_leaves_a_profile_which_its_last_one_replaces(tmp_path: Path) -> None:
    seen: list[Profile] = []
    profiler = PerformanceProfiler(
        Settings(storage=tmp_path, stall_after=0.2, threshold=0.1, interval=0.002, on_profile=seen.append)
    )
    storage = open_storage(tmp_path)
    before = time.time_ns()
    with profiler.operation("work") as operation:
        operation.tag(step=1)
        wait_until(lambda: seen)
        (running,) = storage.scan()
        left = storage.load(running.id)
        operation.tag(step=2)
        time.sleep(0.2)
    assert profiler.flush(5)
    (entry,) = storage.scan()
    last = storage.load(entry.id)
    assert kinds([left, last]) == [("work", "stalled", "running", 0.0), ("work", "slow", "ok", 1.0)]
    assert (left.id, left.start_ns, left.number) == (last.id, last.start_ns, last.number)
    assert (left.tags, last.tags) == ({"step": 1}, {"step": 2})
    assert 0.15 < left.wall < last.wall
    assert abs(left.start_ns - before) < 0.1e9
    assert sum(one.wall for one in left.samples) + left.sampling.unobserved == pytest.approx(left.wall)
    assert sum(one.wall for one in last.samples) + last.sampling.unobserved == pytest.approx(last.wall)
    assert [one.id for one in seen] == [last.id] * 2, "once while it was running"
    assert len(list(tmp_path.rglob("*.pkp"))) == 1
    profiler.shutdown()


def test_it_is_replaced_whatever_becomes_of_it(make_captured: Any) -> None:
    captured = make_captured(stall_after=0.05, threshold=60.0, max_profiles_per_operation=1)
    profiler = captured.profiler

    def stall(name: str) -> None:
        before = len(captured.profiles)
        with profiler.operation(name):
            wait_until(lambda: len(captured.profiles) > before)
            if name == "fails":
                raise LookupError

    stall("work")
    assert profiler.flush(5)
    with pytest.raises(LookupError):
        stall("fails")
    assert profiler.flush(5)
    profiler.set_threshold(0.0)
    stall("slow")
    assert profiler.flush(5)
    assert kinds(captured.profiles) == [
        ("work", "stalled", "running", 0.0),
        ("work", "stalled", "ok", 0.0),
        ("fails", "stalled", "running", 0.0),
        ("fails", "stalled", "error", 0.0),
        ("slow", "stalled", "running", 0.0),
        ("slow", "slow", "ok", 1.0),
    ]
    assert len({one.id for one in captured.profiles}) == 3


def test_of_those_that_stall_so_many_are_kept_and_the_others_end_as_usual(make_captured: Any) -> None:
    captured = make_captured(stall_after=0.05, threshold=0.0, max_profiles_per_operation=1)
    with captured.profiler.operation("work"), captured.profiler.operation("work"):
        wait_until(lambda: captured.profiler.stats()["over_limit"])
        time.sleep(0.1)
        assert captured.profiler.stats()["over_limit"] == {"stalled": 1}, "once an operation"
    assert captured.profiler.flush(5)
    assert [one.status for one in captured.profiles].count(Status.RUNNING) == 1
    assert len({one.id for one in captured.profiles}) in {1, 2}


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    seen: list[Profile] = []
    profiler = PerformanceProfiler(
        Settings(storage=tmp_path, stall_after=0.05, threshold=0.0, on_profile=seen.append)
    )
    with profiler.operation("never wanted") as operation:
        operation.discard()
        time.sleep(0.3)
        assert profiler._intake.stalls._known == {operation: None}
    with profiler.operation("discarded late") as operation:
        wait_until(lambda: seen)
        operation.discard()
    assert profiler.flush(5)
    assert [one.operation for one in seen] == ["discarded late"]
    assert list(open_storage(tmp_path).scan()) == []
    stats = profiler.stats()
    assert (stats["slow"], stats["kept"], stats["dropped"]) == (2, 0, {"discarded": 2})
    profiler.shutdown()


def test_none_stalls_if_so_set(make_captured: Any) -> None:
    captured = make_captured(stall_after=0.0, threshold=60.0)
    with captured.profiler.operation("work"):
        time.sleep(0.3)
    assert captured.all() == []


def test_branches_and_children_of_one_that_stalls(make_captured: Any, assert_conserved: Any) -> None:
    captured = make_captured(stall_after=0.3, threshold=0.1, interval=0.005)
    profiler = captured.profiler

    async def part(seconds: float) -> None:
        with profiler.operation(f"part {seconds}", threshold=60.0):
            await asyncio.sleep(seconds)

    @profiler.profile("outer")
    async def outer() -> None:
        await asyncio.gather(part(0.1), part(0.7))

    asyncio.run(outer())
    assert profiler.flush(5)
    running, last = [one for one in captured.profiles if one.operation == "outer"]
    assert (running.status, last.status) == (Status.RUNNING, Status.OK)
    for profile in (running, last):
        assert_conserved(profile)
        assert decode(encode(profile), "key") == profile
    assert [child.name for child in running.children] == ["part 0.1"]
    assert sorted(child.name for child in last.children) == ["part 0.1", "part 0.7"]
    assert all(branch.end <= running.wall for branch in running.branches)
    assert len(running.branches) == len(last.branches) == 2


def test_a_branch_that_is_pending_has_its_part(make_captured: Any) -> None:
    captured = make_captured(stall_after=0.3, threshold=0.1, interval=0.005)

    @captured.profiler.profile("outer")
    async def outer() -> None:
        beside = asyncio.create_task(asyncio.sleep(0.7))
        await asyncio.sleep(0.6)
        await beside

    asyncio.run(outer())
    assert captured.profiler.flush(5)
    running = captured.profiles[0]
    assert running.status is Status.RUNNING
    seconds = sum(sample.wall for sample in running.samples if sample.branch == 0)
    assert seconds == pytest.approx(running.wall / 2, rel=0.2)


def test_where_children_began_is_told_from_the_one_that_runs(make_captured: Any) -> None:
    captured = make_captured(stall_after=0.25, threshold=60.0)
    profiler = captured.profiler

    async def lives_on() -> None:
        with profiler.operation("lives on"):
            with profiler.operation("step"):
                pass
            wait = asyncio.get_running_loop().run_in_executor(None, wait_until, lambda: captured.profiles)
            await wait

    async def main() -> None:
        with profiler.operation("first"):
            await asyncio.sleep(0.15)
            with profiler.operation("second"):
                task = asyncio.create_task(lives_on())
                await asyncio.sleep(0.01)
        await task

    asyncio.run(main())
    running = next(one for one in captured.profiles if one.operation == "lives on")
    (step,) = running.children
    assert step.start < 0.1


def test_a_copy_and_what_goes_on_do_not_change_each_other(make_captured: Any) -> None:
    sampler = make_captured().profiler.sampler
    operation = make_operation(time.perf_counter() - 9.0)
    operation.thread = this.thread
    operation.root, operation.branches = 0, [Branch("pending")]
    recording = operation.recording = Recording(CallTree(sampler.codes), operation.started, 100, 0.0)
    track = recording.track(operation.branches[0])
    node = recording.tree.insert([sampler.codes.synthetic("[here]")])
    wall = recording.begin_look(operation.started + 5.0)
    recording.observe(track, wall, wall, node, 1, -1, 0.0)
    finished = Finished(operation=operation, trigger=Trigger.STALLED, start_ns=0, threshold=1.0, running=True)
    copied = still_running(finished, sampler)
    assert copied is not None
    before = track.timeline.spans()
    operation.branches[0].end()
    again = copied.operation.branches
    profile = profile_of(copied, Settings(), sampler, lambda _: 1)
    assert track.timeline.spans() == before
    wall = recording.begin_look(operation.started + 7.0)
    recording.observe(track, wall, wall, node, 0, -1, 0.0)
    assert len(track.timeline) == 2
    assert again is not None
    assert (again[0].ended, operation.branches[0].ended > again[0].ended) == (operation.started + 5.0, True)
    assert [(one.wall, one.branch) for one in profile.samples] == [(pytest.approx(5.0), 0)]
    assert profile.wall == pytest.approx(5.0)
    operation.ended = time.perf_counter()
    assert still_running(finished, sampler) is None


def test_a_killed_process_leaves_what_it_was_doing(tmp_path: Path) -> None:
    script = f"""
        import time, profkit
        profkit.configure(storage={str(tmp_path)!r}, stall_after=0.3, threshold=0.1, interval=0.005)
        @profkit.profile("never ends")
        def work():
            stuck()
        def stuck():
            time.sleep(60)
        work()
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        storage = open_storage(tmp_path)
        wait_until(lambda: list(storage.scan()), 30)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    (entry,) = storage.scan()
    profile = storage.load(entry.id)
    assert kinds([profile]) == [("never ends", "stalled", "running", 0.0)]
    assert "stuck" in {frame.qualname for frame in profile.frames}
    assert profile.wall > 0.25


def test_the_running_one_is_not_lost_if_the_last_one_cannot_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiler = PerformanceProfiler(Settings(storage=tmp_path, stall_after=0.05, threshold=0.0, spool="off"))
    assert profiler.storage is not None
    with profiler.operation("work"):
        wait_until(lambda: profiler.stats()["recorded"])
        monkeypatch.setattr(profiler.storage.objects, "write", fail_to_write)
    profiler.flush(5)
    assert profiler.stats()["dropped"] == {"not_stored": 1}
    (entry,) = open_storage(tmp_path).scan()
    assert entry.status is Status.RUNNING
    profiler.shutdown()


def fail_to_write(*_: object) -> None:
    raise OSError("disk gone")


def test_a_scan_never_sees_both(tmp_path: Path, make_profile: Any) -> None:
    storage = open_storage(tmp_path)
    running = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED, weight=0.0)
    done = make_profile(id=running.id, start_ns=running.start_ns, status=Status.OK, wall=9.0)
    stop = threading.Event()
    found: Counter[int] = Counter()

    def look() -> None:
        while not stop.is_set():
            found[len(list(storage.scan(on_problem=lambda *_: None)))] += 1

    storage.put(running)
    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(100):
        storage.put(done)
        storage.delete(done.id)
        storage.put(running)
    stop.set()
    thread.join()
    assert 2 not in found
    assert storage.load(running.id).status is Status.RUNNING
    with pytest.raises(ProfileNotFound):
        storage.load("0" * 26)


def make_operation(started: float) -> Operation:
    operation = PerformanceProfiler().operation("work")
    operation.started = started
    return operation


def test_stalls_forget_what_ended_without_a_word() -> None:
    stalls = Stalls(1.0)
    young, old = make_operation(99.5), make_operation(90.0)
    assert list(stalls.look([young, old], 100.0)) == [old]
    assert list(stalls.look([young, old], 100.05)) == [], "not that often"
    stalls.leave(old, Left("id", 7))
    old.ended = 101.0
    assert list(stalls.look([young], 102.0)) == [young]
    assert old in stalls._known
    list(stalls.look([], 200.0))
    assert old not in stalls._known
    assert stalls.end(old) is None


def test_one_that_ends_before_it_could_leave_anything_has_left_nothing() -> None:
    stalls = Stalls(1.0)
    operation = make_operation(1.0)
    assert list(stalls.look([operation], 100.0)) == [operation]
    assert stalls.end(operation) is None
    stalls.leave(operation, Left("id", 7))
    assert stalls.end(operation) is None


# Clocks


def test_a_clock_that_steps_back_changes_no_duration(
    make_captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = make_captured(threshold=0.0, stall_after=0.05)
    real = time.time_ns

    for behind in (0, 3_600 * 10**9, 1 << 62):
        with captured.profiler.operation("work"):
            time.sleep(0.03)
            monkeypatch.setattr(time, "time_ns", lambda behind=behind: max(0, real() - behind))
    monkeypatch.undo()
    assert captured.profiler.flush(5)
    profiles = captured.profiles
    for profile in profiles:
        assert 0.03 <= profile.wall < 1.0
        assert profile.start_ns >= 0
        assert decode(encode(profile), "key").id == profile.id
    assert [round((profiles[0].start_ns - one.start_ns) / 3.6e12) for one in profiles[:2]] == [0, 1]
    assert profiles[2].start_ns == 0


def test_what_is_inside_leaves_room_for_what_is_around_it(make_captured: Any) -> None:
    captured = make_captured(threshold=0.01, max_profiles_per_operation=4, max_profiles=10)
    profiler = captured.profiler

    @profiler.profile("walk")
    def walk(levels: int) -> None:
        time.sleep(0.012)
        if levels:
            walk(levels - 1)

    walk(9)
    walls = sorted(profile.wall for profile in captured.all())
    assert len(walls) == 3, "half of four, and the outermost"
    assert walls[-1] > 0.12
    with profiler.operation("request"):
        for number in range(20):
            with profiler.operation(f"step {number}"):
                time.sleep(0.011)
    assert captured.all()[-1].operation.startswith("step")
    assert "request" in {profile.operation for profile in captured.all()}
