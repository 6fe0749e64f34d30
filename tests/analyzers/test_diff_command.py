"""`profkit diff` on stores on disk: windows, versions, two stores, in processes, and what it refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from profkit_analyzers.cli import main
from profkit_storage import open_storage
from tests.analyzers.corpus import CHAT, CHECKOUT, DAY_NS, KINDS, START_NS, generate

DAYS = [datetime.fromtimestamp((START_NS + n * DAY_NS) / 1e9, UTC).date().isoformat() for n in range(3)]
SLOWER = (CHECKOUT.with_site("orders", 1.6), CHAT)


@pytest.fixture(scope="module")
def store(tmp_path_factory, make_profile):
    path = tmp_path_factory.mktemp("stores") / "both"
    with open_storage(path) as storage:
        for profile in generate(make_profile, KINDS, 1):
            storage.put(profile)
        for profile in generate(make_profile, SLOWER, 2, start_ns=START_NS + DAY_NS, version="1.1\x1b[2J"):
            storage.put(profile)
    return path


@pytest.fixture
def profkit(capsys, monkeypatch):
    """`profkit(*arguments) -> (exit code, stdout, stderr)`."""
    monkeypatch.delenv("PROFKIT_STORAGE", raising=False)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def windows(store):
    return "diff", store, "--before", f"{DAYS[0]}..{DAYS[1]}", "--after", f"{DAYS[1]}..{DAYS[2]}"


def test_two_windows_of_one_store(profkit, store):
    code, out, err = profkit(*windows(store))
    assert (code, err) == (0, "")
    row = next(line for line in out.splitlines() if "shop.orders.read" in line)
    assert row.split()[:3] == ["checkout", "db", "psycopg"]
    assert row.endswith("slower")
    assert f"{DAYS[0]}..{DAYS[1]}" in out


def test_a_regression_is_exit_code_3_where_asked_for(profkit, store):
    assert profkit(*windows(store), "--fail-on-regression")[0] == 3
    back = "diff", store, "--before", f"{DAYS[1]}..{DAYS[2]}", "--after", f"..{DAYS[1]}"
    code, out, _ = profkit(*back, "--fail-on-regression")
    assert code == 0
    assert "faster" in out
    assert profkit(*windows(store), "--fail-on-regression", "--least", "50")[0] == 0


def test_versions_and_stores_say_the_same_as_windows(profkit, store, tmp_path):
    for number, day in enumerate(DAYS[:2]):
        with open_storage(tmp_path / str(number)) as part, open_storage(store) as storage:
            for entry in storage.scan():
                if day == datetime.fromtimestamp(entry.start_ns / 1e9, UTC).date().isoformat():
                    part.put(storage.load(entry.id))
    commands = [
        windows(store),
        ("diff", store, "--versions", "1.0", "1.1\x1b[2J"),
        ("diff", tmp_path / "0", tmp_path / "1"),
    ]
    found = [json.loads(profkit(*command, "--format", "json")[1]) for command in commands]
    assert found[0]["schema"] == 1
    assert found[0]["regressed"] is True
    for one in found:
        for operation in one["operations"]:
            del operation["slow_rate"]  # windows have other hours than their operations
        del one["before"]["name"], one["after"]["name"]
    assert found[0] == found[1] == found[2]


def test_processes_and_chunks_say_the_same(profkit, store, monkeypatch):
    whole = profkit(*windows(store), "--format", "json", "--workers", 1)[1]
    monkeypatch.setattr("profkit_analyzers.parts.CHUNK", 40)
    assert profkit(*windows(store), "--format", "json", "--workers", 2)[1] == whole
    assert profkit(*windows(store), "--format", "json", "--workers", 1)[1] == whole


def test_nothing_stored_drives_the_terminal(profkit, store):
    _, out, _ = profkit("diff", store, "--versions", "1.0", "1.1\x1b[2J")
    assert "\x1b" not in out
    assert r"1.1\x1b[2J" in out


def test_the_json_has_everything_the_page_shows(profkit, store):
    found = json.loads(profkit(*windows(store), "--format", "json")[1])
    row = found["bottlenecks"][0]
    assert (row["function"], row["verdict"], row["regression"]) == ("shop.orders.read", "slower", True)
    effect = row["seconds_per_operation"]
    assert effect["difference"] == pytest.approx(effect["after"] - effect["before"], abs=2e-6)
    assert effect["difference_interval"][0] < effect["difference"] < effect["difference_interval"][1]
    parts = found["decomposition"]
    assert parts["mix"]["seconds"] + parts["speed"]["seconds"] == pytest.approx(
        parts["after"] - parts["before"], abs=3e-6
    )


def test_what_is_damaged_is_named(profkit, store, tmp_path):
    path = tmp_path / "damaged"
    with open_storage(store) as storage, open_storage(path) as part:
        for number, entry in enumerate(storage.scan()):
            if number < 30:
                part.put(storage.load(entry.id))
    first = next(path.rglob("*.pkp"))
    first.write_bytes(b"nothing")
    code, out, _ = profkit("diff", path, store)
    assert code == 0
    assert "1 skipped:" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give two stores, or one and --before and --after, or --versions"),
        (("--before", "7d..1d"), "give both --before and --after"),
        (("--before", "7d", "--after", "1d..1h"), "--before '7d': must be two times with .."),
        (("--before", "1d..7d", "--after", "1d..1h"), "--before '1d..7d': must begin before it ends"),
        (("--before", "7d..1d", "--after", "2d..1h"), "must have no time in common"),
        (("--before", "7d..", "--after", "2d.."), "must have no time in common"),
        (("--before", "noon..", "--after", "2d.."), "--before 'noon': must be an ISO 8601 date"),
        (("--before", "7d..2d", "--after", "2d..", "--since", "1d"), "go without"),
        (("--versions", "1.0", "9.9"), "version '9.9': no slow operation of it here; there are 1.0, 1.1"),
        (("--versions", "1.0", "1.0"), "must differ"),
        (("--before", "2d..1d", "--after", "1d.."), "no slow operation to compare in 2d..1d"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(profkit, store, arguments, said):
    code, out, err = profkit("diff", store, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


def test_an_empty_side_never_passes_for_no_regression(profkit, store):
    empty = "diff", store, "--before", f"..{DAYS[0]}", "--after", f"{DAYS[1]}..{DAYS[2]}", "--format", "json"
    code, out, _ = profkit(*empty)
    assert code == 0
    assert json.loads(out)["before"]["profiles"] == 0
    assert profkit(*empty, "--fail-on-regression")[0] == 2


def test_the_store_may_come_from_the_environment(profkit, store, monkeypatch):
    monkeypatch.setenv("PROFKIT_STORAGE", str(store))
    assert profkit("diff", *windows(store)[2:])[0] == 0
