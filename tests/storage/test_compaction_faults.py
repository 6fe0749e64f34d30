"""Compactions that are killed, meet others, or have readers and removers about them, in real processes."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from profkit_storage import LocalStorage, ProfileNotFound
from profkit_storage.blocks import making, working
from profkit_storage.blocks.compaction import Compaction

NOON = int(datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()) * 10**9
NOW = timedelta(0)

COMPACT = """
import os, signal, sys
from datetime import timedelta
from profkit_storage import LocalStorage
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.local import LocalObjects

steps = 0

def counted(name):
    real = getattr(LocalObjects, name)

    def step(self, key, *rest):
        global steps
        if not key.startswith("profiles/v1/.incoming"):
            steps += 1
            if steps == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
        return real(self, key, *rest)

    setattr(LocalObjects, name, step)

counted("write")
counted("remove")
list(Compaction(LocalStorage(sys.argv[1]), grace=timedelta(0), max_profiles=3).run())
print(steps)
"""


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def filled(store, make_profile):
    """Five profiles in an hour of one service, one of another service, by their ids."""
    profiles = [make_profile(start_ns=NOON + i * 10**9) for i in range(5)]
    profiles.append(make_profile(start_ns=NOON, service="another"))
    for profile in profiles:
        store.put(profile)
    return {profile.id: profile for profile in sorted(profiles, key=lambda one: one.id)}


def start(store, step):
    return subprocess.Popen(
        [sys.executable, "-c", COMPACT, str(store.path), str(step)], stdout=subprocess.PIPE, text=True
    )


def check(store, wanted, problems):
    """Each is there once, and whole."""
    entries = list(store.scan(on_problem=problems))
    assert [entry.id for entry in entries] == list(wanted)
    for entry in entries:
        assert store.load(entry.id) == store.load_entry(entry) == wanted[entry.id]
    assert problems.found == {}


def files(store, ending):
    return sorted(path for path in store.path.rglob(f"*{ending}") if path.is_file())


STEPS = 13
"""Writes and removals for the other service's hour: a mark, 7 tables, a manifest, the mark's removal, an original; and
the first two of the next."""

ALL = 3 * 10 + 6
"""For each of 3 blocks those, and 6 originals."""


@pytest.mark.parametrize("step", [*range(1, STEPS + 1), ALL, ALL + 1])
def test_killed_at_each_step_and_run_again(store, filled, problems, step, monkeypatch):
    process = start(store, step)
    output, _ = process.communicate(timeout=60)
    if step > ALL:
        assert (process.returncode, output) == (0, f"{ALL}\n")
    else:
        assert process.returncode == -signal.SIGKILL
    check(store, filled, problems)
    if step < STEPS:
        assert len(list(store.path.glob("profiles/v1/*/*/service=orders/*.pkp"))) == 5
        assert not list(store.path.glob("blocks/v1/*/*/service=orders")), "the hour of the next is untouched"

    list(Compaction(store, grace=NOW, max_profiles=3, on_problem=problems).run())
    check(store, filled, problems)
    assert files(store, ".pkp") == [], "all are compacted"
    assert len(files(store, ".manifest.json")) in {3, 4}

    monkeypatch.setattr(working, "STALE_SECONDS", 0.0)
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    check(store, filled, problems)
    manifests, tables = files(store, ".manifest.json"), files(store, ".parquet")
    assert len(tables) == 7 * len(manifests), "what it left is gone"
    assert files(store, ".pending") == []


def test_leftovers_without_a_mark_are_looked_at_twice(store, filled, problems, monkeypatch):
    list(Compaction(store, grace=timedelta(days=1)).run())
    for path in files(store, ".manifest.json"):
        path.unlink()
    tables = files(store, ".parquet")
    for profile in filled.values():
        store.delete(profile.id)
    list(Compaction(store, on_problem=problems).run())
    assert files(store, ".parquet") == tables, "they may have been listed while they came to be"
    assert len(files(store, ".pending")) == 2
    list(Compaction(store, on_problem=problems).run())
    assert files(store, ".parquet") == tables
    monkeypatch.setattr(working, "STALE_SECONDS", 0.0)
    list(Compaction(store, on_problem=problems).run())
    assert [path for path in store.path.rglob("*") if path.is_file()] == []
    assert problems.found == {}


def test_two_at_once(tmp_path, store, make_profile, problems):
    wanted = {}
    for number in range(60):
        profile = make_profile(start_ns=NOON + number * 10**9, service=f"s{number % 2}")
        store.put(profile)
        wanted[profile.id] = profile
    wanted = dict(sorted(wanted.items()))
    processes = [start(store, 10**9) for _ in range(3)]
    reader = LocalStorage(store.path, create=False)
    while any(process.poll() is None for process in processes):
        check(reader, wanted, problems)
    assert [process.communicate(timeout=60) and process.returncode for process in processes] == [0, 0, 0]
    check(reader, wanted, problems)
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    check(reader, wanted, problems)
    assert files(store, ".pkp") == []
    assert files(store, ".pending") == []


def test_one_reads_all_the_while(store, filled, problems):
    """Readers list, then load what they listed, whatever becomes of it in between."""
    stop = threading.Event()
    rounds, errors = [], []

    def read():
        reader = LocalStorage(store.path, create=False)
        while not stop.is_set():
            try:
                check(reader, wanted, problems)
                rounds.append(1)
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                errors.append(error)
                return

    wanted = dict(filled)
    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(3):
        list(Compaction(store, grace=NOW, max_profiles=2).run())
        # What was compacted is put back beside its block, and compacted again.
        for profile in filled.values():
            store.put(profile)
    stop.set()
    thread.join()
    assert errors == []
    assert len(rounds) > 1


def of_the_first_block(filled):
    (found,) = (id for id, profile in filled.items() if profile.service == "another")
    return found


class Between:
    """Does something once, when an object whose key ends so is about to be written."""

    def __init__(self, store, ending, action):
        self._write = store.objects.write
        self._ending = ending
        self._action = action
        store.objects.write = self

    def __call__(self, key, data):
        if self._action and key.endswith(self._ending):
            action, self._action = self._action, None
            action()
        self._write(key, data)


@pytest.mark.parametrize("moment", [".pending", ".samples.parquet", ".profiles.parquet", ".manifest.json"])
def test_deleted_while_it_is_compacted(store, filled, problems, moment):
    """Whatever the compaction has read by then, what was deleted does not come back."""
    first = of_the_first_block(filled)
    other = LocalStorage(store.path)
    Between(store, moment, lambda: other.delete(first))
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    wanted = {id: profile for id, profile in filled.items() if id != first}
    check(store, wanted, problems)
    with pytest.raises(ProfileNotFound):
        store.load(first)
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    check(store, wanted, problems)


@pytest.mark.parametrize("moment", [".pending", ".samples.parquet", ".manifest.json"])
def test_put_again_while_it_is_compacted(store, filled, problems, moment):
    first = of_the_first_block(filled)
    after = dataclasses.replace(filled[first], wall=77.0)
    same_key = dataclasses.replace(filled[first], tags={"tenant": "other", "retries": 2, "cached": False})
    for profile in (after, same_key):
        LocalStorage(store.path).put(filled[first])
        other = LocalStorage(store.path)
        Between(store, moment, lambda profile=profile, other=other: other.put(profile))
        list(Compaction(store, grace=NOW, on_problem=problems).run())
        check(store, filled | {first: profile}, problems)
        list(Compaction(store, grace=NOW, on_problem=problems).run())
        check(store, filled | {first: profile}, problems)


def test_replaced_before_it_is_read(store, filled, problems):
    """A block's name says what was listed; it must hold nothing else, or two compactions' blocks could differ."""
    first = of_the_first_block(filled)
    longer = dataclasses.replace(filled[first], tags={"tenant": "another name"})
    Between(store, ".pending", lambda: LocalStorage(store.path).put(longer))
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    assert not list(store.path.glob("blocks/v1/*/*/service=another"))
    check(store, filled | {first: longer}, problems)


def test_a_profile_that_reads_back_differently_stays(store, filled, problems, monkeypatch):
    real = making._fingerprint
    seen = []

    def fingerprint(document):
        seen.append(document["id"])
        return real(document) if seen.count(document["id"]) == 1 or document["id"] != first else b"other"

    first = next(iter(filled))
    monkeypatch.setattr(making, "_fingerprint", fingerprint)
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    assert list(problems.found.values()) == ["reads back differently from a block, and is left as it is"]
    problems.found.clear()
    assert len(files(store, ".pkp")) == 1
    check(store, filled, problems)


def test_what_is_foreign_above_the_hours_is_named_once(store, filled, make_profile, problems):
    """However many times the blocks between two hours are looked for."""
    list(Compaction(store, grace=NOW).run())
    for hour in range(1, 4):
        store.put(make_profile(start_ns=NOON + hour * 3600 * 10**9))
    (store.path / "blocks/v1/notes.txt").write_text("mine")
    assert len(list(store.scan(on_problem=problems))) == 9
    assert problems.found == {"blocks/v1/notes.txt": "no date=YYYY-MM-DD directory"}


def test_a_disk_that_is_full_loses_nothing(store, filled, problems):
    def full():
        raise OSError(28, "No space left on device")

    Between(store, ".nodes.parquet", full)
    with pytest.raises(OSError, match="No space"):
        list(Compaction(store, grace=NOW, on_problem=problems).run())
    check(store, filled, problems)
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    check(store, filled, problems)
    assert files(store, ".pkp") == []


def test_without_polars_blocks_are_listed_and_the_error_names_the_extra(store, filled):
    list(Compaction(store, grace=NOW).run())
    script = """
