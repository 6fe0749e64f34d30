"""What is planted is found, what is not changed has no verdict, and intervals hold the truth: over many seeds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import pytest

from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.changes.comparing import Exposure, Named, compare
from profkit_analyzers.changes.comparison import Pair, Verdict
from profkit_analyzers.changes.effects import greatest_p
from profkit_analyzers.changes.sides import ALL, MICRO, Side, Sides
from profkit_storage import MemoryStorage
from profkit_storage.categories import default_categories
from tests.analyzers.corpus import (
    CHAT,
    CHECKOUT,
    ENCODE,
    ITEMS,
    KINDS,
    ORDERS,
    Kind,
    Taken,
    generate,
)
from tests.conftest import build_profile

TABLE = default_categories()
SEEDS = 100
SLOWER = (CHECKOUT.with_site("orders", 1.3), CHAT)


def summed(kinds, seed, taken=None, hours=1):
    sides = Sides(detail=True)
    for profile in generate(build_profile, kinds, seed, taken=taken, hours=hours):
        sides.add(profile, ALL, TABLE)
    return sides.sides.get(ALL, Side())


def compared(old, new, seed=1, *, hours=3, calls=False):
    first, second = Taken(), Taken()
    sides = summed(old, 2 * seed, first, hours), summed(new, 2 * seed + 1, second, hours)
    exposure = Exposure(first.calls, second.calls) if calls else Exposure(hours=Pair(hours, hours))
    return compare(Named("old", sides[0]), Named("new", sides[1]), exposure)


def verdicts(found):
    return {
        f"{row.operation} {row.function}": str(row.verdict) if row.shift is None else "moved"
        for row in found.bottlenecks
        if row.verdict is not Verdict.NO_EVIDENCE
    }


@dataclass
class Runs:
    """Sides of many seeds, half of them with a planted regression, and what the generator's clock says of all."""

    old: list[Side]
    new: list[Side]
    before: Taken
    after: Taken


@pytest.fixture(scope="module")
def runs():
    before, after = Taken(), Taken()
    less = [[kind.with_calls(40) for kind in kinds] for kinds in (KINDS, SLOWER)]
    return Runs(
        [summed(less[0], seed, before) for seed in range(SEEDS)],
        [summed(less[1], SEEDS + seed, after) for seed in range(SEEDS)],
        before,
        after,
    )


def test_intervals_hold_the_truth_in_ninety_of_a_hundred_seeds(runs):
    found = [compare(Named("a", old), Named("b", new)) for old, new in zip(runs.old, runs.new, strict=True)]
    for site in (ORDERS, ITEMS, ENCODE):
        truth = runs.after.per_operation("checkout", site.key) - runs.before.per_operation(
            "checkout", site.key
        )
        effects = [
            row.seconds
            for one in found
            for row in one.bottlenecks
            if (row.operation, row.function) == ("checkout", site.function)
        ]
        held = sum(effect.interval.low <= truth <= effect.interval.high for effect in effects)
        assert len(effects) == SEEDS
        assert 90 <= held <= 99
        ratio = truth / runs.before.per_operation("checkout", site.key) + 1
        assert sum(low <= ratio <= high for low, high in (effect.ratio_interval for effect in effects)) >= 90


def test_where_nothing_changed_there_is_hardly_ever_a_verdict(runs):
    # Bottlenecks and operations of both; 5 in 100 seeds are what is promised.
    found = [
        compare(Named("a", old), Named("b", new))
        for old, new in zip(runs.old, runs.old[1:] + runs.old[:1], strict=True)
    ]
    told = [
        one
        for one in found
        if any(row.verdict is not Verdict.NO_EVIDENCE for row in (*one.operations, *one.bottlenecks))
    ]
    assert len(told) <= 8


def test_a_planted_regression_is_found_where_it_is_and_nowhere_else():
    found = compared(KINDS, SLOWER)
    assert verdicts(found) == {"checkout shop.orders.read": "slower"}
    assert {change.operation: str(change.verdict) for change in found.operations} == {
        "checkout": "slower",
        "chat": "no evidence",
    }
    row = found.bottlenecks[0]
    assert row.seconds.ratio == pytest.approx(1.3, rel=0.1)
    assert row.is_regression
    assert found.regressed


def test_the_same_the_other_way_round_is_faster_and_no_regression():
    found = compared(SLOWER, KINDS)
    assert verdicts(found) == {"checkout shop.orders.read": "faster"}
    assert not found.regressed


