"""How waiting time is shared out among the child operations that were in flight."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profkit_analyzers.attribution.inflight import InFlight
from profkit_analyzers.attribution.rulings import attribute
from profkit_storage import Branch, ChildOperation, State
from profkit_storage.categories import default_categories


def child(name: str, category: str, start: float, end: float, parent: int = -1) -> ChildOperation:
    return ChildOperation(name, category, start, end, {}, parent)


@pytest.fixture
def owners(make_profile, frames):
    """`owners(children)`: seconds by (category, owner) of an operation of `seconds` that awaits, below `stack`."""

    def run(children, seconds=2.0, stack=None, state=State.WAITING, branches=(), branch=-1, **fields):
        stack = [frames.await_] if stack is None else stack
        profile = make_profile(
            stacks=[([frames.app("app:main"), *stack], seconds)],
            states=[state],
            children=tuple(children),
            branches=tuple(branches),
            **fields,
        )
        samples = tuple(sample._replace(branch=branch) for sample in profile.samples)
        found = attribute(dataclasses.replace(profile, samples=samples), default_categories())
        assert {str(key.call_site) for key in found.seconds} == {"app.main (line 13)"}
        return {(key.category, key.owner): pytest.approx(spent) for key, spent in found.seconds.items()}

    return run


def test_two_that_are_gathered_share_the_time_they_ran_side_by_side(owners):
    found = owners([child("llm.chat", "llm", 0, 0.5), child("db.q", "db", 0, 0.4)], seconds=0.5)
    assert found == {("llm", "llm.chat"): 0.3, ("db", "db.q"): 0.2}


def test_the_rest_goes_by_the_frames(owners):
    found = owners([child("db.q", "db", 0.5, 1.0), child("db.q", "db", 1.2, 1.3)])
    assert found == {("agent", "await"): 1.4, ("db", "db.q"): 0.6}


def test_what_encloses_others_in_flight_has_only_the_rest_of_its_time(owners):
    children = [
        child("outer", "agent", 0, 2),
        child("", "", 0.1, 1.9, parent=0),
        child("inner", "db", 0.5, 1, parent=1),
        child("other", "llm", 0.75, 1.25, parent=0),
    ]
    assert owners(children) == {("agent", "outer"): 1.25, ("db", "inner"): 0.375, ("llm", "other"): 0.375}


def test_one_without_a_category_is_looked_through(owners):
    assert owners([child("outer", "db", 0, 2), child("inner", "", 0, 2, parent=0)]) == {("db", "outer"): 2}
    assert owners([child("plain", "", 0, 2)]) == {("agent", "await"): 2}


def test_many_in_a_row_within_one_sample(owners):
    children = [child("query", "db", number / 100, number / 100 + 0.008) for number in range(200)]
    assert owners(children) == {("db", "query"): 1.6, ("agent", "await"): 0.4}


@pytest.mark.parametrize(
    ("module", "qualname", "split"),
    [
        ("asyncio.locks", "Event.wait", True),
        ("anyio.streams", "receive", True),
        ("httpx._client", "send", True),
        ("redis.client", "get", False),
        ("celery.app", "run", False),
    ],
)
def test_waiting_in_asyncio_anyio_or_transport_code_is_shared_out(owners, frames, module, qualname, split):
    top = module.partition(".")[0]
    frame = frames.std(f"{module}:{qualname}") if top == "asyncio" else frames.lib(f"{module}:{qualname}")
    children = [child("llm.chat", "llm", 0, 1), child("db.q", "db", 0, 1)]
    found = owners(children, stack=[frame])
    assert (found.get(("llm", "llm.chat"), 0) == 0.5) == split


def test_a_loop_run_by_the_operation_itself_waits_in_its_poll(owners, frames):
    stack = [
        frames.std("asyncio.runners:run"),
        frames.std("selectors:EpollSelector.select"),
        frames.native("poll", "select"),
    ]
    assert owners([child("a", "llm", 0, 2), child("b", "db", 0, 2)], stack=stack) == {
        ("llm", "a"): 1,
        ("db", "b"): 1,
    }


def test_running_code_is_not_shared_out(owners, frames):
    leaf = [frames.lib("anyio.streams:receive")]
    found = owners([child("a", "llm", 0, 2), child("b", "db", 0, 2)], stack=leaf, state=State.RUNNING)
    assert set(found) == {("http", "anyio")}


def test_a_library_that_decides_keeps_its_time(owners, frames):
    stack = [frames.lib("openai.resources:create", "openai"), frames.lib("httpx._client:send"), frames.await_]
    assert owners([child("x", "db", 0, 2)], stack=stack) == {("llm", "openai"): 2}


def test_transport_stays_http_in_a_child_of_no_remote_category(owners, frames):
    stack = [frames.lib("httpx._client:send"), frames.await_]
    found = owners([child("tool", "agent", 0, 1), child("llm.chat", "llm", 1, 2)], stack=stack)
    assert found == {("http", "httpx"): 1, ("llm", "llm.chat"): 1}


def test_a_branch_with_frames_of_its_own_is_not_shared_out(owners):
    children = [child("a", "llm", 0, 2), child("b", "db", 0, 2)]
    assert owners(children, branches=[Branch("t", -1, 0, 2)], branch=0) == {("agent", "await"): 2}


def test_what_was_not_observed_is_spread_evenly(owners):
    found = owners([child("db.q", "db", 2, 4)], seconds=2.0, wall=4.0)
    assert found == {("agent", "await"): 1, ("db", "db.q"): 1}


def test_parents_in_a_ring_end(owners):
    children = [child("a", "db", 0, 2, parent=1), child("b", "llm", 0, 2, parent=0)]
    assert owners(children) == {("agent", "await"): 2}


times = st.floats(0, 10, allow_nan=False)
spans = st.tuples(times, times).map(sorted)


@settings(max_examples=200, deadline=None)
@given(
    children=st.lists(st.tuples(spans, st.sampled_from(["", "db", "llm"]), st.integers(-1, 9)), max_size=10),
    cuts=st.lists(times, min_size=2, max_size=8).map(sorted),
)
def test_the_shares_are_the_time_in_which_any_was_in_flight_and_cutting_changes_nothing(children, cuts):
    made = [
        child(str(index), category, start, end, parent if parent < len(children) and parent != index else -1)
        for index, ((start, end), category, parent) in enumerate(children)
    ]
    whole = InFlight(made).shares(cuts[0], cuts[-1])
    inflight = InFlight(made)
    parts: dict[int, float] = {}
    for start, end in itertools.pairwise(cuts):
        shares = inflight.shares(start, end)
        assert all(share >= 0 and made[index].category for index, share in shares.items())
        assert sum(shares.values()) <= end - start + 1e-9
        for index, share in shares.items():
            parts[index] = parts.get(index, 0) + share
    assert parts == pytest.approx(whole)


@given(
    children=st.lists(st.tuples(spans, st.integers(-1, 8)), max_size=10), start=times, length=st.floats(0, 5)
)
def test_a_moment_with_n_innermost_ones_gives_each_one_nth(children, start, length):
    made = [
        child(str(index), "db", *span, parent if parent < index else -1)
        for index, (span, parent) in enumerate(children)
    ]
    expected: dict[int, float] = {}
    cuts = sorted(
        {start, start + length, *(t for c in made for t in (c.start, c.end) if start < t < start + length)}
    )
    for first, last in itertools.pairwise(cuts):
        middle = (first + last) / 2
        flying = {index for index, c in enumerate(made) if c.start < middle < c.end}
        above: set[int] = set()
        for index in flying:
            while (index := made[index].parent) >= 0:
                above.add(index)
        for index in flying - above:
            expected[index] = expected.get(index, 0) + (last - first) / len(flying - above)
    assert InFlight(made).shares(start, start + length) == pytest.approx(expected, abs=1e-9)


def test_ten_thousand_children_take_no_time_worth_naming(make_profile, frames):
    calls = 0

    class Counted(list):
        def __getitem__(self, index):
            nonlocal calls
            calls += 1
            return super().__getitem__(index)

    children = Counted(child("q", "db", number / 1000, number / 1000 + 0.0005) for number in range(10_000))
    assert sum(InFlight(children).shares(0, 10).values()) == pytest.approx(5)
    assert calls < 10 * len(children)
