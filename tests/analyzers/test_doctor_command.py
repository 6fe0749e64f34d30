"""`profkit doctor`: what it finds, and its exit code."""

from __future__ import annotations

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
    assert (lines["written"], lines["in the spool"], lines["wrong"]) == ("yes", "nothing waits", "nothing")
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
    assert "damaged" not in profkit("doctor", store, "--read", 0)[1]


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
