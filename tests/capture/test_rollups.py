"""Counting all operations: nothing lost, nothing counted twice, whoever appends and drains at the same time."""

import math
import os
import random
import sys
import threading
import time
from collections import Counter
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit.rollups import MAX_OTHERS, MAX_TALLIES, OTHER, Rollups
from profkit.tallies import Tally
from profkit_storage import Histogram, decode_rollups, encode_rollups
from profkit_storage.histogram import MAX_ERROR


@pytest.fixture
def rollups():
    return Rollups()


@pytest.fixture
def hasty():
    """Let the interpreter change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run_all(*targets):
    errors = []

    def guarded(target):
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


def test_a_tally_is_one_of_its_name_category_and_threshold(rollups):
    tally = rollups.tally("route", "agent", None)
    assert rollups.tally("route", "agent", None) is tally
    others = [
        rollups.tally("Route", "agent", None),
        rollups.tally("route", "db", None),
        rollups.tally("route", "agent", 2.0),
    ]
    assert len({id(tally), *map(id, others)}) == 4
    assert (tally.name, tally.category, tally.threshold) == ("route", "agent", None)
    assert others[2].threshold == 2.0
    assert rollups.overflowed == 0


def test_the_limit_is_its_own_or_its_categorys_or_the_one_for_all(rollups):
    plain, own, llm = (
        rollups.tally("a", "db", None),
        rollups.tally("a", "db", 0.25),
        rollups.tally("a", "llm", None),
    )
    assert [tally.limit for tally in (plain, own, llm)] == [1.0, 0.25, 1.0]
    rollups.set_limits(0.5, {"llm": 3.0})
    later = rollups.tally("b", "llm", None)
    assert [tally.limit for tally in (plain, own, llm, later)] == [0.5, 0.25, 3.0, 3.0]
    rollups.set_limits(0.7)
    assert [tally.limit for tally in (plain, own, llm, later)] == [0.7, 0.25, 0.7, 0.7]


def test_a_tally_that_is_made_while_limits_are_set_has_the_new_one(rollups, monkeypatch):
    real = rollups.limit

    def limit(category, threshold=None):
        value = real(category, threshold)
        monkeypatch.undo()
        rollups.set_limits(9.0)
        return value

    monkeypatch.setattr(rollups, "limit", limit)
    assert rollups.tally("a", "db", None).limit == 9.0


def test_what_is_counted_is_collected(rollups):
    busy, idle = rollups.tally("route", "agent", 0.5), rollups.tally("idle", "db", None)
    assert idle.durations == []
    for seconds in (0.1, 0.7, 0.9):
        busy.durations.append(seconds)
    busy.errors += 1
    busy.slow += 2
    busy.kept += 1
    busy.drop("rate")

    rollups.drain()
    assert busy.durations == [] and busy.drops == []
    before = time.time_ns()
    window = rollups.collect()

    (row,) = window.rollups
    assert row.histogram == histogram(0.1, 0.7, 0.9)
    assert row._replace(histogram=None) == (
        "route", "agent", 3, 1, pytest.approx(1.7), 2, 1, {"rate": 1}, 0.5, None
    )  # fmt: skip
    assert window.start_ns <= before <= window.end_ns <= time.time_ns()


def histogram(*values):
    made = Histogram()
    made.add_many(values)
    return made


def test_windows_follow_each_other_and_hold_what_is_new(rollups):
    tally = rollups.tally("a", "", None)
    tally.durations.append(1.0)
    tally.drop("rate")
    tally.drop("queue")
    first = rollups.collect(2_000_000_000_000_000_000)
    second = rollups.collect(2_000_000_060_000_000_000)
    assert (second.start_ns, second.rollups) == (first.end_ns, ())
    tally.durations.append(3.0)
    tally.drop("rate")
    third = rollups.collect(2_000_000_120_000_000_000)
    (row,) = third.rollups
    assert (row.calls, row.seconds, row.dropped) == (1, 3.0, {"rate": 1})
    assert row.histogram == histogram(3.0)
    tally.errors += 1  # told after its operation's seconds were collected
    (row,) = rollups.collect(2_000_000_180_000_000_000).rollups
    assert (row.calls, row.errors, row.seconds, row.dropped, row.histogram.counts) == (0, 1, 0.0, {}, {})


def test_a_clock_that_steps_back(rollups):
    first = rollups.collect(rollups._start_ns - 5_000_000_000)
    assert first.end_ns == first.start_ns
    second = rollups.collect(first.start_ns - 1_000_000_000)
    assert (second.start_ns, second.end_ns) == (
        first.start_ns - 5_000_000_000,
        first.start_ns - 1_000_000_000,
    )


def test_totals_are_since_the_start_and_of_all(rollups):
    for category in ("db", "llm"):
        tally = rollups.tally("a", category, None)
        tally.durations.extend([0.5, 0.25])
        tally.errors += 1
        tally.drop("rate")
        rollups.collect()
        tally.slow += 1
        tally.kept += 1
        tally.durations.append(1.0)
    expected = (6, 3.5, 2, 2, 2, {"rate": 2})
    assert rollups.totals() == expected
    rollups.collect()
    assert rollups.totals() == expected


events = st.lists(
    st.tuples(
        st.sampled_from(["append", "error", "slow", "drop", "drain", "collect", "totals"]),
        st.integers(0, 3),
        st.floats(0, 1e4),
    ),
    max_size=60,
)


@given(events)
def test_whatever_happens_windows_add_up(events):
    rollups, windows = Rollups(), []
    true = {name: Counter() for name in ("calls", "errors", "slow", "kept", "rate")}
    seconds = {}
    for what, number, value in events:
        name = f"op{number}"
        tally = rollups.tally(name, "c", None)
        if what == "append":
            tally.durations.append(value)
            true["calls"][name] += 1
            seconds.setdefault(name, []).append(value)
        elif what == "error":
            tally.errors += 1
            true["errors"][name] += 1
        elif what == "slow":
            tally.slow += 1
            tally.kept += 1
            true["slow"][name] += 1
            true["kept"][name] += 1
        elif what == "drop":
            tally.drop("rate")
            true["rate"][name] += 1
        elif what == "collect":
            windows.append(rollups.collect())
        else:
            getattr(rollups, what)()
    windows.append(rollups.collect())

    rows = [row for window in windows for row in window.rollups]
    found = {name: Counter() for name in true}
    sums, merged = Counter(), {}
    for row in rows:
        for field in ("calls", "errors", "slow", "kept"):
            found[field][row.operation] += getattr(row, field)
        found["rate"][row.operation] += row.dropped.get("rate", 0)
        sums[row.operation] += row.seconds
        merged.setdefault(row.operation, Histogram()).merge(row.histogram)
        assert row.histogram.total == row.calls
        assert row.calls or row.errors or row.slow or row.dropped, "only what was active"
    assert found == true
    for name, values in seconds.items():
        assert sums[name] == pytest.approx(sum(values), rel=1e-9, abs=1e-9)
        assert merged[name] == histogram(*values)
    totals = rollups.totals()
    assert totals.calls == sum(true["calls"].values())
    assert totals.dropped == ({"rate": sum(true["rate"].values())} if true["rate"] else {})


def test_many_append_while_many_drain(rollups, hasty):  # noqa: C901 - a scenario told from start to end
    """Every duration is a power of two, so that sums of them are exact in any order."""
    calls, appenders, done = 40_000, 3, threading.Event()
    windows, running = [], []

    def append(index):
        tally = rollups.tally(f"op{index % 2}", "c", None)
        append_one = tally.durations.append
        for number in range(calls):
            append_one(0.125 if number % 2 else 2.0)
            if number % 8 == 0:
                tally.errors += 1
                tally.drop("rate")

    def drain(method):
        last = 0
        while not done.is_set():
            found = method()
            if method == rollups.collect:
                windows.append(found)
            elif method == rollups.totals:
                assert found.calls >= last, "never less than before"
                last = found.calls
                running.append(found.calls)
            time.sleep(1e-4)

    drainers = [
        threading.Thread(target=drain, args=(method,))
        for method in (rollups.drain, rollups.drain, rollups.totals, rollups.collect)
    ]
    for thread in drainers:
        thread.start()
    run_all(*(lambda index=index: append(index) for index in range(appenders)))
    done.set()
    for thread in drainers:
        thread.join(60)
    windows.append(rollups.collect())

    rows = [row for window in windows for row in window.rollups]
    assert len(windows) > 2 and len(running) > 2
    assert sum(row.calls for row in rows) == rollups.totals().calls == calls * appenders
    assert sum(row.seconds for row in rows) == rollups.totals().seconds == calls * appenders * 2.125 / 2
    assert sum(row.errors for row in rows) == calls * appenders / 8
    assert sum(row.dropped.get("rate", 0) for row in rows) == calls * appenders / 8
    for row in rows:
        assert row.histogram.total == row.calls


@pytest.mark.parametrize("over", [False, True])
def test_no_count_is_lost_between_threads(rollups, hasty, monkeypatch, over):
    monkeypatch.setattr("profkit.rollups.MAX_TALLIES", 0 if over else 10)

    def work():
        for _ in range(20_000):
            tally = rollups.tally("a", "c", None)
            tally.errors += 1
            tally.slow += 1
            tally.kept += 1

    run_all(*[work] * 4)
    totals = rollups.totals()
    assert (totals.errors, totals.slow, totals.kept) == (80_000, 80_000, 80_000)


def test_two_threads_that_ask_for_a_new_name_get_one_tally(rollups, hasty):
    barrier, found = threading.Barrier(4), [[] for _ in range(4)]

    def work(index):
        barrier.wait(10)
        for number in range(500):
            found[index].append(rollups.tally(f"op{number}", "c", None))

    run_all(*(lambda index=index: work(index) for index in range(4)))
    for tallies in zip(*found, strict=True):
        assert len(set(map(id, tallies))) == 1
    for tally in found[0]:
        tally.durations.append(1.0)
    assert len(rollups.collect().rollups) == 500


def test_names_made_at_run_time_do_not_grow_memory(rollups, monkeypatch):
    monkeypatch.setattr("profkit.rollups.MAX_TALLIES", 3)
    first = [rollups.tally(f"job {number}", "db", None) for number in range(3)]
    late = rollups.tally("job 3", "db", 0.2)
    later = rollups.tally("job 4", "db", None)
    llm = rollups.tally("job 5", "llm", None)
    assert (late.name, late.category, late.threshold, late.limit) == ("job 3", "db", 0.2, 0.2)
    rollups.set_limits(0.5, {"llm": 7.0})
    assert (late.limit, later.limit, llm.limit) == (0.2, 0.5, 7.0)
    assert rollups.tally("job 1", "db", None) is first[1], "those there were keep their own"
    assert rollups.overflowed == 3
    for tally in (first[0], late, later, llm):
        tally.durations.append(1.0)
        tally.errors += 1
        tally.drop("rate")
    rows = {(row.operation, row.category): row for row in rollups.collect().rollups}
    assert {key: (row.calls, row.errors, row.dropped["rate"]) for key, row in rows.items()} == {
        ("job 0", "db"): (1, 1, 1),
        (OTHER, "db"): (2, 2, 2),
        (OTHER, "llm"): (1, 1, 1),
    }
    for number in range(5 * MAX_OTHERS):
        rollups.tally("job", f"category {number}", None).durations.append(1.0)
    assert len(rollups._all) == 3 + MAX_OTHERS + 1
    rows = {(row.operation, row.category): row.calls for row in rollups.collect().rollups}
    assert rows[OTHER, OTHER] == 4 * MAX_OTHERS + 2
    assert rollups.overflowed == 3 + 5 * MAX_OTHERS


def test_the_bound_is_ten_thousand(rollups):
    tallies = [rollups.tally(f"job {number}", "db", None) for number in range(MAX_TALLIES + 50)]
    assert len(rollups._all) == MAX_TALLIES + 1
    assert rollups.overflowed == 50
    for tally in tallies:
        tally.durations.append(1.0)
    rows = rollups.collect().rollups
    assert max(rows, key=attrgetter("calls")).operation == OTHER
    assert sum(row.calls for row in rows) == MAX_TALLIES + 50


def test_of_a_large_batch_a_part_goes_into_the_histogram_for_all_of_it(rollups):
    draw = random.Random(2)
    tally = rollups.tally("a", "c", None)
    values = []
    for _ in range(40):
        batch = [draw.lognormvariate(-6, 1) for _ in range(20_000)]
        values += batch
        tally.durations.extend(batch)
        rollups.drain()
    (row,) = rollups.collect().rollups
    values.sort()
    assert row.calls == row.histogram.total == 800_000
    assert row.seconds == pytest.approx(sum(values))
    for q in (0.05, 0.5, 0.95, 0.99):
        # A sample of 18,000 is off by some per cent of its own besides.
        assert row.histogram.quantile(q) == pytest.approx(values[int(q * 799_999)], rel=MAX_ERROR + 0.05)


@pytest.mark.parametrize("period", [2, 3, 10, 21])
@pytest.mark.parametrize("in_order", [False, True])
def test_a_part_is_like_the_whole_whatever_its_order(rollups, period, in_order):
    tally = rollups.tally("a", "c", None)
    batch = [0.001, *[0.1] * (period - 1)] * (10_000 // period)
    for _ in range(10):
        tally.durations.extend(sorted(batch) if in_order else batch)
        rollups.drain()
    (row,) = rollups.collect().rollups
    share, deviation = 1 / period, math.sqrt((1 - 1 / period) / period / 5_000)
    assert row.histogram.counts[min(row.histogram.counts)] / row.calls == pytest.approx(
        share, abs=5 * deviation
    )


def test_what_is_no_duration_is_no_call(rollups):
    tally = rollups.tally("a", "c", None)
    tally.durations.extend([1.0, -math.inf, math.inf, math.nan, 2.0])
    rollups.drain()
    assert tally.durations == []
    tally.durations.extend([-math.inf])
    assert rollups.totals()[:2] == (2, 3.0)
    (row,) = rollups.collect().rollups
    assert (row.calls, row.seconds, row.histogram.total) == (2, 3.0, 2)


def test_one_drain_looks_at_a_bounded_number(rollups):
    tallies = [rollups.tally(f"op{number}", "c", None) for number in range(1_200)]
    for tally in tallies:
        tally.durations.append(1.0)
    left = []
    for _ in range(4):
        rollups.drain()
        left.append(sum(len(tally.durations) for tally in tallies))
        tallies[0].durations.append(1.0)
    assert left == [700, 201, 2, 0], "it goes on where it was, and begins again"
    assert rollups.totals().calls == 1_204


def test_drain_gives_way_to_another_thread_that_drains(rollups):
    tally = rollups.tally("a", "c", None)
    tally.durations.append(1.0)
    with rollups._lock:
        run_all(rollups.drain)
        assert tally.durations == [1.0]
    run_all(rollups.drain)
    assert tally.durations == []


class Finalized(float):
    """Calls what it is given in the midst of being added up, as a finalizer may come there."""

    def __new__(cls, call):
        made = float.__new__(cls, 1.0)
        made.call = call
        return made

    def __radd__(self, other):
        self.call()
        return other + 1.0


@pytest.mark.parametrize("outer", ["drain", "collect", "totals"])
@pytest.mark.parametrize("inner", ["drain", "collect", "totals", "append"])
def test_a_finalizer_that_comes_in_its_midst_takes_nothing_twice(rollups, outer, inner):
    tally = rollups.tally("a", "c", None)
    windows = []

    def call():
        if inner == "append":
            rollups.tally("new", "c", None).durations.append(1.0)
            tally.durations.append(1.0)
        else:
            found = getattr(rollups, inner)()
            if inner == "collect":
                windows.append(found)

    tally.durations.extend([1.0, Finalized(call), 1.0])
    found = getattr(rollups, outer)()
    windows.append(found if outer == "collect" else rollups.collect())
    windows.append(rollups.collect())
    expected = 5 if inner == "append" else 3
    assert rollups.totals().calls == expected
    assert sum(row.calls for window in windows for row in window.rollups) == expected
    assert sum(row.seconds for window in windows for row in window.rollups) == expected


class Hashed(str):
    """A reason that calls what it is given in the midst of being counted."""

    __slots__ = ("call",)

    def __hash__(self):
        call, self.call = self.call, lambda: None
        call()
        return str.__hash__(self)


def test_a_reason_that_comes_while_others_are_counted_is_not_lost(rollups):
    tally = rollups.tally("a", "c", None)
    reason = Hashed("rate")
    reason.call = lambda: tally.drop("rate")
    tally.drop(reason)
    assert sum(rollups.totals().dropped.values()) + sum(rollups.totals().dropped.values()) == 3
    (row,) = rollups.collect().rollups
    assert row.dropped == {"rate": 2}


def test_a_finalizer_that_collects_while_it_is_collected_takes_nothing_twice(rollups, monkeypatch):
    real, windows = Tally.counts, []

    def counts(self):
        found = real(self)
        if not windows:
            windows.append(None)
            windows.append(rollups.collect())
        return found

    rollups.tally("a", "c", None).durations.append(1.0)
    monkeypatch.setattr(Tally, "counts", counts)
    windows.append(rollups.collect())
    assert [len(window.rollups) for window in windows[1:]] == [0, 1]


def test_reset_starts_from_zero_with_the_lists_that_are_held(rollups, monkeypatch):
    tally = rollups.tally("a", "c", 0.3)
    monkeypatch.setattr("profkit.rollups.MAX_TALLIES", 1)
    over = rollups.tally("b", "c", None)
    kept, kept_over = tally.durations.append, over.durations.append
    for one in (tally, over):
        one.durations.append(1.0)
        one.drop("rate")
        one.errors += 1
    rollups.drain()
    tally.durations.append(1.0)
    over.durations.append(1.0)
    start_ns = rollups._start_ns

    rollups.reset()

    assert rollups.totals() == (0, 0, 0, 0, 0, {})
    assert rollups.overflowed == 0
    assert rollups.collect().rollups == ()
    assert rollups._start_ns > start_ns
    kept(2.0)
    kept_over(4.0)
    assert {(row.operation, row.calls, row.seconds) for row in rollups.collect().rollups} == {
        ("a", 1, 2.0),
        (OTHER, 1, 4.0),
    }
    assert tally.limit == 0.3


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_begins_with_zero_even_if_its_parent_was_draining(rollups):
    tally = rollups.tally("a", "c", None)
    tally.durations.extend([1.0] * 3)
    rollups.drain()
    tally.durations.append(1.0)
    locked, go_on = threading.Event(), threading.Event()

    def hold():
        with rollups._lock:
            rollups._busy = True
            locked.set()
            go_on.wait(30)
            rollups._busy = False

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(30)
    child = os.fork()
    if child == 0:
        rollups.reset()
        tally.durations.append(1.0)
        counted = rollups.totals().calls + 10 * sum(row.calls for row in rollups.collect().rollups)
        os._exit(counted)
    go_on.set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 11
    assert rollups.totals().calls == 4


def test_a_window_as_it_is_stored(rollups):
    tally = rollups.tally("token=abc", "db-abc", math.inf)
    tally.durations.append(0.25)
    window = rollups.collect()
    made = window.stored(
        service="orders", version="1", host="web-1", mask=lambda text: text.replace("abc", "***")
    )
    assert decode_rollups(encode_rollups(made)) == made
    assert (made.service, made.version, made.host, made.pid) == ("orders", "1", "web-1", os.getpid())
    assert (made.start_ns, made.end_ns) == (window.start_ns, window.end_ns)
    (row,) = made.rollups
    assert (row.operation, row.category, row.calls, row.threshold) == ("token=***", "db-***", 1, 1e10)


def in_thread_time(work):
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


@pytest.mark.guard
def test_counting_costs_a_fraction_of_clocking(rollups):
    """About an eighth: 15 to 27 ns for what took two readings of the clock and an append."""
    tally = rollups.tally("a", "c", None)
    append, clock = tally.durations.append, time.perf_counter

    def clocked():
        for _ in range(10_000):
            started = clock()
            append(clock() - started)

    ratios = sorted(
        in_thread_time(rollups.drain) / made for made in (in_thread_time(clocked) for _ in range(25))
    )
    assert rollups.totals().calls == 250_000
    assert ratios[12] < 0.5


def test_counts_are_by_name_and_category_whatever_the_threshold() -> None:
    rollups = Rollups()
    for threshold, duration in ((None, 1.0), (0.5, 2.0), (0.5, 3.0)):
        rollups.tally("load", "db", threshold).durations.append(duration)
    rollups.tally("load", "db", 0.5).drop("queue_full")
    rollups.tally("load", "db", None).drop("queue_full")
    rollups.tally("load", "http", None).errors += 1
    rollups.collect()  # a window ends, the counts go on
    rollups.tally("load", "db", None).durations.append(4.0)
    counts = rollups.counts()
    assert counts.keys() == {("load", "db"), ("load", "http")}
    found = counts["load", "db"]
    assert (found.calls, found.seconds, dict(found.dropped)) == (4, 10.0, {"queue_full": 2})
    assert counts["load", "http"].errors == 1