import sys
sys.modules["polars"] = None
from profkit_storage import LocalStorage, StorageError
from profkit_storage.blocks.compaction import Compaction
store = LocalStorage(sys.argv[1], create=False)
entries = list(store.scan())
print(len(entries), store.stats().total.profiles, store.delete(entries[0].id), len(list(store.scan())))
for attempt in (lambda: store.load(entries[1].id), lambda: Compaction(store)):
    try:
        attempt()
    except StorageError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    wanted = "compacted profiles are read and written by Polars: install profkit[analyze]\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"6 6 True 5\n{wanted}{wanted}"


def test_a_fork_after_a_load_loads_too(store, filled):
    list(Compaction(store, grace=NOW).run())
    ids = list(filled)
    assert store.load(ids[0]) == filled[ids[0]]
    script = f"""
import os, sys
from profkit_storage import LocalStorage
store = LocalStorage({str(store.path)!r}, create=False)
store.load({ids[0]!r})
if os.fork() == 0:
    os._exit(0 if store.load_entry(next(store.scan())).id == {ids[0]!r} else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False, timeout=60)
    assert done.returncode == 0


def test_private_to_its_user(store, filled):
    list(Compaction(store, grace=NOW).run())
    for path in store.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_no_link_is_followed_out_of_the_store(tmp_path, store, filled, problems):
    list(Compaction(store, grace=NOW).run())
    outside = tmp_path / "outside"
    (store.path / "blocks").rename(outside)
    (store.path / "blocks").symlink_to(outside)
    before = {path: path.stat().st_mtime_ns for path in outside.rglob("*")}
    first = next(iter(filled))
    with pytest.raises(Exception, match="is a link"):
        list(store.scan(on_problem=problems))
    with pytest.raises(ProfileNotFound):
        store.load(first)
    assert not store.delete(first)
    assert {path: path.stat().st_mtime_ns for path in outside.rglob("*")} == before


def test_time_is_bounded_for_a_busy_hour(store, make_profile):
    """Not a measurement: far from it something is quadratic."""
    for number in range(300):
        store.put(make_profile(start_ns=NOON + number * 10**6))
    begun = time.monotonic()
    list(Compaction(store, grace=NOW).run())
    for entry in store.scan():
        store.load_entry(entry)
    assert time.monotonic() - begun < 20