def test_seconds_that_moved_between_siblings_are_no_regression():
    moved = CHECKOUT.with_site("items", 1.6).with_site("prices", 0.4)
    found = compared(KINDS, (moved, CHAT))
    assert verdicts(found) == {"checkout shop.items.get": "moved", "checkout shop.prices.get": "moved"}
    assert not found.regressed
    assert {row.shift.name for row in found.bottlenecks if row.shift} == {"shop.basket.load"}


def test_a_regression_is_not_excused_by_what_moved_elsewhere():
    both = CHECKOUT.with_site("items", 1.6).with_site("prices", 0.4).with_site("orders", 1.3)
    found = compared(KINDS, (both, CHAT))
    assert verdicts(found)["checkout shop.orders.read"] == "slower"
    assert found.regressed


def test_other_traffic_is_mix_and_no_speed():
    found = compared(KINDS, (CHECKOUT.with_calls(30), CHAT.with_calls(270)))
    parts = found.decomposition
    assert verdicts(found) == {}
    assert not found.regressed
    assert parts.mix.interval.high < -0.05
    assert parts.speed.interval.low < 0 < parts.speed.interval.high


def test_speed_is_no_mix_and_both_are_all_of_the_difference():
    for kinds in (SLOWER, (CHECKOUT.with_calls(30), CHAT), (CHECKOUT,), (CHAT, Kind("new", CHECKOUT.sites))):
        parts = compared(KINDS, kinds, hours=1).decomposition
        assert parts.mix.seconds + parts.speed.seconds == pytest.approx(parts.after - parts.before, abs=1e-9)
    found = compared(KINDS, SLOWER).decomposition
    assert found.speed.interval.low > 0
    assert found.mix.interval.low < 0 < found.mix.interval.high


RARE = Kind("rare", tuple(site.times(0.4) for site in (ORDERS, ITEMS, ENCODE)), 1500)
WORSE = RARE.with_site("orders", 1.3)


def test_with_calls_a_regression_is_found_though_more_of_them_are_slow():
    found = compared((RARE,), (WORSE,), hours=2, calls=True)
    (change,) = found.operations
    assert change.verdict is Verdict.SLOWER
    assert change.rate.ratio > 2
    assert change.compared == pytest.approx(change.rate.before)
    assert verdicts(found) == {"rare shop.orders.read": "slower"}


def test_with_calls_an_improvement_makes_nothing_else_look_slower():
    found = compared((WORSE,), (RARE,), hours=2, calls=True)
    assert found.operations[0].verdict is Verdict.FASTER
    assert set(verdicts(found)) <= {"rare shop.orders.read"}
    assert not found.regressed


def test_without_calls_a_rise_of_slow_operations_is_told_and_excuses_nothing():
    found = compared((RARE,), (WORSE,), hours=2)
    assert found.operations[0].is_slow_more_often
    assert verdicts(found)["rare shop.orders.read"] == "slower"
    assert found.regressed


def test_a_share_slow_that_rises_is_a_regression_though_each_slow_one_takes_as_long():
    # A dozen slow ones of a thousand calls, and sixty: what they spend their time on is the same.
    profiles = list(generate(build_profile, (CHECKOUT,), 5))
    few, many = Sides(detail=True), Sides(detail=True)
    for number, profile in enumerate(profiles[:72]):
        (few if number < 12 else many).add(profile, ALL, TABLE)
    exposure = Exposure({"checkout": 1000}, {"checkout": 1000})
    found = compare(Named("a", few.sides[ALL]), Named("b", many.sides[ALL]), exposure)
    assert found.operations[0].verdict is Verdict.SLOWER
    assert found.regressed


@pytest.mark.parametrize(("hours_after", "said"), [(3, "moved"), (1, "slower")])
def test_what_balances_is_no_move_while_more_are_slow(make_profile, make_frame, hours_after, said):
    # As many seconds as one function gained, the other lost: in as many an hour as before, or in three times as many.
    source = random.Random(4)
    found: list[Side] = []
    for first, second in ((0.6, 0.9), (0.9, 0.6)):
        sides = Sides(detail=True)
        for _ in range(120):
            spent = first * source.uniform(0.9, 1.1), second * source.uniform(0.9, 1.1)
            stacks = [([make_frame(f"app:{name}")], wall) for name, wall in zip("fg", spent, strict=True)]
            sides.add(make_profile(stacks=stacks), ALL, TABLE)
        found.append(sides.sides[ALL])
    told = verdicts(compare(Named("a", found[0]), Named("b", found[1]), Exposure(hours=Pair(3, hours_after))))
    assert told["agent.route app.f"] == said


