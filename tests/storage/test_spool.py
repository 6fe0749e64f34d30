"""What waits for a store that cannot take it: nothing lost within the bounds, nothing twice."""

import os
import subprocess
import sys
import textwrap
import time

import pytest

from profkit_storage import LocalStorage, MemoryStorage, Status, StorageError, StoreUnavailable, Trigger
from profkit_storage.spool import Spool, spool_directory
from profkit_storage.spooled import FIRST_PAUSE, LONGEST_PAUSE, SpooledStorage

HOUR = 3_600_000_000_000


class Failing(MemoryStorage):
    """A store in memory that fails while `error` is set, and remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.error = None
        self.asked = []

    def put(self, profile):
        self.asked.append(profile.id)
        if self.error is not None:
            raise self.error
        return super().put(profile)

    def put_rollup(self, rollups):
        if self.error is not None:
            raise self.error
        return super().put_rollup(rollups)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@pytest.fixture
def made(make_profile):
    """Profiles an hour apart, the newest first."""
    start = make_profile().start_ns
    return [make_profile(start_ns=start - i * HOUR) for i in range(5)]


def names(spool):
    return sorted(path.name for path in spool.directory.iterdir()) if spool.directory.exists() else []


def files_in(spool):
    return [name for name in names(spool) if not name.startswith(".")]


def test_what_is_kept_is_delivered_the_oldest_first(spool, made):
    sizes = [spool.keep(profile) for profile in made]
    assert (spool.waiting().profiles, spool.waiting().size) == (5, sum(sizes))
    store = Failing()
    assert spool.deliver(store) == 5
    assert store.asked == [profile.id for profile in reversed(made)]
    assert [store.load(profile.id) for profile in made] == made
    assert files_in(spool) == []
    assert spool.waiting().profiles == 0
    assert not spool.dropped


def test_it_is_private(spool, made):
    spool.keep(made[0])
    assert spool.directory.stat().st_mode & 0o777 == 0o700
    (name,) = files_in(spool)
    assert (spool.directory / name).stat().st_mode & 0o777 == 0o600


def test_a_directory_of_somebody_else_is_refused(tmp_path, made):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    for name in ("open", "link", "file"):
        with pytest.raises(StorageError, match="must be a directory of this user"):
            Spool(tmp_path / name).keep(made[0])
    with pytest.raises(StorageError, match="cannot be made: Not a directory"):
        Spool(tmp_path / "file" / "below").keep(made[0])
    if os.geteuid() == 0:
        (tmp_path / "theirs").mkdir(mode=0o700)
        os.chown(tmp_path / "theirs", 65534, 65534)
        with pytest.raises(StorageError, match="must be a directory of this user"):
            Spool(tmp_path / "theirs").keep(made[0])


def test_a_store_that_fails_leaves_all_that_it_did_not_take(spool, made):
    for profile in made:
        spool.keep(profile)
    store = Failing()
    store.error = StorageError("down")
    with pytest.raises(StorageError, match="down"):
        spool.deliver(store)
    assert spool.waiting().profiles == 5
    store.error = None
    assert spool.deliver(store, seconds=0) == 0, "no time"
    assert spool.deliver(store) == 5


class Refusing(MemoryStorage):
    """A store that can be reached, and does not take some profiles."""

    def __init__(self, refused):
        super().__init__()
        self.refused = refused
        self.asked = []

    def put(self, profile):
        self.asked.append(profile.id)
        if profile.id in self.refused:
            raise StorageError("not this one")
        return super().put(profile)


def test_what_a_store_refuses_does_not_keep_the_others(spool, make_profile):
    made = [make_profile() for _ in range(20)]
    for profile in made:
        spool.keep(profile)
    ids = sorted(profile.id for profile in made)
    store = Refusing(set(ids[:15]))
    with pytest.raises(StorageError, match="not this one"):
        spool.deliver(store)
    assert store.asked == ids[:10], "perhaps it takes none"
    assert spool.deliver(store) == 5, "what it has refused comes last"
    assert store.asked[10:15] == ids[10:15]
    assert store.asked[15:20] == ids[15:]
    assert spool.waiting().profiles == 15
    store.refused.clear()
    assert spool.deliver(store) == 15


def test_a_store_that_cannot_be_reached_is_not_asked_again(spool, made):
    for profile in made:
        spool.keep(profile)
    store = Failing()
    store.error = StoreUnavailable("no route")
    with pytest.raises(StoreUnavailable):
        spool.deliver(store)
    assert len(store.asked) == 1


def test_nothing_is_taken_from_a_directory_of_somebody_else(spool, made, tmp_path):
    spool.keep(made[0])
    store = Failing()
    (tmp_path / "link").symlink_to(spool.directory)
    with pytest.raises(StorageError, match="must be a directory of this user"):
        Spool(tmp_path / "link").deliver(store)
    spool.directory.chmod(0o777)
    with pytest.raises(StorageError, match="must be a directory of this user"):
        spool.deliver(store)
    spool.directory.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(spool.directory, 65534, 65534)
        with pytest.raises(StorageError, match="must be a directory of this user"):
            spool.deliver(store)
    assert store.asked == []
    assert spool.waiting().profiles == 1


def test_of_one_id_only_its_last_state_waits(spool, make_profile):
    running = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED)
    last = make_profile(id=running.id)
    spool.keep(running)
    spool.keep(last)
    store = Failing()
    assert spool.deliver(store) == 1
    assert store.load(running.id) == last


def test_a_running_one_that_comes_late_does_not_replace_its_last(spool, make_profile):
    running = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED)
    last = make_profile(id=running.id)
    store = MemoryStorage()
    spool.keep(running)
    store.put(last)
    assert spool.deliver(store) == 1
    assert store.load(last.id) == last


def test_what_is_written_while_it_is_delivered_stays(spool, make_profile):
    running = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED)
    last = make_profile(id=running.id)
    spool.keep(running)

    class Slow(MemoryStorage):
        def put(self, profile):
            if profile.status is Status.RUNNING:
                Spool(spool.directory).keep(last)
            return super().put(profile)

    store = Slow()
    spool.deliver(store)
    spool.deliver(store)
    assert store.load(running.id) == last
    assert files_in(spool) == []


def test_the_oldest_make_room(tmp_path, made):
    size = Spool(tmp_path / "other").keep(made[0])
    spool = Spool(tmp_path / "spool", max_bytes=int(size * 3.5))
    for profile in reversed(made):
        spool.keep(profile)
    assert spool.dropped == {"spool_full": 2}
    assert spool.waiting().size <= spool.max_bytes
    store = Failing()
    assert spool.deliver(store) == 3
    assert store.asked == [made[2].id, made[1].id, made[0].id]
    with pytest.raises(StorageError, match="more than the spool may hold"):
        Spool(tmp_path / "small", max_bytes=100).keep(made[0])


def test_what_is_too_old_goes(spool, made):
    for profile in made[:2]:
        spool.keep(profile)
    old = spool.directory / files_in(spool)[0]
    os.utime(old, (time.time() - 8 * 86_400,) * 2)
    store = Failing()
    assert spool.deliver(store) == 1
    assert spool.dropped == {"spool_expired": 1}
    assert store.asked == [made[0].id]
    assert files_in(spool) == []


def test_a_damaged_file_is_put_aside_and_the_others_delivered(spool, made):
    for profile in made[:3]:
        spool.keep(profile)
    name = files_in(spool)[1]
    (spool.directory / name).write_bytes(b"x" * 500)
    store = Failing()
    assert spool.deliver(store) == 2
    assert spool.dropped == {"spool_damaged": 1}
    assert files_in(spool) == [f"{name}.damaged"]
    assert spool.deliver(store) == 0
    assert spool.waiting().profiles == 0
    spool.max_bytes = int(1.3 * spool.keep(made[3]))
    spool.keep(made[4])
    assert all(made[4].id in name for name in files_in(spool)), "it is the first to make room"


def test_what_is_foreign_is_left_alone(spool, made, tmp_path):
    spool.keep(made[0])
    (spool.directory / "README").write_text("mine")
    (spool.directory / "A.pkp").symlink_to(tmp_path)
    (spool.directory / "B.pkp").mkdir()
    assert spool.deliver(Failing()) == 1
    assert files_in(spool) == ["A.pkp", "B.pkp", "README"]


def test_discarding(spool, made):
    for profile in made[:2]:
        spool.keep(profile)
    assert spool.discard(made[0].id)
    assert not spool.discard(made[0].id)
    assert not spool.discard("")
    assert not spool.discard(made[1].id[:10]), "the beginning of an id is none"
    assert spool.waiting().profiles == 1


def test_an_empty_spool_makes_nothing(spool):
    assert spool.deliver(Failing()) == 0
    assert spool.waiting().profiles == 0
    assert not spool.directory.exists()


def test_each_store_has_its_own(tmp_path):
    first, second = spool_directory("s3://a"), spool_directory("s3://b")
    assert first != second
    assert first.parent == second.parent
    assert spool_directory("s3://a", tmp_path).parent == tmp_path


PROCESS = """
import sys, time
from pathlib import Path
from profkit_storage import LocalStorage
from profkit_storage.spool import Spool

