import os
import pickle
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from profkit_storage import (
    LocalStorage,
    Status,
    StorageError,
    Trigger,
)

HOUR = "profiles/v1/date=2026-03-14/hour=15"


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path / "store")


def paths(store):
    """Everything below the store but its staging directory, relative to it."""
    found = sorted(str(path.relative_to(store.path)) for path in store.path.rglob("*"))
    return [path for path in found if not path.endswith("/.incoming")]


def plant(store, key, data=b"x" * 500):
    path = store.path / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_files_lie_where_their_key_says_and_are_private(store, make_profile):
    entry = store.put(make_profile(service="a/b"))
    path = store.path / entry.key
    assert path.stat().st_size == entry.size
    assert paths(store)[-1] == entry.key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    while path != store.path.parent:
        path = path.parent
        if path != store.path.parent:
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def test_an_existing_directory_keeps_its_permissions(tmp_path):
    tmp_path.chmod(0o755)
    LocalStorage(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_nothing_but_the_profile_is_left(store, make_profile):
    entry = store.put(make_profile())
    files = [path for path in store.path.rglob("*") if path.is_file()]
    assert files == [store.path / entry.key]


def test_replacing_removes_the_earlier_file_even_of_another_service(store, make_profile):
    first = store.put(make_profile(service="a", status=Status.RUNNING, trigger=Trigger.STALLED))
    second = store.put(make_profile(id=first.id, service="b"))
    assert [path for path in paths(store) if path.endswith(".pkp")] == [second.key]
    assert f"{HOUR}/service=a" not in paths(store), "an empty directory goes too"


def test_of_two_files_of_one_id_the_finished_one_counts(store, make_profile, scan, problems):
    done = store.put(make_profile())
    done_data = (store.path / done.key).read_bytes()
    running = store.put(make_profile(id=done.id, status=Status.RUNNING, wall=9.0))
    plant(store, done.key, done_data)
    old = time.time() - 60
    os.utime(store.path / done.key, (old, old))

    assert scan(store) == [done], "although the running one is newer"
    assert store.load(done.id).status is Status.OK
    assert store.delete(done.id) is True
    assert scan(store) == []
    assert not (store.path / running.key).exists(), "delete takes both"
    assert problems.found == {}


@pytest.mark.parametrize("how", ["scan", "load", "stats"])
def test_one_that_is_replaced_while_it_is_looked_for_is_found(store, make_profile, monkeypatch, how):
    running = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED)
    last = make_profile(id=running.id)
    entry = store.put(running)
    lstat = os.lstat

    def overtaken(path, **options):
        if os.fspath(path).endswith(entry.key):
            monkeypatch.setattr(os, "lstat", lstat)
            store.put(last)
        return lstat(path, **options)

    monkeypatch.setattr(os, "lstat", overtaken)
    looks = {
        "scan": lambda: [one.status for one in store.scan()] == [Status.OK],
        "load": lambda: store.load(last.id) == last,
        "stats": lambda: store.stats().total.profiles == 1,
    }
    assert looks[how]()


def test_delete_clears_empty_directories_and_no_others(store, make_profile):
    first, second = store.put(make_profile(service="a")), store.put(make_profile(service="b"))
    store.delete(first.id)
    assert f"{HOUR}/service=a" not in paths(store)
    assert second.key in paths(store)
    store.delete(second.id)
    assert paths(store) == ["profiles", "profiles/v1"]


def test_a_store_without_its_directories_is_written_again(store, make_profile, scan):
    for path in sorted(store.path.rglob("*"), reverse=True):
        path.rmdir()
    store.path.rmdir()
    with pytest.raises(StorageError, match="no such directory"):
        scan(store)
    entry = store.put(make_profile())
    assert scan(store) == [entry]


def test_a_scan_opens_no_file_and_prunes_by_time_and_service(store, make_profile, scan, monkeypatch):
    hour = 3_600_000_000_000
    start = make_profile().start_ns
    entries = [store.put(make_profile(start_ns=start + i * hour, service=f"s{i % 2}")) for i in range(30)]
    listed, real = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(str(path)) or real(path))
    monkeypatch.setattr(Path, "open", None)
    monkeypatch.setattr("builtins.open", None)

    since = moment(start + 10 * hour)
    assert scan(store, since=since, until=moment(start + 11 * hour), service="s0") == [entries[10]]

    v1 = store.path / "profiles/v1"
    day = v1 / "date=2026-03-15"
    assert [path for path in map(Path, listed) if "blocks" not in path.parts] == [
        v1,
        day,
        day / "hour=01",
        day / "hour=01/service=s0",
        day / "hour=02",
    ]


def moment(nanoseconds):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)


def test_memory_of_a_scan_is_an_hours(store, make_profile):
    hour = 3_600_000_000_000
    start = make_profile().start_ns
    for i in range(3):
        store.put(make_profile(start_ns=start + i * hour))
    running = store.scan()
    next(running)
    later = store.put(make_profile(start_ns=start + 2 * hour))
    assert later in list(running), "an hour is listed when its turn comes"


def test_a_store_can_be_sent_to_another_process(store, make_profile):
    entry = store.put(make_profile())
    assert list(pickle.loads(pickle.dumps(store)).scan()) == [entry]


def test_a_relative_path_stays_where_it_was(tmp_path, make_profile, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LocalStorage("here/store")
    monkeypatch.chdir("/")
    entry = store.put(make_profile())
    assert (tmp_path / "here/store" / entry.key).is_file()


def test_stale_temporary_files_are_swept_and_young_ones_kept(store, make_profile, scan, problems):
    incoming = store.path / "profiles/v1/.incoming"
    for name, age in (("old", 3700), ("young", 3000)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (time.time() - age,) * 2)

    LocalStorage(store.path, create=False)
    assert {path.name for path in incoming.iterdir()} == {"old", "young"}, "a reader removes nothing"
    LocalStorage(store.path)
    assert {path.name for path in incoming.iterdir()} == {"young"}

    os.utime(incoming / "young", (time.time() - 3700,) * 2)
    store.put(make_profile())
    assert {path.name for path in incoming.iterdir()} == {"young"}, "looked at once an hour"
    store.objects._swept -= 3600
    store.put(make_profile())
    assert list(incoming.iterdir()) == []
    assert len(scan(store)) == 2
    assert problems.found == {}
