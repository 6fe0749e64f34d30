"""`ProfileAnalyzer` on real stores: what takes part, what is skipped, and the documented JSON form."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from profkit_analyzers import ProfileAnalyzer
from profkit_storage import ConfigurationError, ProfileQuery, Sampling, Status, Trigger, open_storage

DOCUMENT = Path(__file__).parents[2] / "docs" / "analysis-json.md"


@pytest.fixture
def store(tmp_path):
    with open_storage(tmp_path / "store") as storage:
        yield storage


def test_the_seconds_add_up(store, make_profile):
    for number in range(3):
        store.put(make_profile(operation=f"op{number % 2}", weight=2.0))
    report = ProfileAnalyzer(store).analyze()
    assert report.profiles == 3
    assert report.seconds == pytest.approx(3 * 2 * 2.28)
    assert sum(report.categories.values()) + report.unobserved == pytest.approx(report.seconds)
    assert sum(row.share for row in report.bottlenecks) == pytest.approx(1)
    assert {name: (stats.profiles, stats.operations) for name, stats in report.operations.items()} == {
        "op0": (2, 4),
        "op1": (1, 2),
    }


def test_only_slow_operations_are_ranked_and_the_others_are_not_even_opened(store, make_profile, monkeypatch):
    slow = store.put(make_profile())
    for trigger in set(Trigger) - {Trigger.SLOW}:
        store.put(make_profile(trigger=trigger, weight=0.0))
    opened = []
    load = store.load_entry
    monkeypatch.setattr(
        store, "load_entry", lambda entry, **how: opened.append(entry.id) or load(entry, **how)
    )
    report = ProfileAnalyzer(store).analyze()
    assert (report.profiles, report.not_ranked) == (1, 4)
    assert opened == [slow.id]


def test_a_query_chooses(store, make_profile):
    store.put(make_profile(operation="a"))
    store.put(make_profile(operation="b", status=Status.ERROR))
    assert set(ProfileAnalyzer(store).analyze(ProfileQuery(operation="b")).operations) == {"b"}
    nothing = ProfileAnalyzer(store).analyze(ProfileQuery(since=datetime(2030, 1, 1, tzinfo=UTC)))
    assert (nothing.profiles, nothing.seconds, nothing.bottlenecks) == (0, 0, ())


def test_damaged_and_foreign_files_are_skipped_counted_and_named(store, make_profile):
    good, bad = store.put(make_profile()), store.put(make_profile())
    path = store.path / bad.key
    path.write_bytes(path.read_bytes()[:-10])
    (path.parent / "notes.txt").write_text("hello")
    report = ProfileAnalyzer(store).analyze()
    assert report.profiles == 1
    assert report.bottlenecks[0].exemplar == good.id
    assert report.skipped_count == 2
    assert {Path(item.key).name for item in report.skipped} == {path.name, "notes.txt"}
    assert all(item.reason for item in report.skipped)


def test_the_names_of_what_was_skipped_are_bounded_and_the_count_is_not(store, make_profile):
    entry = store.put(make_profile())
    for number in range(50):
        (store.path / entry.key).with_name(f"foreign{number}").write_text("x")
    report = ProfileAnalyzer(store).analyze()
    assert (len(report.skipped), report.skipped_count) == (20, 50)


def test_a_profile_that_goes_while_being_read_is_skipped(store, make_profile, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 1)
    first, second = store.put(make_profile()), store.put(make_profile())
    gone = max(first.id, second.id)
    report = ProfileAnalyzer(store).analyze(progress=lambda done, total: store.delete(gone))
    assert report.profiles == 1
    assert [item.reason for item in report.skipped] == ["gone since it was listed"]


def test_progress_tells_how_many_of_how_many(store, make_profile, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 2)
    for _ in range(3):
        store.put(make_profile())
    store.put(make_profile(trigger=Trigger.ERROR, weight=0.0))
    seen = []
    ProfileAnalyzer(store).analyze(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]


def test_top_keeps_the_first_rows_and_says_how_many_there_were(store, make_profile):
    store.put(make_profile())
    every = ProfileAnalyzer(store).analyze()
    two = ProfileAnalyzer(store).analyze(top=2)
    assert two.bottlenecks == every.bottlenecks[:2]
    assert two.bottlenecks_count == len(every.bottlenecks) == 4
    assert [row.rank for row in every.bottlenecks] == [1, 2, 3, 4]


def test_bad_options_are_refused_by_name_and_value(store):
    with pytest.raises(ConfigurationError, match="top 0: must be 1 or more"):
        ProfileAnalyzer(store).analyze(top=0)


def test_the_json_form_is_the_documented_one(store, make_profile):
    store.put(make_profile())
    (store.path / store.put(make_profile()).key).write_bytes(b"x" * 500)
    document = json.loads(json.dumps(ProfileAnalyzer(store).analyze().to_dict()))
    assert (document["schema"], document["profiles"]) == (2, 1)
    first = document["bottlenecks"][0]
    assert (first["category"], first["owner"], first["call_site"]) == (
        "llm",
        "openai",
        "app.llm.complete (line 80)",
    )
    assert first["recoverable_seconds"] == first["seconds"] == 1.2
    told = set(re.findall(r"^\| `(\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    (operation,) = document["operations"].values()
    assert {*document, *first, *operation, *document["skipped"][0]} <= told


@pytest.mark.parametrize("change", [{"wall": 10.0}, {"wall": 2.2}, {"sampling": Sampling(unobserved=0.1)}])
def test_a_profile_whose_samples_are_not_its_wall_time_is_skipped_and_named(store, make_profile, change):
    store.put(make_profile(operation="good"))
    bad = store.put(dataclasses.replace(make_profile(operation="bad"), **change))
    report = ProfileAnalyzer(store).analyze()
    assert set(report.operations) == {"good"}
    ((key, reason),) = [(item.key, item.reason) for item in report.skipped]
    assert key == bad.key
    assert reason.startswith("its samples are 2.")


def test_rounding_is_no_damage(store, make_profile):
    store.put(dataclasses.replace(make_profile(), wall=2.28 * 1.009))
    store.put(make_profile(stacks=[(["app:f"], 0.0)]))
    assert ProfileAnalyzer(store).analyze().skipped_count == 0


def test_captures_by_hand_are_counted(store, make_profile):
    store.put(make_profile())
    for trigger in (Trigger.MANUAL, Trigger.MANUAL, Trigger.ERROR):
        store.put(make_profile(trigger=trigger, weight=0.0))
    report = ProfileAnalyzer(store).analyze()
    assert (report.profiles, report.not_ranked, report.captures_by_hand) == (1, 3, 2)
