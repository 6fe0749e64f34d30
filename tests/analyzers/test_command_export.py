"""`profkit export`: one profile, several as one, and what it refuses."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from profkit_analyzers.cli import main
from profkit_storage import Enclosing, Trigger, open_storage
from profkit_storage.formats import FORMATS, MERGED_FORMATS

DAY = 86_400 * 10**9
FIRST = int(datetime(2026, 3, 14, tzinfo=UTC).timestamp()) * 10**9


@pytest.fixture
def store(tmp_path, make_profile):
    """Three slow operations of 1 s that stand for 1, 2 and 3, and a capture by hand."""
    path = tmp_path / "store"
    with open_storage(path) as storage:
        for number in range(3):
            storage.put(
                make_profile(
                    stacks=[(["m:root", f"m:f{number}"], 1.0)],
                    start_ns=FIRST + number * DAY,
                    operation=f"op{number}",
                    weight=number + 1.0,
                )
            )
        storage.put(
            make_profile(
                stacks=[(["m:thread"], 9.0)],
                start_ns=FIRST + DAY,
                operation="capture",
                trigger=Trigger.MANUAL,
                weight=0.0,
            )
        )
    return path


@pytest.fixture
def profkit(capfdbinary):
    """`profkit(*arguments) -> (exit code, bytes of stdout, stderr)`."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return code, captured.out, captured.err.decode()

    return run


def ids(store, **query):
    with open_storage(store, create=False) as storage:
        return {entry.operation: entry.id for entry in storage.scan()}


def folded(out: bytes) -> dict[str, int]:
    return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in out.decode().splitlines()}


def test_one_id_is_that_profile_without_its_weight(profkit, store):
    code, out, err = profkit("export", ids(store)["op2"], store, "--format", "folded")
    assert (code, err) == (0, "")
    assert folded(out) == {"m.root;m.f2": 1_000_000}


def test_several_ids_are_merged_by_their_weights(profkit, store):
    found = ids(store)
    code, out, err = profkit("export", found["op1"], found["op2"][:12].lower(), store, "--format", "folded")
    assert (code, err) == (0, "2 profiles merged, 5.00 s\n")
    assert folded(out) == {"m.root;m.f1": 2_000_000, "m.root;m.f2": 3_000_000}
    again = profkit("export", found["op1"], found["op1"], store, "--format", "folded")
    assert folded(again[1]) == {"m.root;m.f1": 2_000_000}, "one id twice is one profile"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"m.root;m.f0": 1, "m.root;m.f1": 2, "m.root;m.f2": 3}),
        (["--operation", "op1"], {"m.root;m.f1": 2}),
        (["--since", "2026-03-15"], {"m.root;m.f1": 2, "m.root;m.f2": 3}),
        (["--until", "2026-03-15", "--service", "orders"], {"m.root;m.f0": 1}),
    ],
)
def test_a_query_is_merged_without_captures_by_hand(profkit, store, options, expected):
    code, out, err = profkit("export", store, "--format", "folded", *options)
    assert code == 0
    assert folded(out) == {stack: seconds * 1_000_000 for stack, seconds in expected.items()}
    assert ("1 capture by hand left out" in err) == (
        not options or ("2026-03-15" in options[1] and "--since" in options)
    )


def test_what_ran_inside_another_is_counted_there_unless_it_is_asked_for(profkit, tmp_path, make_profile):
    with open_storage(tmp_path) as storage:
        outer = make_profile(
            stacks=[(["m:outer", "m:inner"], 2.0)], start_ns=FIRST, operation="outer", number=1
        )
        fields = {"start_ns": FIRST + 10**8, "number": 2, "enclosing": (Enclosing(1, slow=True),)}
        inner = make_profile(stacks=[(["m:inner"], 1.0)], operation="inner", **fields)
        for profile in (outer, inner):
            storage.put(profile)
    code, out, err = profkit("export", tmp_path, "--format", "folded")
    assert (code, folded(out)) == (0, {"m.outer;m.inner": 2_000_000})
    assert err == "1 profile merged, 2.00 s; 1 that ran inside others counted there\n"
    out = profkit("export", tmp_path, "--format", "folded", "--operation", "inner")[1]
    assert folded(out) == {"m.inner": 1_000_000}
    out = profkit("export", outer.id, inner.id, tmp_path, "--format", "folded")[1]
    assert folded(out) == {"m.outer;m.inner": 2_000_000, "m.inner": 1_000_000}


