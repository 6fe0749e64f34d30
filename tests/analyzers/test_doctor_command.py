"""`profkit doctor`: what it finds, and its exit code."""

from __future__ import annotations

import os
import socket

import pytest

from profkit_analyzers.cli import main
from profkit_storage import open_storage
from profkit_storage.spool import Spool, spool_directory


@pytest.fixture
def store(tmp_path, make_profile):
    path = tmp_path / "store"
    with open_storage(path) as storage:
        for category in ("db", "db", "llm"):
            storage.put(make_profile(category=category))
    return path


@pytest.fixture
def profkit(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PROFKIT_SPOOL", str(tmp_path / "spool"))

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_store_that_is_well(profkit, store):
    code, out, err = profkit("doctor", store)
    assert (code, err) == (0, "")
    lines = {line[:12].strip(): line[14:] for line in out.splitlines()[:5]}
    assert lines["listed"].startswith("yes, 3 profiles in ")
    assert lines["read"] == "3 of the newest 3"
    assert (lines["written"], lines["wrong"]) == ("yes", "nothing")
    assert lines["in the spool"] == f"nothing waits in {os.environ['PROFKIT_SPOOL']}"
    rows = {line.split()[0]: line.split()[1] for line in out.splitlines()[5:] if line}
    assert (rows["2026-03-14"], rows["db"], rows["llm"]) == ("3", "2", "1")


def test_what_is_damaged_or_foreign_is_named(profkit, store):
    with open_storage(store) as storage:
        entry = next(storage.scan())
    (store / entry.key).write_bytes(b"x" * 500)
    (store / "profiles/v1/notes").write_text("mine")
    code, out, _ = profkit("doctor", store)
    assert code == 1
    assert "2 of the newest 3" in out
    assert f"{entry.key}: not a profile" in out
    assert "notes: no date=YYYY-MM-DD directory" in out
    assert "not a profile" not in profkit("doctor", store, "--read", 0)[1]


def test_a_spool_in_the_home_of_nobody(profkit, store, monkeypatch):
    monkeypatch.setenv("PROFKIT_SPOOL", "~nobody-of-this-name/spool")
    code, out, err = profkit("doctor", store)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "PROFKIT_SPOOL '~nobody-of-this-name/spool'" in err


def test_what_waits_is_counted(profkit, store, make_profile, tmp_path):
    spool = Spool(spool_directory(store.as_uri(), tmp_path / "spool"))
    spool.keep(make_profile())
    code, out, _ = profkit("doctor", store)
    assert code == 0
    assert "1 wait, " in out


def test_what_waits_is_counted_while_the_store_is_away(profkit, make_profile, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    url = f"s3://bucket/prefix?endpoint_url=http://127.0.0.1:{port}&region=us-east-1"
    Spool(spool_directory(url, tmp_path / "spool")).keep(make_profile())
    code, out, err = profkit("doctor", url)
    assert (code, err) == (1, "")
    listed, waiting = out.splitlines()
    assert listed.startswith("listed        NO: ")
    assert listed.endswith("cannot be listed: cannot be reached: Connection refused")
    assert waiting.startswith("in the spool  1 wait, ")


def test_a_damaged_block_is_named_once_by_its_file(profkit, store, make_profile):
    assert profkit("compact", store, "--smallest", "0", "--grace", "0s")[0] == 0
    with open_storage(store) as storage:
        storage.put(make_profile())
    (table,) = store.rglob("*.samples.parquet")
    table.write_bytes(b"x")
    wrong = f"{table.relative_to(store)}: damaged or cut: its checksum is wrong"
    code, out, _ = profkit("doctor", store)
    assert (code, out.count("checksum")) == (1, 1)
    assert f"wrong         1\n{'':14}{wrong}\n" in out
    out = profkit("analyze", store)[1]
    assert out.count("checksum") == 1
    assert f"3 skipped:\n  {wrong}\n\n" in out


def test_a_store_that_cannot_be_written(profkit, store):
    (store / "profiles/v1/.incoming").rmdir()
    (store / "profiles/v1/.incoming").symlink_to(store)
    code, out, _ = profkit("doctor", store)
    assert code == 1
    assert "NO: " in out
    assert "is a link, not a directory" in out


def test_no_store(profkit, tmp_path):
    code, out, err = profkit("doctor", tmp_path / "missing")
    assert (code, out, err.count("\n")) == (2, "", 1)
