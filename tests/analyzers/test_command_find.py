"""`profkit find`: by request, trace and tag, with a bound."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from profkit_analyzers.cli import main
from profkit_storage import open_storage

HOUR = 3_600 * 10**9
FIRST = int(datetime(2026, 3, 14, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture
def store(tmp_path, make_profile):
    """Ten profiles, an hour apart, of two services, three requests and two traces."""
    path = tmp_path / "store"
    with open_storage(path) as storage:
        for number in range(10):
            storage.put(
                make_profile(
                    start_ns=FIRST + number * HOUR,
                    operation=f"op{number}",
                    service=f"s{number % 2}",
                    request_id=f"req-{number % 3}",
                    trace_id=f"{'ab' if number < 5 else 'cd'}{0:030x}",
                    tags={
                        "tenant": "acme" if number % 2 else "zeta=1",
                        "cached": number > 7,
                        "count": number,
                    },
                )
            )
    return path


@pytest.fixture
def find(capsys, store):
    """`find(*options) -> (operations in the order listed, stderr)`."""

    def run(*options):
        code = main(["find", str(store), "--json", *map(str, options)])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        document = json.loads(captured.out)
        assert document["count"] == len(document["profiles"])
        return [entry["operation"] for entry in document["profiles"]]

    return run


@pytest.fixture
def profkit(capsys):
    def run(*arguments):
        code = main(["find", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--request-id", "req-1"], [1, 4, 7]),
        (["--trace-id", "CD" + "0" * 30], [5, 6, 7, 8, 9]),
        (["--tag", "tenant=acme"], [1, 3, 5, 7, 9]),
        (["--tag", "tenant=zeta=1"], [0, 2, 4, 6, 8]),
        (["--tag", "cached=True"], [8, 9]),
        (["--tag", "cached=true"], [8, 9]),
        (["--tag", "count=3"], [3]),
        (["--tag", "cached=true", "--tag", "tenant=acme"], [9]),
        (["--request-id", "req-1", "--tag", "tenant=acme"], [1, 7]),
        (["--request-id", "req-1", "--service", "s0"], [4]),
        (["--request-id", "req-1", "--since", "2026-03-14T02:00", "--until", "2026-03-14T07:00"], [4]),
        (["--request-id", "req-1", "--operation", "op7", "--category", "agent"], [7]),
        (["--request-id", "req-1", "--limit", "2"], [4, 7]),
        (["--request-id", "req-1", "--read", "4"], [7]),
    ],
)
def test_it_finds_what_has_all_that_is_asked_for(find, options, expected):
    assert find(*options) == [f"op{number}" for number in expected]


def test_it_prints_as_list_does_and_says_how_far_it_looked(profkit, store):
    code, out, err = profkit(store, "--request-id", "req-1")
    assert code == 0
    rows = out.splitlines()
    assert rows[0].split()[0] == "id"
    assert [row.split()[-2] for row in rows[1:]] == ["op1", "op4", "op7"]
    assert err == "3 found; looked into 10 profiles\n"
    assert profkit(store, "--request-id", "req-1", "--limit", 1)[2] == (
        "1 found; looked into 3 profiles, the newest of 10\n"
    )


def test_nothing_found_is_one_line_that_says_what_was_looked_into(profkit, store):
    code, out, err = profkit(store, "--request-id", "no\x1b[2J", "--tag", "a=b", "--read", 4)
    assert (code, out) == (2, "")
    assert err.startswith("profkit: no profile with request id 'no\\x1b[2J', tag 'a' = 'b' in ")
    assert err.endswith("looked into 4 profiles, the newest of 10\n")
    assert "\x1b" not in err


def test_what_is_damaged_is_skipped_and_counted(profkit, store):
    (path,) = store.rglob("*op4*")
    path.write_bytes(path.read_bytes()[:-4])
    code, out, err = profkit(store, "--request-id", "req-1")
    assert code == 0
    assert "op4" not in out
    assert "1 skipped, the first is" in err
    assert path.name in err
    assert json.loads(profkit(store, "--request-id", "req-1", "--json")[1])["skipped_count"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["--request-id", "--trace-id", "--tag NAME=VALUE"]),
        (["--tag", "tenant"], ["--tag 'tenant'", "NAME=VALUE"]),
        (["--tag", "=x"], ["--tag '=x'", "NAME=VALUE"]),
        (["--tag", "a=1", "--tag", "a=2"], ["--tag 'a=2'", "'1'"]),
        (["--request-id", " "], ["--request-id", "empty"]),
        (["--trace-id", ""], ["--trace-id", "empty"]),
        (["--request-id", "x", "--limit", "0"], ["--limit"]),
        (["--request-id", "x", "--read", "0"], ["--read"]),
        (["--request-id", "x", "--since", "never"], ["--since", "'never'"]),
    ],
)
def test_bad_input_is_one_line_that_names_it(profkit, store, options, words):
    code, out, err = profkit(store, *options)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
