"""Findings as a whole: they merge in any order, stand for their weights, are bounded, and are told in the document."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profkit_analyzers.findings import Findings, Unit, summary
from profkit_analyzers.findings.outliers import _ADVICE
from profkit_analyzers.findings.tally import Bounded
from profkit_storage import ChildOperation, Profile, State, Trigger
from profkit_storage.categories import default_categories
from tests.analyzers.conftest import Frames
from tests.conftest import build_profile

DOCUMENT = Path(__file__).parents[3] / "docs" / "findings.md"
FRAMES = Frames()
HANDLER = FRAMES.app("app:handle")
HOLDER = FRAMES.app("app:crunch")
IDS = itertools.count()


def profile(kind: str, seconds: float, **fields: object) -> Profile:
    """A profile of each pattern, as a capture would have it."""
    sleep, await_ = FRAMES.native("time.sleep", "time"), FRAMES.await_
    find, load = FRAMES.std("importlib._bootstrap:_find_and_load"), FRAMES.lib("heavy:<module>")
    stacks = {
        "plain": [([HANDLER], State.RUNNING)],
        "json": [([HANDLER, FRAMES.std("json:dumps")], State.RUNNING)],
        "lock": [([HANDLER, FRAMES.native("guard.__enter__")], State.WAITING)],
        "pool": [([HANDLER, FRAMES.lib("sqlalchemy.util.queue:Queue.get", "SQLAlchemy")], State.WAITING)],
        "retry": [([HANDLER, FRAMES.lib("urllib3.util.retry:Retry.sleep"), sleep], State.WAITING)],
        "import": [([HANDLER, find, load], State.RUNNING)],
        "gc": [([HANDLER], State.GC)],
        "starved": [([HANDLER, await_], State.STARVED)],
    }.get(kind, [([HANDLER], State.RUNNING)])
    made = build_profile(
        stacks=[(stack, seconds) for stack, _ in stacks], states=[state for _, state in stacks],
        id=f"{next(IDS):026}", **fields,
    )  # fmt: skip
    if kind == "starved":
        samples = tuple(sample._replace(holder=len(made.frames)) for sample in made.samples)
        made = dataclasses.replace(made, samples=samples, frames=(*made.frames, HOLDER))
    elif kind == "queries":
        step = seconds / 20
        children = (ChildOperation("q", "db", n * step, (n + 1) * step, {}) for n in range(20))
        made = dataclasses.replace(made, children=tuple(children))
    elif kind == "tokens":
        made = dataclasses.replace(made, tags={"ttft": seconds * 0.7}, category="llm")
    return made


KINDS = ["plain", "json", "lock", "pool", "retry", "import", "gc", "starved", "queries", "tokens"]
profiles = st.builds(
    profile,
    st.sampled_from(KINDS),
    st.floats(1.0, 30.0),
    operation=st.sampled_from(["a", "b"]),
    host=st.sampled_from(["web-1", "web-2", ""]),
    weight=st.sampled_from([1.0, 3.0, 2.5]),
)


def seen(profiles: list[Profile]) -> Findings:
    findings = Findings()
    for one in profiles:
        findings.see(one, default_categories())
    return findings


@settings(deadline=None, max_examples=60)
@given(st.lists(profiles, max_size=40), st.data())
def test_any_split_merged_in_any_order_gives_the_same_findings(profiles, data):
    expected = seen(profiles).results()
    shuffled = data.draw(st.permutations(profiles))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(profiles)), max_size=5)))
    parts = [shuffled[start:end] for start, end in itertools.pairwise([0, *cuts, len(profiles)])]
    summaries = [pickle.loads(pickle.dumps(seen(part))) for part in parts]
    while len(summaries) > 1:
        other = summaries.pop(data.draw(st.integers(1, len(summaries) - 1)))
        summaries[0].merge(other)
    assert summaries[0].results() == expected


def test_a_merge_leaves_the_other_as_it_was():
    one, two = seen([profile("json", 2.0)]), seen([profile("json", 3.0)])
    before = two.results()
    one.merge(two)
    one.see(profile("json", 4.0), default_categories())
    assert two.results() == before


def test_a_profile_stands_for_its_weight_and_the_worst_come_first():
    findings = seen([profile("json", 2.0, weight=3.0), *(profile("json", float(n)) for n in range(3, 7))])
    findings.see(profile("json", 60.0, trigger=Trigger.MANUAL, weight=0.0), default_categories())
    (found,) = findings.results()
    assert found.seconds == pytest.approx(3 * 2 + 3 + 4 + 5 + 6)
    assert found.operations == 7
    assert len(found.exemplars) == 3
    assert list(found.exemplars) == sorted(found.exemplars, reverse=True)


def test_the_most_seconds_at_stake_come_first():
    found = seen([profile("gc", 1.0), profile("json", 9.0), profile("lock", 5.0)]).results()
    assert [one.pattern for one in found] == ["large_serialization", "lock_contention", "gc_pause"]
    assert seen([]).results() == seen([profile("plain", 5.0)]).results() == ()


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("json", "large_serialization"), ("lock", "lock_contention"), ("pool", "pool_wait"),
        ("retry", "retry_backoff"), ("import", "slow_import"), ("gc", "gc_pause"), ("starved", "blocking_call"),
        ("queries", "n_plus_one_query"),
    ],
)  # fmt: skip
def test_less_than_a_twentieth_of_the_operation_is_silent(kind, pattern):
    def with_rest(seconds: float) -> Profile:
        """So many seconds of the pattern in an operation of 10 s."""
        made, rest = profile(kind, seconds), profile("plain", 10.0 - seconds)
        sample = rest.samples[0]._replace(node=0)
        return dataclasses.replace(made, samples=(*made.samples, sample), wall=10.0)

    assert [one.pattern for one in seen([with_rest(1.5)]).results()] == [pattern]
    assert seen([with_rest(0.45)]).results() == ()


def test_memory_is_bounded_whatever_the_order():
    names = [f"key {number}" for number in range(1000)]
    orders = [
        names,
        names[::-1],
        sorted(names, key=lambda name: name[::-1]),
        names[500:] + names[:500] + names,
    ]
    ends = []
    for order in orders:
        bounded: Bounded[str, int] = Bounded(50)
        for name in order:
            if bounded.admits(name):
                bounded[name] = 1
            assert len(bounded) <= 100
        ends.append(bounded.settled().keys())
    assert len(ends[0]) == 50
    assert all(end == ends[0] for end in ends)
    assert Bounded(50).settled() == {}


def test_places_and_hosts_are_bounded(monkeypatch):
    monkeypatch.setattr(summary, "MAX_PLACES", 20)
    findings = Findings()
    for number in range(300):
        one = profile("json", 2.0, operation=f"op {number}", host=f"host {number}")
        findings.see(one, default_categories())
    assert len(findings.results()) == 20
    assert len(findings._tallies) <= 40


def test_every_pattern_and_what_a_finding_holds_is_in_the_document():
    text = DOCUMENT.read_text(encoding="utf-8")
    for pattern in (*summary.PATTERNS, *_ADVICE):
        name = pattern if isinstance(pattern, str) else pattern.name
        assert f"`{name}`" in text, name
    (found,) = seen([profile("starved", 2.0)]).results()
    told = json.loads(json.dumps(found.to_dict()))
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert set(told) <= named
    assert {key for fact in told["evidence"] for key in fact} == {"label", "value", "unit"} <= named
    assert all(f"`{unit.value}`" in text for unit in Unit)
    assert told["seconds"] == pytest.approx(2.0)
    assert told["exemplars"] == list(found.exemplars)


@pytest.mark.parametrize("batched", [True, False])
def test_what_an_orm_does_around_a_batch_is_no_query_of_its_own(batched: bool) -> None:
    """Only the stacks that end in the batch have the driver's call in them: none is counted beside it."""
    engine = "sqlalchemy.engine.base:Connection"
    execute = FRAMES.lib(f"{engine}.execute", "SQLAlchemy")
    context = FRAMES.lib(f"{engine}._execute_context", "SQLAlchemy")
    compiler = FRAMES.lib("sqlalchemy.sql.compiler:SQLCompiler.process", "SQLAlchemy")
    sends = FRAMES.lib(
        f"sqlalchemy.engine.default:DefaultDialect.do_execute{'many' if batched else ''}", "SQLAlchemy"
    )
    stacks = [([HANDLER, execute, compiler], 0.05), ([HANDLER, execute, context, sends], 0.05)] * 12
    found = Findings()
    found.see(build_profile(stacks=stacks, states=[State.RUNNING] * 24, children=()), default_categories())
    assert ("n_plus_one_query" in {finding.pattern for finding in found.results()}) is not batched
