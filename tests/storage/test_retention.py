"""What is let go: for every store the oldest first, and never what is to be kept."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from profkit_storage import ConfigurationError, ProfileNotFound, Status, Trigger
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.matching import KeyFilter
from profkit_storage.retention import Retention, _Pruning, prune

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
NOW = (NOON + timedelta(days=10)).timestamp()
DAY = 86_400.0


def nanoseconds(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.fixture
def put(store, make_profile):
    def run(day, **fields):
        return store.put(make_profile(start_ns=nanoseconds(NOON + timedelta(days=day)), **fields))

    return run


@pytest.fixture
def days(put):
    """Ten profiles, a day apart, the oldest first; the one of the fourth day is the slowest."""
    return [put(day, wall=60.0 if day == 3 else 1.0 + day / 10) for day in range(10)]


def left(store):
    return list(store.scan())


def test_by_age(store, days):
    done = prune(store, Retention(max_age=4.5 * DAY), now=NOW)
    assert left(store) == days[6:]
    assert (done.removed.profiles, done.kept.profiles) == (6, 4)
    assert done.removed.size == sum(entry.size for entry in days[:6])
    assert done.complete
    assert prune(store, Retention(max_age=4.5 * DAY), now=NOW).removed.profiles == 0


def test_by_count_and_bytes(store, days):
    prune(store, Retention(max_count=7), now=NOW)
    assert left(store) == days[3:]
    prune(store, Retention(max_bytes=sum(entry.size for entry in days[6:])), now=NOW)
    assert left(store) == days[6:]
    prune(store, Retention(max_count=100, max_bytes=10**9), now=NOW)
    assert left(store) == days[6:]
    prune(store, Retention(max_bytes=0), now=NOW)
    assert left(store) == []


def test_the_slowest_stay_in_any_case(store, days):
    done = prune(store, Retention(max_age=2 * DAY, max_count=1, keep_slowest=1), now=NOW)
    assert left(store) == [days[3]]
    assert done.kept.profiles == 1


def test_of_a_category_only(store, put):
    entries = [put(day, category="db" if day % 2 else "llm") for day in range(6)]
    prune(store, Retention(max_count=1, category="db"), now=NOW)
    assert left(store) == [entries[0], entries[2], entries[4], entries[5]]


def test_what_was_running_and_what_was_taken_by_hand_goes_last(store, put):
    running = put(0, status=Status.RUNNING, trigger=Trigger.STALLED)
    manual = put(1, trigger=Trigger.MANUAL)
    others = [put(2 + day) for day in range(3)]
    done = prune(store, Retention(max_count=3), now=NOW)
    assert left(store) == [running, manual, others[-1]]
    assert done.removed.profiles == 2
    prune(store, Retention(max_count=1), now=NOW)
    assert left(store) == [manual]
    prune(store, Retention(max_age=DAY), now=NOW)
    assert left(store) == [], "but age takes them all"


def test_a_dry_run_says_the_same_and_removes_nothing(store, put):
    put(0, status=Status.RUNNING, trigger=Trigger.STALLED)
    entries = [put(day) for day in range(1, 5)]
    for retention in (Retention(max_count=2), Retention(max_count=0), Retention(max_age=7.5 * DAY)):
        said = prune(store, retention, now=NOW, dry_run=True)
        assert len(left(store)) == 5
        assert said.removed.profiles + said.kept.profiles == 5
    assert prune(store, Retention(max_count=0), dry_run=True).removed.profiles == 5
    assert prune(store, Retention(max_count=2), now=NOW).removed.profiles == 3
    assert left(store)[-1] == entries[-1]


def test_in_pieces(store, days):
    done = prune(store, Retention(max_age=4.5 * DAY), now=NOW, seconds=0)
    assert not done.complete
    assert left(store) == days[1:]
    goes = 1
    while not done.complete:
        done = prune(store, Retention(max_age=4.5 * DAY), now=NOW, seconds=0)
        goes += 1
    assert left(store) == days[6:]
    assert goes >= 6


def test_what_is_foreign_is_told_of_once_and_left_alone(subject, store, days, problems):
    subject.store.objects.write(days[0].key.replace(days[0].id, "0" * 26), b"x" * 500)
    prune(store, Retention(max_count=0), now=NOW, on_problem=problems)
    assert len(problems.found) == 1
    again = {}
    assert list(store.scan(on_problem=again.__setitem__)) == []
    assert len(again) == 1


def test_damaged_ones_can_go(subject, store, days):
    subject.overwrite(days[0], b"x" * 500)
    prune(store, Retention(max_count=1), now=NOW)
    assert left(store) == days[-1:]


def test_readers_writers_and_another_prune_meanwhile(store, put, days):  # noqa: C901 - each does little
    errors = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            for entry in store.scan():
                try:
                    assert store.load_entry(entry).id == entry.id
                except ProfileNotFound:
                    pass
                except Exception as error:  # noqa: BLE001 - told to the main thread
                    errors.append(error)

    def let_go():
        try:
            for _ in range(10):
                prune(store, Retention(max_age=0.5 * DAY), now=NOW)
        except Exception as error:  # noqa: BLE001 - as above
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (read, let_go, let_go)]
    for thread in threads:
        thread.start()
    new = [put(9.9) for _ in range(40)]
    for thread in threads[1:]:
        thread.join()
    stop.set()
    threads[0].join()
    assert errors == []
    assert left(store) == sorted(new, key=lambda entry: entry.id)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({}, "max_age, max_bytes, max_count"),
        ({"keep_slowest": 3}, "limits nothing"),
        ({"max_age": -1.0}, "max_age=-1.0"),
        ({"max_age": float("nan")}, "max_age=nan"),
        ({"max_count": 1, "keep_slowest": -1}, "keep_slowest=-1"),
    ],
)
def test_what_makes_no_sense_is_refused(limits, named):
    with pytest.raises(ConfigurationError, match=named):
        Retention(**limits)


def test_what_is_compacted_goes_too_and_a_block_of_nothing_else_whole(store, put, subject):
    old = [put(0), put(0.001)]
    mixed = [put(2), put(2.001)]
    new = put(9)
    compact_all(subject.store)
    assert all(entry.key.startswith("blocks/") for entry in left(store))
    said = prune(store, Retention(max_count=2), now=NOW, dry_run=True)
    done = prune(store, Retention(max_count=2), now=NOW)
    assert (said.removed.profiles, done.removed.profiles) == (3, 3)
    assert [entry.id for entry in left(store)] == [mixed[1].id, new.id]
    for gone in (*old, mixed[0]):
        with pytest.raises(ProfileNotFound):
            store.load(gone.id)
    assert store.load(mixed[1].id).id == mixed[1].id


def test_a_block_counts_by_the_room_that_it_takes(store, put, subject):
    for i in range(100):
        put(i / 10_000, wall=1.0 + i)
    put(2)
    originals = sum(entry.size for entry in left(store))
    compact_all(subject.store)
    room = sum(one.size for _, found in hours(subject.store) for one in found)
    assert room < originals * 0.9, "it has saved room"
    assert store.stats().total.size == pytest.approx(room, rel=0.001)
    assert prune(store, Retention(max_bytes=int(room * 1.001)), now=NOW).removed.profiles == 0
    assert prune(store, Retention(max_bytes=room // 2), now=NOW).kept.size <= room // 2


def hours(store):
    return store.objects.hours("blocks/v1", KeyFilter(None), lambda *_: None)


def compact_all(store):
    for _ in range(2):
        list(Compaction(store, grace=timedelta(0)).run())


@pytest.mark.parametrize("limits", [{"max_count": 4}, {"max_bytes": 4_500}])
def test_two_at_once_remove_no_more_than_one(store, days, monkeypatch, limits):
    limited = Retention(**limits)
    survey = _Pruning._survey
    others = []

    def overtaken(self):
        found = survey(self)
        if not others:
            others.append(None)
            others.append(prune(store, limited, now=NOW))
        return found

    monkeypatch.setattr(_Pruning, "_survey", overtaken)
    done = prune(store, limited, now=NOW)
    assert left(store) == days[6:]
    assert (others[1].removed.profiles, others[1].kept.profiles) == (6, 4)
    assert (done.removed.profiles, done.kept.profiles) == (0, 4)


def test_one_that_is_overtaken_in_the_middle_goes_on_from_there(store, put, monkeypatch):
    entries = [put(day / 1000) for day in range(6)] + [put(1 + day) for day in range(6)]
    remove = type(store).delete_entries
    calls = []

    def overtaken(self, leaving):
        calls.append(None)
        if len(calls) == 2:  # the first hour is done: another prune does the rest
            monkeypatch.setattr(type(store), "delete_entries", remove)
            prune(store, Retention(max_count=3), now=NOW)
        return remove(self, leaving)

    monkeypatch.setattr(type(store), "delete_entries", overtaken)
    prune(store, Retention(max_count=3), now=NOW)
    assert left(store) == entries[9:]
