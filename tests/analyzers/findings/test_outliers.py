"""One host or version slower than the rest: found when it is, silent when chance would do it as well."""

from __future__ import annotations

import random

import pytest

from profkit_analyzers.findings import Finding, Findings
from profkit_analyzers.findings.outliers import LEAST_PROFILES, LEVEL, _chance
from profkit_storage.categories import default_categories

STACK = ["app.main:handle"]


@pytest.fixture
def seen(make_profile, frames):
    """`seen({host: durations}, versions={host: version})`: what is found in slow operations of so many seconds."""

    def run(
        durations: dict[str, list[float]], versions: dict[str, str] | None = None, **fields
    ) -> list[Finding]:
        findings = Findings()
        for host, walls in durations.items():
            for wall in walls:
                version = (versions or {}).get(host, "1.0")
                stacks = [([frames.app("app:handle")], wall)]
                profile = make_profile(stacks=stacks, host=host, version=version, **fields)
                findings.see(profile, default_categories())
        return list(findings.results())

    return run


def walls(rng: random.Random, count: int, times: float = 1.0) -> list[float]:
    """Seconds of slow operations: over 1 s, with a long tail."""
    return [1.0 + times * rng.lognormvariate(-0.5, 0.8) for _ in range(count)]


def test_a_slow_host_among_others(seen, facts):
    rng = random.Random(7)
    hosts = {f"web-{number}": walls(rng, 40) for number in range(4)}
    hosts["web-4"] = walls(rng, 40, times=3)
    (found,) = seen(hosts, weight=2.0)
    assert (found.pattern, found.place, found.operation) == ("slow_host", "web-4", "agent.route")
    assert found.operations == 80
    told = facts(found)
    assert told["as long"] == pytest.approx(told["median here"] / told["median of the others"])
    assert found.seconds == pytest.approx(80 * (told["median here"] - told["median of the others"]))
    assert told["profiles here"] == 40
    assert told["profiles of the others"] == 160
    assert told["probability by chance, at the most"] < LEVEL
    assert len(found.exemplars) == 3


def test_a_slow_version_and_each_operation_by_itself(seen):
    rng = random.Random(8)
    hosts = {"a": walls(rng, 40), "b": walls(rng, 40, times=3)}
    found = seen(hosts, versions={"a": "1.0", "b": "1.1"})
    assert {(one.pattern, one.place) for one in found} == {("slow_host", "b"), ("slow_version", "1.1")}


def test_too_few_profiles_are_no_evidence(seen):
    hosts = {"a": [1.1] * 50, "b": [9.0] * (LEAST_PROFILES - 1)}
    assert seen(hosts) == []
    hosts["b"].append(9.0)
    assert [one.place for one in seen(hosts)] == ["b"]


def test_a_few_stragglers_are_no_slow_host(seen):
    rng = random.Random(9)
    hosts = {f"web-{number}": walls(rng, 30) for number in range(3)}
    hosts["web-0"][:3] = [60.0, 70.0, 80.0]  # its mean is three times that of the others
    assert seen(hosts) == []


def test_a_true_but_small_difference_is_silent(seen):
    rng = random.Random(10)
    hosts = {"a": [seconds * 1.1 for seconds in walls(rng, 2000)], "b": walls(rng, 2000)}
    assert seen(hosts) == []


def test_hosts_that_do_not_differ_are_hardly_ever_told(seen):
    """Of 100 fleets of equal hosts at most a few: the level is one in a hundred, and the ratio asks for more."""
    told = 0
    for seed in range(100):
        rng = random.Random(seed)
        told += bool(seen({f"web-{number}": walls(rng, 12) for number in range(5)}))
    assert told <= 3


def test_one_host_alone_is_compared_with_nobody(seen):
    assert seen({"a": [5.0] * 50}) == []


def test_the_probability_is_that_of_shuffled_hosts():
    rng = random.Random(3)
    ours = [rng.randrange(20) + 3 for _ in range(15)]
    theirs = [rng.randrange(20) for _ in range(30)]

    def pairs(these: list[int], those: list[int]) -> float:
        return sum((a > b) + 0.5 * (a == b) for a in these for b in those)

    def counts(steps: list[int]) -> dict[int, int]:
        return {step: steps.count(step) for step in steps}

    seen, everything, higher = pairs(ours, theirs), ours + theirs, 0
    for _ in range(4000):
        rng.shuffle(everything)
        higher += pairs(everything[:15], everything[15:]) >= seen
    assert _chance(counts(ours), counts(theirs)) == pytest.approx(higher / 4000, abs=0.01)
    assert _chance({1: 5}, {1: 5}) == 1.0