def test_captures_by_hand_are_merged_by_their_ids(profkit, store):
    found = ids(store)
    out = profkit("export", found["op0"], found["capture"], store, "--format", "folded")[1]
    assert folded(out) == {"m.root;m.f0": 1_000_000, "m.thread": 9_000_000}


@pytest.mark.parametrize("format", sorted(MERGED_FORMATS))
def test_every_format_of_a_merge_is_written_to_a_file_or_a_pipe(profkit, store, tmp_path, format):
    target = tmp_path / "out"
    code, out, err = profkit("export", store, "--format", format, "-o", target)
    assert (code, out) == (0, b"")
    assert err == "3 profiles merged, 6.00 s; 1 capture by hand left out\n"
    piped = profkit("export", store, "--format", format)[1]
    assert piped.rstrip(b"\n") == target.read_bytes().rstrip(b"\n")
    text = gzip.decompress(piped) if format == "pprof" else piped
    for name in (b"f0", b"f1", b"f2"):
        assert name in text


def test_json_holds_one_profile_and_says_so(profkit, store):
    code, out, err = profkit("export", store, "--format", "json")
    assert (code, out) == (2, b"")
    assert err.startswith("profkit: --format json: holds one profile")
    assert "flamegraph" in err
    assert err.count("\n") == 1


def test_ids_and_a_query_are_not_both(profkit, store):
    code, _, err = profkit("export", ids(store)["op0"], store, "--format", "folded", "--operation", "op0")
    assert code == 2
    assert "not both" in err


def test_nothing_that_matches_is_one_line(profkit, store):
    code, out, err = profkit("export", store, "--format", "folded", "--operation", "none")
    assert (code, out, err) == (2, b"", f"profkit: no profiles that match in {store}\n")
    code, _, err = profkit("export", store, "--format", "folded", "--operation", "capture")
    assert code == 2
    assert "1 capture by hand left out" in err


def test_what_is_damaged_is_skipped_in_a_query_and_named_by_its_id(profkit, store):
    id = ids(store)["op0"]
    (path,) = store.rglob(f"{id}*")
    path.write_bytes(path.read_bytes()[:-4])
    code, out, err = profkit("export", store, "--format", "folded")
    assert (code, len(folded(out))) == (0, 2)
    assert re.fullmatch(rf"2 profiles merged, 5\.00 s; .*; 1 skipped, the first is \S*{id}.*\n", err)
    code, _, err = profkit("export", id, ids(store)["op1"], store, "--format", "folded")
    assert code == 2
    assert path.name in err


def test_the_store_may_come_from_the_environment(profkit, store, monkeypatch):
    found = ids(store)
    monkeypatch.setenv("PROFKIT_STORAGE", str(store))
    assert len(folded(profkit("export", "--format", "folded")[1])) == 3
    assert len(folded(profkit("export", found["op0"], "--format", "folded")[1])) == 1
    assert len(folded(profkit("export", found["op0"][:10], found["op1"], "--format", "folded")[1])) == 2
    assert len(folded(profkit("export", found["op0"], store, "--format", "folded")[1])) == 1
    monkeypatch.setenv("PROFKIT_STORAGE", "/no/such/store")
    assert len(folded(profkit("export", store, "--format", "folded")[1])) == 3


def test_without_a_store_it_says_so(profkit, monkeypatch):
    monkeypatch.delenv("PROFKIT_STORAGE", raising=False)
    code, _, err = profkit("export", "--format", "folded")
    assert code == 2
    assert "STORE" in err


def test_bytes_are_not_written_to_a_terminal(store, tmp_path):
    parent, child = pty.openpty()
    code = "import sys; from profkit_analyzers.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "export", store, "--format", "pprof"]
    done = subprocess.run(
        list(map(str, command)), stdin=child, stdout=child, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(child)
    os.close(parent)
    assert done.returncode == 2
    assert b"-o FILE" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_the_list_of_formats_is_in_the_help(profkit):
    out = profkit("export", "--help")[1].decode()
    assert all(name in out for name in FORMATS)
    assert "[ID]... STORE" in out


def test_a_merge_says_how_many_operations_it_stands_for(profkit, store):
    page = profkit("export", store, "--format", "flamegraph")[1].decode()
    assert "3, which stand for 6 operations" in page
    document = json.loads(profkit("export", store, "--format", "speedscope")[1])
    assert [one["name"] for one in document["profiles"]] == ["op2 ok", "op1 ok", "op0 ok"]
