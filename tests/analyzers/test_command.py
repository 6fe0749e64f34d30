"""The `profkit` command, in process: what each command prints, and its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from profkit_analyzers.commands.filters import parse_time
from profkit_analyzers.commands.progress import ProgressBar
from profkit_storage import (
    ChildOperation,
    ConfigurationError,
    Sampling,
    State,
    Status,
    Trigger,
    open_storage,
)


@pytest.fixture
def store(tmp_path, make_profile):
    path = tmp_path / "a store"
    with open_storage(path) as storage:
        for number in range(3):
            start = int(datetime(2026, 3, 14 + number, tzinfo=UTC).timestamp()) * 10**9
            storage.put(make_profile(start_ns=start, operation=f"op{number}", status=Status.ERROR))
    return path


def ids(store):
    with open_storage(store, create=False) as storage:
        return [entry.id for entry in storage.scan()]


def test_analyze_prints_the_ranking_and_what_to_run_next(profkit, store):
    code, out, err = profkit("analyze", store)
    assert (code, err) == (0, "")
    assert "app.llm.complete (line 80)" in out
    assert f"'{store}' --format flamegraph -o profile.html" in out
    assert f"'{store}' --format html -o report.html" in out


def test_strict_fails_on_what_is_damaged(profkit, store):
    with open_storage(store) as storage:
        entry = next(iter(storage.scan()))
        (storage.path / entry.key).write_bytes(b"x" * 500)
    assert profkit("analyze", store)[0] == 0
    code, out, err = profkit("analyze", store, "--strict")
    assert (code, out) == (2, "")
    assert err.startswith(f"profkit: --strict: 1 skipped, the first is {entry.key}: ")
    assert err.count("\n") == 1


def test_analyze_json_is_the_reports(profkit, store):
    code, out, _ = profkit("analyze", store, "--format", "json", "--top", 1, "--budget", 2)
    document = json.loads(out)
    assert (code, document["schema"], document["profiles"], document["budget"]) == (0, 2, 3, 2.0)
    assert len(document["bottlenecks"]) == 1


@pytest.mark.parametrize(
    ("options", "operations"),
    [
        (["--since", "2026-03-15"], {"op1", "op2"}),
        (["--until", "2026-03-15"], {"op0"}),
        (["--since", "2026-03-15T01:00:00+00:00", "--until", "2026-03-15T04:00:00+02:00"], None),
        (["--since", "2026-03-15T02:00:00+02:00", "--until", "2026-03-16"], {"op1"}),
        (["--operation", "op2"], {"op2"}),
        (["--service", "orders"], {"op0", "op1", "op2"}),
        (["--category", "agent"], {"op0", "op1", "op2"}),
        (["--category", "db"], None),
        (["--service", "other"], None),
        (["--since", "2d"], None),
    ],
)
def test_filters_mean_the_same_for_analyze_and_list(profkit, store, options, operations):
    if operations is None:
        for command in ("analyze", "list"):
            code, out, err = profkit(command, store, *options)
            assert (code, out, err) == (2, "", f"profkit: no profiles that match in {store}\n")
    _, ranked, _ = profkit("analyze", store, "--format", "json", *options)
    _, listed, _ = profkit("list", store, "--json", *options)
    assert set(json.loads(ranked)["operations"]) == (operations or set())
    assert {entry["operation"] for entry in json.loads(listed)["profiles"]} == (operations or set())


def test_list_shows_the_newest_last_and_says_what_it_left_out(profkit, store):
    code, out, err = profkit("list", store, "--limit", 2)
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == ["id", *ids(store)[1:]]
    assert "error" in lines[1]
    assert err == "2 of 3 profiles\n"


def test_list_json_says_everything_the_key_says(profkit, store):
    document = json.loads(profkit("list", store, "--json")[1])
    assert (document["schema"], document["count"], document["skipped_count"]) == (1, 3, 0)
    first = document["profiles"][0]
    assert first["id"] == ids(store)[0]
    assert first["start"] == "2026-03-14T00:00:00.000Z"
    assert (first["seconds"], first["status"], first["trigger"], first["service"]) == (
        2.28,
        "error",
        "slow",
        "orders",
    )


def test_list_counts_what_is_no_profile(profkit, store):
    (store / "profiles" / "v1" / "date=2026-03-14" / "odd\x1b[2J").write_text("x")
    code, _, err = profkit("list", store)
    assert code == 0
    assert err.startswith("3 of 3 profiles; 1 skipped, the first is profiles/v1/date=2026-03-14/odd")
    assert "\x1b" not in err


def test_show_prints_the_call_tree_below_what_it_is_about(profkit, store):
    code, out, err = profkit("show", ids(store)[0], store)
    assert (code, err) == (0, "")
    for wanted in (
        "op0 (agent)",
        "2026-03-14 00:00:00 UTC",
        "2.28 s",
        "error",
        "tenant=acme",
        "handle_message",
    ):
        assert wanted in out
    assert "\x1b" not in out


def test_show_lists_what_it_did_and_its_child_operations(profkit, tmp_path, make_profile):
    queries = [ChildOperation("db.q", "db", number / 10, number / 10 + 0.05, {}) for number in range(12)]
    names = [ChildOperation(f"tool{number}", "", 0, (number + 1) / 100, {}) for number in range(30)]
    with open_storage(tmp_path) as storage:
        id = storage.put(
            make_profile(
                stacks=[(["app:f"], 1.25), (["app:g"], 0.75), (["app:g"], 0.5)],
                states=[State.RUNNING, State.WAITING, State.HELD],
                children=(*queries, ChildOperation("llm.chat", "llm", 0, 2, {}), *names),
                sampling=Sampling(dropped_children=7),
            )
        ).id
    head = profkit("show", id, tmp_path)[1].partition("\n\n")[0].split("\n")
    (spent,) = [line.split(None, 2)[1:] for line in head if line.startswith("of that")]
    assert " ".join(spent).removeprefix("that ") == "1.25 s running, 0.75 s waiting, 0.50 s held"
    first = next(index for index, line in enumerate(head) if line.startswith("operations"))
    rows = [line[len("operations") :].split() for line in head[first : first + 1]]
    rows += [line.split() for line in head[first + 1 :]]
    assert rows[:3] == [
        ["llm.chat", "llm", "2.00", "s"],
        ["db.q", "db", "0.60", "s", "in", "12", "calls"],
        ["tool29", "0.30", "s"],
    ]
    assert len(rows) == 21
    assert rows[-1] == "and 12 others; 7 more were not kept".split()


def test_show_of_one_without_children_has_no_line_for_them(profkit, tmp_path, make_profile):
    with open_storage(tmp_path) as storage:
        id = storage.put(make_profile(stacks=[(["app:f"], 2.0)])).id
    head = profkit("show", id, tmp_path)[1].partition("\n\n")[0]
    assert "operations" not in head
    assert "2.00 s running" in head


def test_an_id_may_be_shortened_and_written_small(profkit, store):
    id = ids(store)[1]
    assert "op1 (agent)" in profkit("show", id[:10].lower(), store)[1]


def test_a_shortened_id_has_to_be_long_enough_and_unique(profkit, store, make_profile):
    id = ids(store)[0]
    with open_storage(store) as storage:
        storage.put(make_profile(id=f"{id[:20]}AAAAAA", start_ns=storage.load(id).start_ns))
    code, out, err = profkit("show", id[:12], store)
    assert (code, out) == (2, "")
    assert "is not unique" in err
    assert id in err
    assert "first 6 or more" in profkit("show", id[:5], store)[2]


def test_what_is_foreign_beside_it_is_not_the_matter_of_a_shortened_id(store):
    with open_storage(store) as storage:
        entry = next(storage.scan())
    (store / entry.key).with_name("foreign").write_text("mine")
    for id, code in ((entry.id[:12], 0), (f"{entry.id[:8]}ZZZZ", 2)):
        # In a process of its own, where nobody takes care of log messages.
        command = "import sys; from profkit_analyzers.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", command, "show", id, store], capture_output=True, text=True, check=False
        )
        assert done.returncode == code
        assert "not a profile" not in done.stderr


@pytest.mark.parametrize(
    "id", ["01ZZZZZZZZZZZZZZZZZZZZZZZZ", "7ZZZZZ", "nonsense!", "", "../../etc/passwd", "\x1b[2J"]
)
def test_an_unknown_id_is_one_line_and_exit_code_2(profkit, store, id):
    for command in (["show", id, store], ["export", id, store, "--format", "html"]):
        code, out, err = profkit(*command)
        assert (code, out) == (2, "")
        assert err.startswith("profkit: no profile ")
        assert err.count("\n") == 1
        assert "\x1b" not in err


@pytest.mark.parametrize(
    ("format", "start"),
    [("pyinstrument", "{"), ("html", "<!DOCTYPE html>"), ("speedscope", "{"), ("json", "{")],
)
def test_export_writes_each_format_to_a_file_or_standard_output(profkit, store, tmp_path, format, start):
    target = tmp_path / "out"
    target.write_text("old")
    code, out, err = profkit("export", ids(store)[0], store, "--format", format, "-o", target)
    assert (code, out, err) == (0, "", "")
    assert target.read_text().startswith(start)
    assert "handle_message" in target.read_text()
    piped = profkit("export", ids(store)[0], store, "--format", format)[1]
    assert piped.rstrip("\n") == target.read_text().rstrip("\n")


def test_export_to_where_nothing_can_be_written_says_so(profkit, store, tmp_path):
    for target in (tmp_path, tmp_path / "missing" / "file"):
        code, _, err = profkit("export", ids(store)[0], store, "--format", "json", "-o", target)
        assert code == 2
        assert err.startswith(f"profkit: {target}: cannot be written: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze", "STORE", "--since", "yesterday"], ["--since", "'yesterday'", "ISO 8601", "7d"]),
        (["list", "STORE", "--until", "2026-13-01"], ["--until", "'2026-13-01'"]),
        (["list", "STORE", "--since", "999999999w"], ["--since", "'999999999w'"]),
        (["list", "STORE", "--since", "2026-03-15", "--until", "2026-03-15"], ["--since", "before --until"]),
        (["analyze", "STORE", "--budget", "-1"], ["budget", "-1.0"]),
        (["analyze", "STORE", "--budget", "soon"], ["--budget", "'soon'"]),
        (["analyze", "STORE", "--top", "0"], ["--top", "0"]),
        (["analyze", "STORE", "--format", "xml"], ["'xml'", "table", "json"]),
        (["analyze", "STORE", "--rules", "/no/such.toml"], ["/no/such.toml", "cannot be read"]),
        (["export", "ID", "STORE"], ["--format"]),
        (["export", "ID", "STORE", "--format", "pdf"], ["'pdf'", "speedscope"]),
        (["list", "s3://bucket"], ["s3://"]),
        (["list", "gopher://x"], ["gopher://"]),
        (["list", "/no/such/store"], ["/no/such/store", "no such directory"]),
        (["list"], ["STORE", "PROFKIT_STORAGE"]),
        (["nonsense"], ["nonsense"]),
        (["list", "STORE", "--odd"], ["--odd"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(profkit, store, arguments, words):
    code, out, err = profkit(*(store if argument == "STORE" else argument for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("profkit: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--limit"),
        ("find", "--tag", "a=b", "--limit"),
        ("find", "--tag", "a=b", "--read"),
        ("doctor", "--read"),
    ],
)
def test_a_number_that_no_machine_can_hold_is_as_good_as_all(
    profkit, store, monkeypatch, tmp_path, arguments
):
    monkeypatch.setenv("PROFKIT_SPOOL", str(tmp_path / "spool"))
    code, out, err = profkit(*arguments, "9" * 30, store)
    assert code == (2 if "find" in arguments else 0)
    assert "3 profiles" in err if "find" in arguments else "3" in out


def test_an_empty_store_is_one_line(profkit, tmp_path):
    for command in ("analyze", "list"):
        code, out, err = profkit(command, tmp_path)
        assert (code, out, err) == (2, "", f"profkit: no profiles that match in {tmp_path}\n")


def test_no_profiles_are_an_answer_in_json(profkit, tmp_path):
    for command in (["list"], ["find", "--tag", "a=b"]):
        code, out, err = profkit(*command, tmp_path, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out) == {"schema": 1, "count": 0, "profiles": [], "skipped_count": 0}
    code, out, err = profkit("analyze", tmp_path, "--format", "json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["profiles"], json.loads(out)["bottlenecks"]) == (0, [])


def test_a_store_of_nothing_to_rank_says_why(profkit, tmp_path, make_profile):
    with open_storage(tmp_path) as storage:
        entry = storage.put(make_profile(trigger=Trigger.ERROR, weight=0.0))
        assert "no slow operation among the 1 profiles" in profkit("analyze", tmp_path)[2]
        (tmp_path / storage.put(make_profile()).key).write_bytes(b"x" * 300)
    code, _, err = profkit("analyze", tmp_path)
    assert code == 2
    assert "no readable profile of a slow operation" in err
    assert "1 skipped" in err
    assert entry.key not in err


def test_a_damaged_profile_is_named_by_show(profkit, store):
    id = ids(store)[0]
    (path,) = store.rglob(f"{id}*")
    path.write_bytes(path.read_bytes()[:-4])
    code, _, err = profkit("show", id, store)
    assert code == 2
    assert path.name in err


def test_the_store_may_come_from_the_environment(profkit, store, monkeypatch):
    monkeypatch.setenv("PROFKIT_STORAGE", str(store))
    assert profkit("list")[0] == 0
    assert profkit("show", ids(store)[0])[0] == 0


def test_a_rules_file_is_laid_over(profkit, store, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('schema = 1\n[categories.brain]\npackages = ["openai"]\n')
    document = json.loads(profkit("analyze", store, "--format", "json", "--rules", rules)[1])
    assert "brain" in document["categories"]
    assert "llm" not in document["categories"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["analyze", "--help"], ["--version"]])
def test_help_and_version_are_printed(profkit, arguments):
    code, out, err = profkit(*arguments)
    assert (code, err) == (0, "")
    assert "profkit" in out


NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:30", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        ("2026-03-01T10:30:00Z", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        ("2026-03-01 10:30:00+02:00", datetime(2026, 3, 1, 8, 30, tzinfo=UTC)),
    ],
)
def test_times_are_iso_8601_in_utc_or_ages(text, expected):
    assert parse_time("--since", text, NOW) == expected


@pytest.mark.parametrize("text", ["", "7", "7y", "-2h", "2.5h", "12:30", "0001-01-01T00:00+10:00", "٣h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigurationError, match="--until"):
        parse_time("--until", text, NOW)


class Terminal:
    """A stream that says it is a terminal and keeps what is written."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def test_a_progress_bar_appears_on_a_terminal_after_a_second_and_goes(monkeypatch):
    terminal, clock = Terminal(), [100.0]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("profkit_analyzers.commands.progress.time.monotonic", lambda: clock[0])
    with ProgressBar("reading") as bar:
        assert bar.wanted
        bar.update(1, 10)
        assert terminal.text == ""
        clock[0] += 1.5
        bar.update(5, 10)
        bar._progress.refresh()
        assert "5/10" in terminal.text
    monkeypatch.setattr("sys.stderr", type("Pipe", (Terminal,), {"isatty": lambda self: False})())
    assert not ProgressBar("reading").wanted
