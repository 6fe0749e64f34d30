"""Changes of level are found when they were, and series without one are silent; the command tells both."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest

from profkit_analyzers import ProfileComparer
from profkit_analyzers.changes.changepoints import cuts
from profkit_analyzers.changes.sides import Key
from profkit_analyzers.reporters import trend_markdown
from profkit_analyzers.reporters.trend import sparkline
from profkit_storage import ConfigurationError, Frame, MemoryStorage, Origin, open_storage
from tests.analyzers.corpus import CHAT, CHECKOUT, DAY_NS, KINDS, START_NS, generate

DAYS = [datetime.fromtimestamp((START_NS + n * DAY_NS) / 1e9, UTC).date().isoformat() for n in range(3)]
LITTLE = [kind.with_calls(15) for kind in KINDS]
SLOWER = [CHECKOUT.with_site("orders", 1.3).with_calls(15), CHAT.with_calls(15)]


def series(seed, count=48, *, change=None, factor=1.0):
    """Means of a cycle of 10 to 100 log-normal values, from `change` on times `factor`."""
    random = np.random.default_rng(seed)
    sizes = 55 + 45 * np.sin(np.arange(count) / 24 * 2 * np.pi)
    values = np.asarray([random.lognormal(0, 0.5, round(size)).mean() for size in sizes])
    if change is not None:
        values[change:] *= factor
    return values, sizes


def test_without_a_change_one_series_in_twenty_has_one_at_most():
    told = [seed for seed in range(100) if cuts(*series(seed), 0.05)]
    assert len(told) <= 10
    assert not [seed for seed in told if cuts(*series(seed), 0.0005)]


@pytest.mark.parametrize("seed", range(5))
def test_a_change_is_found_when_it_was(seed):
    (cut,) = cuts(*series(seed, change=30, factor=1.3), 0.005)
    assert abs(cut.at - 30) <= 1


def test_several_changes_are_found_in_their_order():
    values, sizes = series(1, 72, change=20, factor=1.5)
    values[50:] /= 1.5
    first, second = cuts(values, sizes, 0.005)
    assert (abs(first.at - 20) <= 1, abs(second.at - 50) <= 1) == (True, True)


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 20, [0.0] * 20, [1.0, 2.0, 3.0, 4.0, 5.0]])
def test_series_that_are_too_short_or_flat_have_none(values):
    assert cuts(np.asarray(values), np.ones(len(values)), 0.5) == []


def test_one_wild_value_is_no_change():
    values, sizes = series(3)
    values[20] *= 50
    assert cuts(values, sizes, 0.01) == []


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_profile):
    """Two days by the hour; on the second, one site of one operation takes 30 % longer."""
    path = tmp_path_factory.mktemp("stores") / "two days"
    with open_storage(path) as storage:
        for kinds, seed, start in ((LITTLE, 1, START_NS), (SLOWER, 2, START_NS + DAY_NS)):
            for profile in generate(make_profile, kinds, seed, hours=24, start_ns=start):
                storage.put(profile)
    return path


def test_a_regression_of_the_last_day_is_told_with_its_hour(profkit, store):
    code, out, err = profkit("trend", store, "--format", "json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    changed = {
        (one["operation"], one["function"]): one["changes"] for one in found["series"] if one["changes"]
    }
    (change,) = changed["checkout", "shop.orders.read"]
    assert change["verdict"] == "slower"
    assert change["after"] / change["before"] == pytest.approx(1.3, rel=0.08)
    hours = found["times"].index(change["at"]) - found["times"].index(f"{DAYS[1]}T00:00")
    assert abs(hours) <= 2
    assert set(changed) <= {("checkout", "shop.orders.read"), ("checkout", "")}


def test_the_page_has_a_line_for_each_series_and_the_changes(profkit, store):
    code, out, _ = profkit("trend", store, "--top", 3)
    assert code == 0
    lines = out.splitlines()
    assert "48 hours" in lines[0]
    assert sum("▇" in line or "█" in line for line in lines) == 5
    assert any("slower  checkout, db  shop.orders.read: " in line for line in lines)


def test_markdown_has_the_changes_and_a_row_for_each_series(profkit, store, tmp_path):
    path = tmp_path / "trend.md"
    assert profkit("trend", store, "--top", 3, "--format", "markdown", "-o", path) == (0, "", "")
    text = path.read_text(encoding="utf-8")
    assert profkit("trend", store, "--top", 3, "--format", "markdown")[1] == text
    assert re.search(
        r"^- \S+ \*\*slower\*\*: `checkout`, db `shop.orders.read`: .* before, ", text, re.MULTILINE
    )
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 5
    assert all(len(re.findall(r"`[▁▂▃▄▅▆▇█·]{24}`", row)) == 1 for row in rows)


def test_no_name_of_a_trend_becomes_markdown(make_profile):
    name = "a|b`<img src=x>*[x](y)\x1b[31m\u202e"
    frame = Frame(name, "", 1, "", "", Origin.APPLICATION)
    with MemoryStorage() as storage:
        for hour in range(12):
            for number in range(30):
                start = START_NS + hour * 3_600 * 10**9 + number * 10**9
                took = 1.2 if hour < 6 else 3.0
                storage.put(
                    make_profile(operation=name, stacks=[([frame], took + number / 100)], start_ns=start)
                )
        found = ProfileComparer().trend(storage)
    assert any(series.changes for series in found.series)
    text = trend_markdown.render(found, name)
    assert "\x1b" not in text
    assert "\u202e" not in text
    for row in [line for line in text.splitlines() if line.startswith("| ``")]:
        assert len(re.findall(r"(?<!\\)\|", row)) == 8
    outside = re.sub(r"(?<!\\)(`+)(?!`).*?[^`]\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)[<\[]", outside)
    assert text.count("a\\|b`<img src=x>") >= 2


def test_days_and_processes_add_up_to_the_same(profkit, store, monkeypatch):
    whole = profkit("trend", store, "--format", "json", "--workers", 1)[1]
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 200)
    assert profkit("trend", store, "--format", "json", "--workers", 2)[1] == whole
    days = json.loads(profkit("trend", store, "--by", "day", "--format", "json")[1])
    assert days["times"] == DAYS[:2]
    first = days["series"][0]
    assert sum(first["operations"]) == sum(json.loads(whole)["series"][0]["operations"])


def test_hours_without_a_slow_operation_are_there_and_empty(make_profile):
    with MemoryStorage() as storage:
        for hour in (0, 3):
            storage.put(make_profile(start_ns=START_NS + hour * 3_600 * 10**9))
        found = ProfileComparer().trend(storage, by=Key.HOUR)
    assert len(found.times) == 4
    assert [value is None for value in found.series[0].values] == [False, True, True, False]


def test_with_calls_the_share_that_is_slow_has_a_series_and_changes(make_profile):
    with MemoryStorage() as storage:
        for hour in range(24):
            for number in range(4 if hour < 12 else 12):
                start = START_NS + hour * 3_600 * 10**9 + number * 10**9
                storage.put(make_profile(start_ns=start))
        times = ProfileComparer().trend(storage).times
        found = ProfileComparer().trend(storage, calls={time: {"agent.route": 100} for time in times})
    (shares,) = [one for one in found.series if one.figure == "slow"]
    assert shares.values[:2] == (0.04, 0.04)
    assert [change.at for change in shares.changes] == [times[12]]


def test_a_sparkline_is_from_zero_to_the_most_and_fits():
    assert sparkline([0.0, 1.0, None, 2.0], [1, 1, 0, 1]) == "▁▅ █"
    assert len(sparkline([1.0] * 1000, [1] * 1000)) <= 48
    assert sparkline([], []) == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", f"{DAYS[2]}T00:00"), "no slow operation that matches"),
        (("--by", "week"), "'week' is not one of"),
        (("--top", "0"), "0 is not in the range"),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(profkit, store, arguments, said):
    code, out, err = profkit("trend", store, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_too_many_hours_are_refused(make_profile):
    with MemoryStorage() as storage:
        for day in (0, 400):
            storage.put(make_profile(start_ns=START_NS + day * DAY_NS))
        with pytest.raises(ConfigurationError, match=r"9,601 times from .* choose days or a later start"):
            ProfileComparer().trend(storage)
        assert len(ProfileComparer().trend(storage, by=Key.DAY).times) == 401
