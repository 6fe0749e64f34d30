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
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 40)
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


def test_markdown_and_a_page_say_what_the_table_says(profkit, store):
    code, out, err = profkit(*windows(store), "--format", "markdown")
    assert (code, err) == (0, "")
    assert out.startswith("### What changed from ")
    (row,) = [
        line for line in out.splitlines() if "| db | psycopg | `shop.orders.read` |" in line and "**" in line
    ]
    assert row.startswith("| `checkout` |")
    code, out, err = profkit(*windows(store), "--format", "html", "--fail-on-regression")
    assert (code, err) == (3, "")
    assert out.startswith("<!DOCTYPE html>")
    assert out.count('<svg class="flame difference"') == 2
    assert "\x1b" not in out


@pytest.mark.parametrize("format", ["table", "json", "markdown", "html"])
def test_each_format_goes_into_a_file_as_to_a_pipe(profkit, store, tmp_path, format):
    path = tmp_path / "report"
    assert profkit(*windows(store), "--format", format, "-o", path) == (0, "", "")
    _, out, _ = profkit(*windows(store), "--format", format, "--output", "-")
    assert path.read_text(encoding="utf-8").rstrip() == out.rstrip()
    assert "shop.orders.read" in out


def test_no_page_is_written_to_a_terminal(profkit, store, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    code, out, err = profkit(*windows(store), "--format", "html")
    assert (code, out) == (2, "")
    assert "-o FILE" in err


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_file_is_as_it_was_where_writing_it_ends_early(profkit, store, tmp_path, monkeypatch, stop):
    path = tmp_path / "report.html"
    path.write_text("before")

    def ends(_self, _target):
        raise stop

    monkeypatch.setattr("pathlib.Path.replace", ends)
    code, _, _ = profkit(*windows(store), "--format", "html", "-o", path)
    assert code != 0
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_an_empty_side_writes_no_file(profkit, store, tmp_path):
    for format in ("markdown", "html"):
        empty = "diff", store, "--before", f"..{DAYS[0]}", "--after", f"{DAYS[1]}..{DAYS[2]}"
        code, _, err = profkit(*empty, "--format", format, "-o", tmp_path / "r")
        assert code == 2
        assert "no slow operation to compare" in err
    assert list(tmp_path.iterdir()) == []


def test_a_page_has_more_rows_without_a_verdict_unless_told(profkit, tmp_path, make_profile):
    for name in "ab":
        with open_storage(tmp_path / name) as storage:
            for _ in range(40):
                storage.put(make_profile(stacks=[([f"a:f{number}"], 0.1) for number in range(25)]))
    two = "diff", tmp_path / "a", tmp_path / "b", "--format"
    assert profkit(*two, "html")[1].count('class="row"') == 25
    assert profkit(*two, "html", "--top", 4)[1].count('class="row"') == 4
    assert profkit(*two, "markdown")[1].count("`a.f") == 10
