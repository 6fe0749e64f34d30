"""`profkit prune`: what it says, and what it refuses."""

from __future__ import annotations

import time

import pytest

from profkit_storage import open_storage


@pytest.fixture
def store(tmp_path, make_profile):
    path = tmp_path / "store"
    with open_storage(path) as storage:
        for age in (1, 2, 40, 50):
            storage.put(make_profile(start_ns=time.time_ns() - age * 86_400 * 10**9))
    return path


def test_numbers_of_any_length(profkit, store):
    for option in ("--max-count", "--keep-slowest"):
        code, out, err = profkit("prune", store, "--max-age", "9w", "--dry-run", option, "9" * 400)
        assert (code, err) == (0, "")
        assert out.startswith("would remove 0 profiles")


def count(store):
    with open_storage(store, create=False) as storage:
        return len(list(storage.scan()))


def test_it_says_what_would_go_and_then_what_went(profkit, store):
    code, out, err = profkit("prune", store, "--max-age", "30d", "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith("would remove 2 profiles (")
    assert "; would keep 2 (" in out
    assert count(store) == 4
    code, out, _ = profkit("prune", store, "--max-age", "30d")
    assert (code, out.split(" (")[0]) == (0, "removed 2 profiles")
    assert count(store) == 2


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--max-count", 1], 1),
        (["--max-bytes", "0"], 0),
        (["--max-bytes", "10GB"], 4),
        (["--max-bytes", "2.2kB", "--keep-slowest", 3], 3),
        (["--max-count", 0, "--category", "none"], 4),
        (["--max-age", "6w", "--max-count", 3], 3),
    ],
)
def test_limits(profkit, store, options, left):
    assert profkit("prune", store, *options)[0] == 0
    assert count(store) == left


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], "give --max-age, --max-bytes or --max-count"),
        (["--max-age", "30"], "--max-age '30': must be a whole number and s, m, h, d or w"),
        (["--max-bytes", "many"], "--max-bytes 'many': must be a number and kB"),
        (["--max-count", "-1"], "--max-count"),
    ],
)
def test_refusals(profkit, store, options, named):
    code, out, err = profkit("prune", store, *options)
    assert (code, out) == (2, "")
    assert named in err
    assert err.count("\n") == 1
    assert count(store) == 4


def test_what_is_foreign_is_counted(profkit, store):
    (store / "profiles/v1/notes").write_text("mine")
    code, _, err = profkit("prune", store, "--max-count", 1)
    assert (code, err) == (0, "1 object skipped that are no profiles: profkit doctor names them\n")


def test_a_store_that_is_not_there(profkit, tmp_path):
    code, _, err = profkit("prune", tmp_path / "missing", "--max-count", 1)
    assert (code, err.count("\n")) == (2, 1)
