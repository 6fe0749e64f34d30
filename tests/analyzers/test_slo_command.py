"""`profkit slo`: what it prints, of stores on disk, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

import profkit as capturing
from profkit_analyzers.cli import main
from profkit_analyzers.reporters.figures import duration
from profkit_analyzers.reporters.level_figures import budget_left, burn_rate, reached
from profkit_analyzers.reporters.marked import code
from profkit_analyzers.slo.levels import Counts, levels
from profkit_analyzers.slo.objectives import Objective, default_objectives, load_objectives
from profkit_storage import Histogram, LocalStorage, Rollup, RollupSet
from profkit_storage.ulid import new_ulid

NOON = int(datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()) * 10**9
MINUTE = 60 * 10**9
CLOSE = ["close", "agent", "1,000", "2.05", "s"]
NASTY = "GET /\x1b[31m|`x`<b>@all\u202e\n| a |"


@pytest.fixture
def profkit(capsys, monkeypatch):
    """`profkit(*arguments, width=None) -> (exit code, stdout, stderr)`; of a terminal, without its colours."""

    def run(*arguments, width=None):
        with monkeypatch.context() as patch:
            if width:
                patch.setattr("sys.stdout.isatty", lambda: True)
                patch.setenv("COLUMNS", str(width))
            code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, re.sub(r"\x1b\[[0-9;]*m", "", captured.out), captured.err

    return run


def rollup(operation, *durations, errors=0, category="http"):
    histogram = Histogram()
    histogram.add_many(durations)
    return Rollup(operation, category, len(durations), errors, sum(durations), 0, 0, {}, 1.0, histogram)


def put(path, *rows, minute=0.0, minutes=1.0, service="orders"):
    start_ns = NOON + round(minute * MINUTE)
    end_ns = start_ns + round(minutes * MINUTE)
    LocalStorage(path).put_rollup(
        RollupSet(id=new_ulid(start_ns), service=service, start_ns=start_ns, end_ns=end_ns, rollups=rows)
    )


@pytest.fixture
def store(tmp_path):
    """Two hours of an operation that is fine, then slow; one with calls close to 2 s; one with few calls."""
    path = tmp_path / "store"
    put(path, rollup("GET /", *[0.1] * 1000), rollup("report", 1.0))
    put(path, rollup("GET /", *[0.1] * 700, *[5.0] * 300, errors=1), minute=75)
    put(path, rollup("close", *[0.1] * 900, *[1.99] * 100, category="agent"), minute=80)
    return path


def words(text):
    return [line.split() for line in text.splitlines()]


def test_a_pipe_gets_one_whole_line_for_each_objective(profkit, store):
    code, out, err = profkit("slo", store)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        "3 operations, 3,001 calls, 2026-03-14 12:00 to 2026-03-14 13:21 UTC",
        "broken: 1 of 9 objectives",
    ]
    assert words(out)[3:13] == [
        "operation category calls p95 objective reached surely missed budget left burn rate verdict".split(),
        "GET / http 2,000 4.84 s 95 % under 2 s 85.000 % 300 -200.0 % 3.00 broken".split(),
        "GET / http 2,000 4.84 s 99.9 % available 99.950 % 1 50.0 % 0.50 met".split(),
        "GET / http 2,000 4.84 s errors at most 1 % 0.050 % 1 95.0 % 0.05 met".split(),
        [*CLOSE, *"95 % under 2 s ~92.174 % 90.000 to 100.000 % ~79 -56.6 % 1.57 too close to tell".split()],
        "close agent 1,000 2.05 s 99.9 % available 100.000 % 0 100.0 % 0.00 met".split(),
        "close agent 1,000 2.05 s errors at most 1 % 0.000 % 0 100.0 % 0.00 met".split(),
        "report http 1 957 ms 95 % under 2 s 100.000 % 0 100.0 % 0.00 not enough calls".split(),
        "report http 1 957 ms 99.9 % available 100.000 % 0 100.0 % 0.00 not enough calls".split(),
        "report http 1 957 ms errors at most 1 % 0.000 % 0 100.0 % 0.00 not enough calls".split(),
    ]
    assert "~ durations are known to 4.8 %: calls of 1.96 s to 2.15 s may be under 2 s or not" in out
    assert "fewer than 20 for 95 % under 2 s, 100 for errors at most 1 %, 1,000 for 99.9 % available" in out


@pytest.mark.parametrize("width", [40, 80, 120, 149, 150, 200])
@pytest.mark.parametrize("window", ["all", "hour", "day"])
def test_nothing_is_wider_than_the_terminal(profkit, store, width, window):
    put(store, rollup("POST /" + "long" * 60, 0.1, category="c" * 60), minute=5, service="\u6f22" * 40)
    code, out, _ = profkit("slo", store, "--window", window, width=width)
    assert code == 0
    if width >= 80:
        assert max(map(cell_len, out.splitlines())) <= width
    assert "GET /" in out


def test_a_narrow_terminal_has_a_heading_for_each_operation(profkit, store):
    out = profkit("slo", store, width=80)[1]
    assert words(out)[3:6] == [
        "objective reached budget left burn rate verdict".split(),
        "GET / http 2,000 calls, p95 4.84 s".split(),
        "95 % under 2 s 85.000 % -200.0 % 3.00 broken".split(),
    ]


def test_windows_show_when_it_broke(profkit, store):
    out = profkit("slo", store, "--window", "hour", "--operation", "GET /")[1]
    assert [
        "2026-03-14 12:00 1,000 100.000 % 100.000 % 0.000 %".split(),
        "2026-03-14 13:00 1,000 ! 70.000 % 99.900 % 0.100 %".split(),
    ] == [line for line in words(out) if line and line[0] == "2026-03-14"]
    assert "! broken, ? too close to tell, ( ) not enough calls" in out
    days = words(profkit("slo", store, "--window", "day", "--operation", "report")[1])
    assert "2026-03-14 1 (100.000 %) (100.000 %) (0.000 %)".split() in days


def test_json_is_the_reports(profkit, store):
    document = json.loads(profkit("slo", store, "--format", "json", "--window", "hour")[1])
    assert (document["schema"], document["window"], document["rollups"]) == (1, "hour", 3)
    assert (document["since"], document["until"], document["breached"]) == (None, None, True)
    first = document["operations"][0]
    assert (first["operation"], first["service"], first["category"]) == ("GET /", "orders", "http")
    assert (first["population"]["calls"], first["population"]["errors"]) == (2000, 1)
    assert first["levels"][0] == {
        "objective": "latency",
        "target": 0.95,
        "seconds": 2.0,
        "between": [1.957438581, 2.153182439],
        "calls": 2000,
        "missed": 300.0,
        "missed_least": 300,
        "missed_most": 300,
        "reached": 0.85,
        "reached_least": 0.85,
        "reached_most": 0.85,
        "burn_rate": 3.0,
        "budget_left": -2.0,
        "min_calls": 20,
        "verdict": "broken",
    }
    assert [(one["start"], one["end"], one["calls"]) for one in first["windows"]] == [
        ("2026-03-14T12:00:00.000Z", "2026-03-14T13:00:00.000Z", 1000),
        ("2026-03-14T13:00:00.000Z", "2026-03-14T14:00:00.000Z", 1000),
    ]
    asked = profkit("slo", store, "--format", "json", "--since", "2026-03-14T13:00", "--until", "2026-03-15")
    document = json.loads(asked[1])
    assert (document["since"], document["until"]) == ("2026-03-14T13:00:00.000Z", "2026-03-15T00:00:00.000Z")
    assert [one["population"]["calls"] for one in document["operations"]] == [1000, 1000]


def test_a_breach_fails_only_where_it_is_asked_to(profkit, store, tmp_path):
    assert profkit("slo", store)[0] == 0
    code, out, err = profkit("slo", store, "--fail-on-breach")
    assert (code, err) == (3, "")
    assert "broken: 1 of 9" in out
    for form in ("json", "markdown"):
        assert profkit("slo", store, "--fail-on-breach", "--format", form)[0] == 3
    assert profkit("slo", store, "--fail-on-breach", "--operation", "close")[0] == 0, "too close to tell"
    assert profkit("slo", store, "--fail-on-breach", "--operation", "report")[0] == 0, "too few calls"
    mine = tmp_path / "mine.toml"
    mine.write_text('schema = 1\n[operations."GET *"]\nlatency_share = 0.8\n')
    code, out, _ = profkit("slo", store, "--fail-on-breach", "--objectives", mine, "--top", 1)
    assert code == 0
    assert "broken: 0 of 9" in out
    assert "and 2 operations more: see --top" in out
    assert profkit("slo", store, "--fail-on-breach", "--top", 1)[0] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--operation", "none"], "no operation that matches in the 3 sets of rollups in "),
        (["--since", "2027-01-01"], "no rollups that match in "),
        (["--since", "2027-01-01", "--format", "markdown"], "no rollups that match in "),
        (["--since", "2027-01-01", "--format", "json", "--fail-on-breach"], "no rollups that match in "),
        (["--since", "2026-03-15", "--until", "2026-03-14"], "--since '2026-03-15': must be before --until"),
        (["--objectives", "none.toml"], "objectives file 'none.toml' cannot be read"),
        (["--window", "week"], "'week' is not one of 'hour', 'day', 'all'"),
        (["--top", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_is_wrong_or_not_there_is_said_in_a_line(profkit, store, options, message):
    code, out, err = profkit("slo", store, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_none_is_an_answer_for_a_program(profkit, tmp_path, store):
    code, out, _ = profkit("slo", store, "--operation", "none", "--format", "json")
    assert (code, json.loads(out)["operations"]) == (0, [])


def test_a_wrong_objective_is_named_in_its_file(profkit, store, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text("schema = 1\n[operations.'GET /']\navailability = 99.9\n")
    code, out, err = profkit("slo", store, "--objectives", mine)
    assert (code, out) == (2, "")
    assert err.startswith(f'profkit: {mine}: operations."GET /".availability: 99.9: must be from 0.000001')


def test_an_objective_for_nothing_is_named(profkit, store, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text("schema = 1\n[operations.'GET /x*']\n[operations.close]\n")
    for form in ("table", "markdown"):
        out = profkit("slo", store, "--objectives", mine, "--format", form)[1]
        line = next(line for line in out.splitlines() if "mean no operation" in line)
        assert "GET /x*" in line
        assert "close" not in line


def test_damage_is_counted_and_named_and_never_fatal(profkit, store):
    first = min(store.rglob("*.pkr"))
    first.write_bytes(b"nonsense")
    for form in ("table", "markdown"):
        code, out, _ = profkit("slo", store, "--format", form)
        assert code == 0
        assert "1 skipped" in out
        assert first.name in out
    document = json.loads(profkit("slo", store, "--format", "json")[1])
    assert (document["skipped_count"], document["rollups"]) == (1, 2)
    assert document["skipped"][0]["key"].endswith(first.name)
    for path in store.rglob("*.pkr"):
        path.write_bytes(b"nonsense")
    code, out, err = profkit("slo", store, "--format", "json")
    assert (code, out) == (2, "")
    assert "no readable rollups" in err
    assert "3 skipped, the first is rollups/v1/" in err


@pytest.mark.parametrize("window", ["all", "hour"])
def test_no_name_drives_a_terminal_or_a_page(profkit, tmp_path, window):
    path = tmp_path / "store"
    put(path, rollup(NASTY, *[0.1] * 30, category=NASTY), service=NASTY)
    put(path, rollup("b", 0.1), minute=1)
    for width in (None, 80, 160):
        out = profkit("slo", path, "--window", window, width=width)[1]
        assert all(line.isprintable() for line in out.splitlines())
        assert "\\x1b[31m" in out
    out = profkit("slo", path, "--window", window, "--format", "markdown")[1]
    assert all(line.isprintable() for line in out.splitlines())
    rows = [line for line in out.splitlines() if line.startswith("| `")]
    assert rows
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 10
        assert not re.search(r"<b>|@all", re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", row))


def test_code_is_fenced_whatever_is_in_it():
    assert code("a") == "`a`"
    assert code("`a``") == "``` `a`` ```"
    assert code("a|b") == "`a|b`"
    assert code("a|b", cell=True) == r"`a\|b`"
    assert code("") == ""


def test_markdown_is_a_table(profkit, store):
    lines = profkit("slo", store, "--format", "markdown", "--window", "hour", "--top", 1)[1].splitlines()
    assert lines[0] == "### Service levels, 2026-03-14 12:00 to 2026-03-14 13:21 UTC"
    assert (
        "| `GET /` | `http` | `orders` | 2,000 | 95 % under 2 s | 85.000 % | -200.0 % | 3.00 | **broken** |"
        in lines
    )
    assert "| 2026-03-14 13:00 | 1,000 | 70.000 % (broken) | 99.900 % | 0.100 % |" in lines
    assert "and 2 operations more" in lines


def test_of_what_was_really_captured(profkit, tmp_path):
    profiler = capturing.PerformanceProfiler()
    profiler.configure(
        storage=tmp_path / "store", service="shop", threshold=5.0, rollup_interval=0.1, spool="off"
    )

    @profiler.profile("shop.pay", category="http")
    async def pay(number):
        await asyncio.sleep(0.06 if number % 10 == 0 else 0)
        return 1 / (number % 20)

    async def many():
        return await asyncio.gather(*map(pay, range(200)), return_exceptions=True)

    failed = sum(isinstance(answer, Exception) for answer in asyncio.run(many()))
    profiler.shutdown()
    assert failed == 10
    mine = tmp_path / "mine.toml"
    mine.write_text(
        "schema = 1\n[default]\nlatency_seconds = 0.05\n[operations.'shop.*']\nerror_rate = 0.06\n"
    )
    code, out, _ = profkit(
        "slo", tmp_path / "store", "--objectives", mine, "--format", "json", "--fail-on-breach"
    )
    (operation,) = json.loads(out)["operations"]
    latency, available, errors = operation["levels"]
    assert (latency["calls"], available["calls"]) == (200, 200)
    assert latency["missed_least"] <= latency["missed"] <= latency["missed_most"]
    assert latency["missed_most"] >= 20
    assert (available["missed"], available["verdict"], code) == (10, "broken", 3)
    assert (errors["reached"], errors["verdict"]) == (0.05, "met")


def keys_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from () if key == "dropped" else keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_the_document_tells_of_every_name_in_the_json_and_its_python_runs(
    profkit, store, tmp_path, monkeypatch, capsys
):
    put(store, rollup("x", 0.1), minute=3)
    min(store.rglob("*.pkr")).write_bytes(b"nonsense")
    text = (Path(__file__).parents[2] / "docs" / "slo.md").read_text()
    found = json.loads(profkit("slo", store, "--format", "json", "--window", "day")[1])
    told = set(re.findall(r"`(\w+)`", text))
    assert set(keys_of(found)) <= told
    start, mine = (
        re.sub("(?m)^    ", "", block)
        for block in re.findall(r"(?m)(?:^    (?:schema|\[|\w+ = ).*\n)+", text)[:2]
    )
    (tmp_path / "objectives.toml").write_text(start)
    assert load_objectives(tmp_path / "objectives.toml") == default_objectives()
    (tmp_path / "objectives.toml").write_text(mine)
    assert load_objectives(tmp_path / "objectives.toml").of("GET /a", "llm").latency_seconds == 0.5
    monkeypatch.chdir(tmp_path)
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(python.replace("/var/lib/profkit", str(store)).replace("days=7", "days=100_000"))
    assert "x latency" in capsys.readouterr().out


def test_no_figure_is_better_than_what_it_tells():
    counts = Counts(calls=1_000_000, errors=4, timed=1_000_000, quick_least=999_996, quick_most=999_996)
    latency, available, errors = levels(
        counts, Objective(latency_share=0.9, availability=0.999996, error_rate=0.000003)
    )
    assert [reached(level) for level in (latency, available, errors)] == ["99.999 %", "99.999 %", "0.001 %"]
    assert [burn_rate(level) for level in (latency, available, errors)] == ["0.01", "1.00", "1.34"]
    assert [budget_left(level) for level in (latency, available, errors)] == ["99.9 %", "0.0 %", "-33.4 %"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 us"),
        (1.05e-6, "1.05 us"),
        (0.0125, "12.5 ms"),
        (0.9, "900 ms"),
        (1, "1.00 s"),
        (4000, "4,000 s"),
    ],
)
def test_durations_are_in_the_unit_that_reads_best(seconds, text):
    assert duration(seconds) == text