def test_an_operation_that_one_side_lacks_is_mix():
    old, new = summed((CHAT,), 1), summed((CHAT,), 1)
    new.merge(summed((CHECKOUT,), 2))
    for first, second in ((old, new), (new, old)):
        parts = compare(Named("a", first), Named("b", second)).decomposition
        assert parts.speed.seconds == pytest.approx(0, abs=1e-9)
        assert abs(parts.mix.seconds) > 0.1


def test_few_operations_have_no_verdict_and_one_side_alone_neither():
    found = compared((CHECKOUT.with_calls(8),), (CHECKOUT.with_site("orders", 5).with_calls(8),), hours=1)
    assert found.operations[0].few
    assert not found.regressed
    alone = compare(Named("a", Side()), Named("b", summed(KINDS, 1)))
    assert not alone.regressed
    assert alone.decomposition is None


def test_weights_count_and_nested_ones_do_not(make_profile):
    sides = Sides(detail=True)
    sides.add(make_profile(weight=3.0), ALL, TABLE)
    sides.add(make_profile(), ALL, TABLE, nested=True)
    (sums,) = sides.sides[ALL].operations.values()
    assert (sums.profiles, sums.nested) == (2, 1)
    assert sums.counts.total / MICRO == 3
    assert sum(place.total for place in sums.places.values()) + sums.unobserved == pytest.approx(
        sums.walls.total, abs=10
    )


def test_lines_are_no_identity(make_profile, make_frame):
    sides = Sides(detail=True)
    for _ in range(2):
        sides.add(make_profile(stacks=[([make_frame("app.a:f")], 2.0)]), ALL, TABLE)
    (sums,) = sides.sides[ALL].operations.values()
    assert [place.function for place in sums.places] == ["app.a.f"]


@pytest.mark.parametrize("seed", range(4))
def test_any_grouping_in_any_order_merges_to_the_same(seed):
    source = random.Random(seed)
    profiles = list(generate(build_profile, KINDS, 9))[:80]
    whole = Sides(detail=True)
    for profile in profiles:
        whole.add(profile, ALL, TABLE)
    parts = [Sides(detail=True) for _ in range(7)]
    source.shuffle(profiles)
    for profile in profiles:
        source.choice(parts).add(profile, ALL, TABLE)
    while len(parts) > 1:
        left = parts.pop(source.randrange(len(parts)))
        parts[source.randrange(len(parts))].merge(left)
    assert compare(Named("", parts[0].sides[ALL]), Named("", parts[0].sides[ALL])) == compare(
        Named("", whole.sides[ALL]), Named("", whole.sides[ALL])
    )


def test_the_rows_allowed_for_are_those_of_benjamini_and_hochberg():
    # The example of their paper: fifteen p values, of which four are told at 5 %.
    values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
        0.7590, 1.0,
    ]  # fmt: skip
    assert greatest_p(values) == 0.0095
    assert greatest_p([]) == -1
    assert greatest_p([0.9, 0.06]) == -1


def test_the_ranking_has_the_seconds_of_the_generators_clock_and_its_order():
    taken, store = Taken(), MemoryStorage()
    for profile in generate(build_profile, KINDS, 3, hours=2, taken=taken):
        store.put(profile)
    report = ProfileAnalyzer(store).analyze()
    sites = {
        (kind.name, site.function): (site, taken.seconds[kind.name, site.key])
        for kind in KINDS
        for site in kind.sites
    }
    keys = {(kind.name, site.function): site.key for kind in KINDS for site in kind.sites}
    by_category: dict[str, float] = {}
    for row in report.bottlenecks:
        site, seconds = sites.pop((row.operation, row.call_site.name))
        assert (row.category, row.owner) == (site.category, site.owner)
        assert row.seconds == pytest.approx(seconds, rel=0.01)
        by_category[site.category] = by_category.get(site.category, 0.0) + seconds
    assert sites == {}
    assert report.categories == pytest.approx(by_category, rel=0.01)
    saved = [
        taken.recoverable[row.operation, keys[row.operation, row.call_site.name]]
        for row in report.bottlenecks
    ]
    assert all(first > second / 1.1 for first, second in pairwise(saved))
    assert saved[0] > 2 * saved[-1], "else this shows little"
