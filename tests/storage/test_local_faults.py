import contextlib
import dataclasses
import logging
import os
import stat
from pathlib import Path

import pytest

from profkit_storage import (
    ConfigurationError,
    CorruptProfile,
    LocalStorage,
    ProfileNotFound,
    StorageError,
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


FOREIGN = {
    "profiles/v1/notes.txt": "no date=YYYY-MM-DD directory",
    "profiles/v1/date=2026-02-30": "no date=YYYY-MM-DD directory",
    "profiles/v1/date=2026-03-13": "Not a directory",
    "profiles/v1/date=2026-03-14/readme": "no hour=HH directory",
    "profiles/v1/date=2026-03-14/hour=24": "no hour=HH directory",
    "profiles/v1/date=2026-03-14/hour=14": "Not a directory",
    f"{HOUR}/stray.pkp": "no service=NAME directory",
    f"{HOUR}/service=x": "Not a directory",
    f"{HOUR}/service=orders/README.md": "not named as a profile is",
    f"{HOUR}/service=orders/two\nlines": "not named as a profile is",
}


def test_an_entry_leads_nowhere_else(store, make_profile, tmp_path):
    entry = store.put(make_profile())
    (tmp_path / "outside.pkp").write_bytes((store.path / entry.key).read_bytes())
    for key in ("../outside.pkp", str(tmp_path / "outside.pkp")):
        forged = dataclasses.replace(entry, key=key, id="0" * 26)
        with pytest.raises(ProfileNotFound):
            store.load_entry(forged)


def test_what_is_foreign_is_named_and_left_alone(store, make_profile, scan, problems):
    first = make_profile(id="01KKPEA9M7AKP4SCB84F91771J")  # others with the same time get other last letters
    entries = [store.put(first), store.put(make_profile(start_ns=first.start_ns + 3_600_000_000_000))]
    data = (store.path / entries[0].key).read_bytes()
    expected = dict(FOREIGN)
    for key in FOREIGN:
        plant(store, key)
    cut = entries[0].key.replace(entries[0].id, entries[0].id[:-1] + "Z")
    for name, size, reason in (
        (cut, 0, "0 bytes, too short for a profile"),
        (cut.replace("Z.", "Y."), 28, "28 bytes, too short for a profile"),
    ):
        plant(store, name, data[:size])
        expected[name] = reason
    elsewhere = entries[0].key.replace("hour=15", "hour=17")
    plant(store, elsewhere, data)
    expected[elsewhere] = "not named as a profile is"
    link = cut.replace("Z.", "X.")
    (store.path / link).symlink_to(store.path / entries[0].key)
    (store.path / f"{HOUR}/service=orders/folder").mkdir()
    os.mkfifo(store.path / cut.replace("Z.", "W."))
    for name in (link, f"{HOUR}/service=orders/folder", cut.replace("Z.", "W.")):
        expected[name] = "not a regular file"
    (store.path / ".DS_Store").write_bytes(b"x")
    (store.path / HOUR / ".hidden").write_bytes(b"x")
    before = paths(store)

    assert scan(store) == entries

    assert problems.found == {key.replace("\n", "\\n"): reason for key, reason in expected.items()}
    assert paths(store) == before


def test_an_undecodable_name_is_spelled_out_and_logged(store, make_profile, caplog):
    entry = store.put(make_profile())
    name = os.fsencode(store.path / HOUR) + b"/caf\xe9"
    try:
        os.close(os.open(name, os.O_CREAT))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with caplog.at_level(logging.WARNING, "profkit"):
        assert list(store.scan()) == [entry]
    (record,) = caplog.records
    assert record.getMessage() == rf"not a profile: {HOUR}/caf\udce9: no service=NAME directory"


def test_a_file_too_long_to_be_a_profile(store, make_profile, scan, problems):
    entry = store.put(make_profile())
    os.truncate(store.path / entry.key, 100 * 1024 * 1024)  # a hole: it takes no room
    assert scan(store) == []
    assert problems.found == {entry.key: "104857600 bytes, too long for a profile"}
    with pytest.raises(CorruptProfile, match="too long"):
        store.load(entry.id)


def test_a_profile_under_anothers_name(store, make_profile):
    first, second = store.put(make_profile()), store.put(make_profile())
    (store.path / first.key).write_bytes((store.path / second.key).read_bytes())
    with pytest.raises(CorruptProfile, match=f"holds another profile, {second.id}"):
        store.load(first.id)


def test_files_that_vanish_during_a_scan(store, make_profile, problems):
    hour = 3_600_000_000_000
    start = make_profile().start_ns
    entries = [store.put(make_profile(start_ns=start + i * hour)) for i in range(4)]
    running = store.scan(on_problem=problems)
    assert next(running) == entries[0]
    store.delete(entries[1].id)
    store.delete(entries[2].id)
    assert list(running) == [entries[3]]
    assert problems.found == {}


def test_a_file_that_vanishes_between_listing_and_looking(store, make_profile, problems, monkeypatch):
    first, second = sorted((store.put(make_profile()) for _ in range(2)), key=lambda entry: entry.id)
    real = os.lstat

    def lstat(path):
        if str(path).endswith(second.key):
            store_path = store.path / second.key
            if store_path.is_file():
                store_path.unlink()
        return real(path)

    monkeypatch.setattr(os, "lstat", lstat)
    assert list(store.scan(on_problem=problems)) == [first]
    with pytest.raises(ProfileNotFound):
        store.load(second.id)
    assert problems.found == {}


def test_a_directory_that_may_only_be_read(unprivileged, make_profile, scan, problems):
    root = unprivileged / "store"
    entry = LocalStorage(root).put(make_profile())
    for path in (root, *root.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        reader = LocalStorage(root, create=False)
        assert scan(reader) == [entry]
        assert reader.load(entry.id).id == entry.id
        for attempt in (
            lambda: LocalStorage(root),
            reader.check_writable,
            lambda: reader.put(make_profile()),
            lambda: reader.delete(entry.id),
        ):
            with pytest.raises(StorageError, match=r"cannot be (written|removed): Permission denied"):
                attempt()
        assert scan(reader) == [entry]
        assert problems.found == {}
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(0o700)


def test_directories_that_may_not_be_read(unprivileged, make_profile, scan, problems):
    root = unprivileged / "store"
    store = LocalStorage(root)
    closed, entry = store.put(make_profile(service="a")), store.put(make_profile(service="b"))
    directory = (root / closed.key).parent
    directory.chmod(0)
    try:
        assert scan(store) == [entry]
        assert problems.found == {f"{HOUR}/service=a": "Permission denied"}
        with pytest.raises(StorageError, match="cannot be read: Permission denied"):
            store.load(closed.id)
    finally:
        directory.chmod(0o700)
    (root / closed.key).chmod(0)
    with pytest.raises(StorageError, match="cannot be read: Permission denied") as caught:
        store.load(closed.id)
    assert not isinstance(caught.value, CorruptProfile | ProfileNotFound)
    for path in (root / "profiles/v1", root):
        path.chmod(0)
        try:
            with pytest.raises(StorageError, match=f"{root}: cannot be .*Permission denied"):
                scan(LocalStorage(root, create=False))
        finally:
            path.chmod(0o700)


@pytest.mark.parametrize("below", [False, True])
def test_where_a_file_lies_no_store_can_be(tmp_path, below):
    (tmp_path / "file").write_bytes(b"mine")
    path = tmp_path / "file" / "store" if below else tmp_path / "file"
    expected = (StorageError, "Not a directory") if below else (ConfigurationError, "is no directory")
    with pytest.raises(expected[0], match=expected[1]):
        LocalStorage(path)
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_paths_that_are_none(path):
    with pytest.raises(ConfigurationError, match="must be the path of a directory"):
        LocalStorage(path)


def test_a_name_too_long_for_the_file_system(tmp_path):
    with pytest.raises(StorageError, match="File name too long"):
        LocalStorage(tmp_path / ("x" * 300))


def test_a_reader_makes_nothing(tmp_path, scan):
    with pytest.raises(StorageError, match="missing: no such directory"):
        LocalStorage(tmp_path / "missing", create=False)
    assert scan(LocalStorage(tmp_path, create=False)) == []
    assert list(tmp_path.iterdir()) == []


def test_an_hour_that_is_cleared_while_it_is_written(store, make_profile, monkeypatch):
    real, cleared = Path.replace, []

    def replace(self, target):
        if len(cleared) < 3:
            cleared.append(target.parent)
            target.parent.rmdir()
            with contextlib.suppress(OSError):
                target.parent.parent.rmdir()
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    entry = store.put(make_profile())
    assert len(cleared) == 3
    assert list(store.scan()) == [entry]


@pytest.mark.parametrize("failing", ["fsync", "write", "replace", "directory"])
def test_a_failure_at_any_step_leaves_nothing(store, make_profile, monkeypatch, failing):
    real = os.fsync

    def fail(*args):
        raise OSError(5, "Input/output error")

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (failing == "directory"):
            fail()
        real(descriptor)

    store.delete(store.put(make_profile()).id)
    with monkeypatch.context() as patch:
        if failing in {"fsync", "directory"}:
            patch.setattr(os, "fsync", fsync)
        elif failing == "write":
            patch.setattr(os, "write", fail)
        else:
            patch.setattr(Path, "replace", fail)
        with pytest.raises(StorageError, match="cannot be written: Input/output error"):
            store.put(make_profile())
    assert paths(store) == ["profiles", "profiles/v1"]
    assert list((store.path / "profiles/v1/.incoming").iterdir()) == []
    assert list(store.scan()) == []
