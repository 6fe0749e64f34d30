"""Links in a store, and a write that fails where a profile was."""

import os
import stat
import tracemalloc

import pytest

from profkit_storage import LocalStorage, ProfileNotFound, StorageError


@pytest.fixture
def store(tmp_path):
    return LocalStorage(tmp_path / "store")


@pytest.fixture
def linked(store, make_profile, tmp_path):
    """`linked("hour=")`: a profile's entry, and the path of its file, now outside behind a link in the store."""

    def run(level):
        entry = store.put(make_profile())
        parts = entry.key.split("/")
        depth = next(index for index, part in enumerate(parts) if part.startswith(level)) + 1
        inside, outside = store.path.joinpath(*parts[:depth]), tmp_path / "outside"
        inside.rename(outside)
        inside.symlink_to(outside)
        return entry, outside.joinpath(*parts[depth:]), "/".join(parts[:depth])

    return run


LEVELS = ["service=", "hour=", "date=", "v1", "profiles"]


@pytest.mark.parametrize("level", LEVELS[:3])
def test_a_linked_directory_is_a_problem_and_not_followed(store, linked, scan, problems, level):
    _, outside, key = linked(level)
    assert scan(store) == []
    assert problems.found == {key: "a link, not a directory"}
    assert outside.is_file()


@pytest.mark.parametrize("level", LEVELS[3:])
def test_a_linked_layout_is_refused(store, linked, scan, level):
    _, outside, key = linked(level)
    with pytest.raises(StorageError, match=f"{key}: is a link, not a directory"):
        scan(store)
    assert outside.is_file()


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_behind_a_link_is_loaded_or_deleted(store, linked, level):
    entry, outside, _ = linked(level)
    with pytest.raises(ProfileNotFound):
        store.load(entry.id)
    with pytest.raises(ProfileNotFound):
        store.load_entry(entry)
    assert store.delete(entry.id) is False
    assert outside.is_file()


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_written_behind_a_link(store, linked, make_profile, level):
    entry, outside, key = linked(level)
    before = outside.read_bytes()
    with pytest.raises(StorageError, match=f"{key}: is a link, not a directory"):
        store.put(make_profile(id=entry.id, wall=3.0))
    assert outside.read_bytes() == before
    assert list(outside.parent.iterdir()) == [outside]


@pytest.mark.parametrize("dangling", [False, True])
def test_the_incoming_directory_is_no_link_either(store, make_profile, tmp_path, dangling):
    (store.path / "profiles/v1/.incoming").rmdir()
    if not dangling:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside/old").write_bytes(b"mine")
        os.utime(tmp_path / "outside/old", (0, 0))
    (store.path / "profiles/v1/.incoming").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match=r"\.incoming: is a link, not a directory"):
        store.put(make_profile())
    with pytest.raises(StorageError, match=r"\.incoming: is a link, not a directory"):
        LocalStorage(store.path)
    assert (tmp_path / "outside").exists() is not dangling
    assert dangling or (tmp_path / "outside/old").exists()


def test_a_link_in_a_files_place_is_not_read(store, make_profile, tmp_path):
    entry = store.put(make_profile())
    (store.path / entry.key).rename(tmp_path / "outside.pkp")
    (store.path / entry.key).symlink_to(tmp_path / "outside.pkp")
    with pytest.raises(ProfileNotFound):
        store.load_entry(entry)


def test_a_fifo_in_a_files_place_does_not_block(store, make_profile):
    entry = store.put(make_profile())
    (store.path / entry.key).unlink()
    os.mkfifo(store.path / entry.key)
    with pytest.raises(ProfileNotFound):
        store.load_entry(entry)


def test_the_root_and_what_is_above_it_may_be_links(tmp_path, make_profile, scan, problems):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for path in (tmp_path / "link", tmp_path / "link/below"):
        store = LocalStorage(path)
        entry = store.put(make_profile())
        assert scan(store) == [entry]
        assert store.load(entry.id).id == entry.id
        assert store.delete(entry.id) is True
    assert problems.found == {}


def test_a_failed_write_leaves_what_was_there(store, make_profile, monkeypatch):
    profile = make_profile()
    entry = store.put(profile)
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StorageError, match="Input/output error"):
            store.put(profile)
    assert list(store.scan()) == [entry]
    assert store.load(profile.id) == profile


def test_reading_a_small_file_takes_little_memory(store, make_profile):
    entry = store.put(make_profile())
    tracemalloc.start()
    try:
        store.load(entry.id)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_a_file_that_grew_since_it_was_listed(store, make_profile):
    first = make_profile()
    entry = store.put(first)
    larger = make_profile(id=first.id, tags={"note": "".join(map(chr, range(500, 3000)))})
    assert store.put(larger).key == entry.key
    assert store.load_entry(entry) == larger


def test_a_directory_that_cannot_be_written_says_what_to_do(unprivileged):
    unprivileged.chmod(0o500)
    try:
        with pytest.raises(StorageError) as caught:
            LocalStorage(unprivileged / "store")
    finally:
        unprivileged.chmod(0o700)
    message = str(caught.value)
    assert message == (
        f"{unprivileged}/store: cannot be written: Permission denied: let this process's user write there,"
        " or name another directory"
    )