spool, store = Spool(Path(sys.argv[1])), LocalStorage(sys.argv[2])
print(flush=True)
sys.stdin.readline()
for _ in range(400):
    spool.deliver(store, seconds=0.02)
    if not spool.waiting().profiles:
        break
    time.sleep(0.005)
"""


def process(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROCESS), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_two_processes_on_one_spool_lose_none(spool, make_profile, tmp_path):
    made = [make_profile() for _ in range(60)]
    for profile in made:
        spool.keep(profile)
    both = [process(spool.directory, tmp_path / "store") for _ in range(2)]
    for one in both:
        one.stdout.readline()
    for one in both:
        one.communicate(b"\n", timeout=60)
        assert one.returncode == 0
    store = LocalStorage(tmp_path / "store")
    assert sorted(entry.id for entry in store.scan()) == sorted(profile.id for profile in made)
    assert files_in(spool) == []


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2])
def test_a_deliverer_that_is_killed_loses_none(spool, make_profile, tmp_path, after):
    made = [make_profile() for _ in range(60)]
    for profile in made:
        spool.keep(profile)
    one = process(spool.directory, tmp_path / "store")
    one.stdout.readline()
    one.stdin.write(b"\n")
    one.stdin.flush()
    time.sleep(after)
    one.kill()
    one.wait()
    one.stdin.close()
    one.stdout.close()
    store = LocalStorage(tmp_path / "store")
    spool.deliver(store, seconds=30)
    assert sorted(entry.id for entry in store.scan()) == sorted(profile.id for profile in made)
    assert files_in(spool) == []


# The store with a spool behind it


@pytest.fixture
def store():
    return Failing()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spooled(store, spool, clock):
    found = SpooledStorage(
        store, spool, on_failure=lambda error: found.errors.append(str(error)), clock=clock
    )
    found.errors = []
    return found


def test_a_store_that_works_is_used(spooled, store, made, spool):
    entry = spooled.put(made[0])
    assert entry == next(store.scan())
    assert spooled.load(entry.id) == made[0]
    assert list(spooled.scan()) == [entry]
    assert not spool.directory.exists()


def test_a_store_that_fails_is_left_alone_for_a_while(spooled, store, spool, made, clock):
    store.error = StorageError("down")
    for profile in made:
        assert spooled.put(profile).id == profile.id
    assert store.asked == [made[0].id], "only once"
    assert spooled.errors == ["down"]
    assert spool.waiting().profiles == 5
    pauses = []
    for _ in range(8):
        pauses.append(spooled.seconds_left())
        clock.now += pauses[-1]
        spooled.deliver()
    assert 0.8 * FIRST_PAUSE <= pauses[0] <= 1.2 * FIRST_PAUSE
    assert pauses == sorted(pauses) or max(pauses) <= 1.2 * LONGEST_PAUSE
    assert 0.8 * LONGEST_PAUSE <= pauses[-1] <= 1.2 * LONGEST_PAUSE
    store.error = None
    clock.now += spooled.seconds_left()
    spooled.deliver()
    assert spooled.delivered == 5
    assert spooled.seconds_left() is None
    assert sorted(entry.id for entry in store.scan()) == sorted(profile.id for profile in made)


def test_what_an_earlier_process_left_is_delivered_first_of_all(spooled, store, spool, made):
    spool.keep(made[0])
    assert spooled.seconds_left() == 0
    spooled.deliver()
    assert store.asked == [made[0].id]
    assert spooled.seconds_left() is None


def test_what_other_processes_left_is_looked_for_now_and_then(spooled, store, spool, made, clock):
    spooled.deliver()
    Spool(spool.directory).keep(made[0])
    spooled.put(made[1])
    assert spooled.seconds_left() is None
    clock.now += 61
    spooled.put(made[2])
    assert spooled.seconds_left() == 0
    spooled.deliver()
    assert store.asked[-1] == made[0].id


def test_a_store_that_is_back_is_told_of_at_the_next_put(spooled, store, made, clock, spool):
    store.error = OSError("no route")
    spooled.put(made[0])
    store.error = None
    clock.now += 10 * FIRST_PAUSE
    spooled.put(made[1])
    assert spooled.seconds_left() == 0
    spooled.deliver()
    assert spool.waiting().profiles == 0


def test_neither_store_nor_spool(spooled, store, made, spool):
    store.error = StorageError("down")
    spool.max_bytes = 10
    with pytest.raises(StorageError, match=r"down; and .* more than the spool may hold"):
        spooled.put(made[0])
    store.error = None
    spooled.put(made[0])
    assert store.load(made[0].id) == made[0], "asked at once: there is nowhere else"


def test_what_it_does_not_take_is_no_reason_to_leave_a_store_alone(spool, made, clock):
    store = Refusing({made[4].id})
    spool.keep(made[4])
    errors = []
    spooled = SpooledStorage(store, spool, on_failure=errors.append, clock=clock)
    spooled.deliver()
    for profile in made[:4]:
        spooled.put(profile)
        assert store.load(profile.id) == profile
    pauses = []
    for _ in range(8):
        pauses.append(spooled.seconds_left())
        clock.now += pauses[-1]
        spooled.deliver()
    assert max(pauses) > LONGEST_PAUSE * 0.8 > 0.8 * FIRST_PAUSE
    assert len(errors) == 9
    store.refused.clear()
    clock.now += spooled.seconds_left()
    spooled.deliver()
    assert (spooled.delivered, spooled.seconds_left()) == (1, None)


def test_no_more_time(spooled, store, spool, made):
    spooled.stop_asking()
    spooled.put(made[0])
    assert store.asked == []
    assert spool.waiting().profiles == 1


def test_deleting_from_both(spooled, store, spool, made):
    spooled.put(made[0])
    spool.keep(made[1])
    assert spooled.delete(made[0].id)
    assert spooled.delete(made[1].id)
    assert not spooled.delete(made[2].id)
    assert spool.waiting().profiles == 0
