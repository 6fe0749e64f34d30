"""`profkit compact`: what it prints, what it does to a store, and its errors."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from profkit_storage import LocalStorage, Rollup, RollupSet
from profkit_storage.histogram import Histogram
from profkit_storage.ulid import new_ulid

NOON = int(datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()) * 10**9
HOUR = 3_600_000_000_000


@pytest.fixture
def store(tmp_path, make_profile):
    """Three profiles in two hours, and rollups in the first; another that has just started."""
    store = LocalStorage(tmp_path / "store")
    now = int(datetime.now(UTC).timestamp()) * 10**9
    for start in (NOON, NOON + 1, NOON + HOUR, now):
        store.put(make_profile(start_ns=start))
    row = Rollup("a", "b", 1, 0, 1.0, 0, 0, {}, 1.0, Histogram())
    store.put_rollup(
        RollupSet(id=new_ulid(NOON), service="orders", start_ns=NOON, end_ns=NOON, rollups=(row,))
    )
    return store


def files(store, ending):
    return list(store.path.rglob(f"*{ending}"))


def test_a_line_an_hour_and_one_for_all(profkit, store):
    size = sum(path.stat().st_size for path in files(store, ".pkp")[:2])
    code, out, err = profkit(
        "compact", store.path, "--smallest", "0", "--until", "2026-03-14T13:00", "--grace", "0s"
    )
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in lines] == ["2026-03-14T12 orders"] * 2 + ["in all"]
    assert lines[0].startswith("2026-03-14T12 orders: 2 profiles into 1 block, ")
    assert lines[0].endswith(" bytes; 2 originals removed")
    assert "1 set into 1 block" in lines[1]
    assert "2 profiles and 1 set into 2 blocks" in lines[2]
    assert size > 0
    assert len(files(store, ".pkp")) == 2
    assert len(files(store, ".manifest.json")) == 2


def test_originals_are_kept_for_a_while_and_then_removed(profkit, store):
    code, out, _ = profkit("compact", store.path, "--smallest", "0")
    assert code == 0
    assert out.splitlines()[-1].endswith("; 4 originals kept for now")
    assert len(files(store, ".pkp")) == 4
    code, out, _ = profkit("compact", store.path, "--smallest", "0", "--grace", "0s")
    assert out.splitlines()[-1] == "in all: 4 originals removed"
    assert len(files(store, ".pkp")) == 1
    assert profkit("compact", store.path, "--smallest", "0", "--grace", "0s") == (
        0,
        "in all: nothing to do: no hour that is over holds 0 of a service beside its blocks\n",
        "",
    )


def test_an_hour_of_little_stays_as_it_is(profkit, store):
    code, out, err = profkit("compact", store.path, "--grace", "0s")
    nothing = "in all: nothing to do: no hour that is over holds 64kB of a service beside its blocks\n"
    assert (code, out, err) == (0, nothing, "")
    assert len(files(store, ".pkp")) == 4
    noon = sum(
        path.stat().st_size for path in files(store, ".pkp") if "date=2026-03-14/hour=12" in path.as_posix()
    )
    code, out, _ = profkit("compact", store.path, "--smallest", str(noon), "--until", "2026-03-14T13:00")
    assert "2 profiles into 1 block" in out


def test_a_dry_run(profkit, store):
    code, out, err = profkit("compact", store.path, "--smallest", "0", "--dry-run")
    assert (code, err) == (0, "")
    assert "would be done: 3 profiles and 1 set into 3 blocks" in out.splitlines()[-1]
    assert files(store, ".parquet") == []


def test_what_is_damaged_is_told(profkit, store):
    damaged = min(files(store, ".pkp"))
    damaged.write_bytes(b"x" * 500)
    code, out, err = profkit("compact", store.path, "--smallest", "0")
    assert code == 0
    assert "; 1 damaged" in out.splitlines()[-1]
    key = damaged.relative_to(store.path)
    assert err == f"1 problem, left alone: {key}: not a profile: it does not begin as one\n"


def without_sizes(listing):
    """A profile's size is that of its part of a block."""
    return re.sub(r'"size": \d+', "", listing)


def test_the_other_commands_find_what_is_in_blocks(profkit, store):
    ranking, (_, listing, _) = profkit("analyze", store.path), profkit("list", store.path, "--json")
    assert profkit("compact", store.path, "--smallest", "0", "--grace", "0s")[0] == 0
    assert profkit("analyze", store.path) == ranking
    code, out, err = profkit("list", store.path, "--json")
    assert (code, without_sizes(out.replace("blocks/v1", "profiles/v1")), err) == (
        0,
        without_sizes(listing),
        "",
    )
    first = next(store.scan()).id
    assert "handle_message" in profkit("show", first, store.path)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["memory://somewhere"],
            "storage address 'memory://somewhere': what is in memory is gone with its process",
        ),
        (
            ["STORE", "--grace", "soon"],
            "--grace 'soon': must be a whole number and s, m, h, d or w (0s, 30m, 7d)",
        ),
        (["STORE", "--smallest", "little"], "--smallest 'little': must be a number and kB, MB, GB or TB"),
        (["STORE", "--grace", "999999999w"], "--grace '999999999w': is too long"),
        (["STORE", "--until", "soon"], "--until 'soon': must be an ISO 8601 date"),
        (["missing"], "missing: no such directory"),
    ],
)
def test_what_is_wrong_is_one_line(profkit, store, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = profkit("compact", *(store.path if word == "STORE" else word for word in arguments))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


def test_a_store_that_cannot_be_written(profkit, store):
    (store.path / "profiles" / "v1" / ".incoming").rmdir()
    (store.path / "profiles" / "v1" / ".incoming").write_text("in the way")
    code, out, err = profkit("compact", store.path, "--smallest", "0", "--grace", "0s")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "cannot be written: " in err
    assert len(files(store, ".pkp")) == 4
