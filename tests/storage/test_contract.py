"""What every store does; run once for each in conftest's SUBJECTS."""

import dataclasses
import logging
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from profkit_storage import (
    ConfigurationError,
    CorruptProfile,
    ProfileEntry,
    ProfileNotFound,
    ProfileQuery,
    Status,
    StorageError,
    Trigger,
    open_storage,
)
from profkit_storage.ulid import new_ulid

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def nanoseconds(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.fixture
def put(store, make_profile):
    def run(moment=NOON, **fields):
        return store.put(make_profile(start_ns=nanoseconds(moment), **fields))

    return run


def test_what_is_put_is_loaded_and_listed(store, make_profile, scan, problems):
    profile = make_profile(wall=2.0004, service="orders", operation="agent.route", category="agent")

    entry = store.put(profile)

    assert store.load(profile.id) == profile
    assert scan(store) == [entry]
    assert entry == ProfileEntry(
        id=profile.id,
        operation="agent.route",
        category="agent",
        service="orders",
        start_ns=profile.start_ns // 1_000_000 * 1_000_000,
        wall=2.0,
        status=Status.OK,
        trigger=Trigger.SLOW,
        key=entry.key,
        size=entry.size,
    )
    assert entry.size > 100
    assert problems.found == {}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("trigger", Trigger)
def test_status_and_trigger_are_listed(store, make_profile, scan, status, trigger):
    store.put(make_profile(status=status, trigger=trigger))
    (entry,) = scan(store)
    assert (entry.status, entry.trigger) == (status, trigger)


def test_an_empty_store(store, scan):
    assert scan(store) == []
    with pytest.raises(ProfileNotFound, match="no profile"):
        store.load(new_ulid(0))
    assert store.delete(new_ulid(0)) is False


@pytest.mark.parametrize("id", ["", "x", "../../etc/passwd", "0" * 25 + "u", "7" + "Z" * 25, "8" + "0" * 25])
def test_an_id_that_is_none(store, id):
    with pytest.raises(ProfileNotFound):
        store.load(id)
    assert store.delete(id) is False


def test_order_of_time_across_services_hours_and_days(put, store, scan):
    minutes = [0, 3 * 24 * 60, 61, 5, 59, 60, -1, 24 * 60, 1]
    put_ids = {
        minute: put(NOON + timedelta(minutes=minute), service=f"s{i % 3}").id
        for i, minute in enumerate(minutes)
    }
    assert [entry.id for entry in scan(store)] == [put_ids[minute] for minute in sorted(minutes)]


def test_one_millisecond_is_ordered_by_id(put, store, scan):
    ids = [put().id for _ in range(20)]
    assert [entry.id for entry in scan(store)] == sorted(ids)


def test_since_is_inclusive_and_until_exclusive(put, store, scan):
    moments = [NOON + timedelta(milliseconds=step) for step in (-1, 0, 1, 3_599_999, 3_600_000, 3_600_001)]
    ids = [put(moment).id for moment in moments]

    assert [entry.id for entry in scan(store, since=NOON)] == ids[1:]
    assert [entry.id for entry in scan(store, until=NOON)] == ids[:1]
    assert [entry.id for entry in scan(store, since=NOON, until=moments[4])] == ids[1:4]
    assert scan(store, since=NOON, until=NOON) == []


def test_zones_and_none(put, store, scan):
    entry = put(NOON)
    east = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    for since in (east, NOON.replace(tzinfo=None)):
        assert scan(store, since=since, until=since + timedelta(seconds=1)) == [entry]
    assert scan(store, since=datetime.min, until=datetime.max) == [entry]  # noqa: DTZ901 - the extremes are meant


def test_names_are_matched_whole(put, store, scan):
    long = "a.very.long.name/" * 20
    entries = {
        name: put(service=name, operation=name, category=name)
        for name in ("a", "A", "aa", long + "1", long + "2", "")
    }
    for name, entry in entries.items():
        for field in ("service", "operation", "category"):
            assert scan(store, **{field: name}) == [entry], (field, name)
    assert scan(store, service="b") == []
    assert scan(store, service="a", operation="aa") == []


def test_durations(put, store, scan):
    entries = [
        put(NOON + timedelta(seconds=i), wall=wall) for i, wall in enumerate((0.9996, 1.0, 1.0004, 2.5))
    ]
    assert scan(store, min_duration=2.5) == entries[3:]
    assert scan(store, min_duration=1.1) == entries[3:]
    assert scan(store, min_duration=1.0004) == entries, "a duration is known to the millisecond"
    assert scan(store, min_duration=0) == entries


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"min_duration": -1.0}, "min_duration -1.0"),
        ({"min_duration": float("nan")}, "min_duration nan"),
        ({"since": NOON, "until": NOON - timedelta(days=1)}, "2026-03-14 12:00:00"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_at_once(store, scan, query, named):
    with pytest.raises(ConfigurationError, match=named):
        scan(store, **query)


def test_delete(put, store, scan):
    first, second = put(), put()
    assert store.delete(first.id) is True
    assert scan(store) == [second]
    assert store.delete(first.id) is False
    with pytest.raises(ProfileNotFound, match=first.id):
        store.load(first.id)


def test_the_same_id_again_replaces_it(put, store, make_profile, scan, problems):
    entry = put(status=Status.RUNNING, trigger=Trigger.STALLED, wall=3.0)
    after = make_profile(id=entry.id, start_ns=nanoseconds(NOON), wall=9.0)

    replacing = store.put(after)

    assert scan(store) == [replacing]
    assert replacing.key != entry.key
    assert store.load(entry.id) == after
    assert store.delete(entry.id) is True
    assert scan(store) == []
    assert problems.found == {}


def test_what_cannot_be_encoded_leaves_nothing(store, make_profile, scan):
    with pytest.raises(StorageError, match=r"tags\.what is a object"):
        store.put(make_profile(tags={"what": object()}))
    with pytest.raises(StorageError, match="must be a ULID"):
        store.put(make_profile(id="nonsense"))
    assert scan(store) == []


def test_loading_by_entry(subject, store, make_profile):
    profile = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED)
    entry, other = store.put(profile), store.put(make_profile())
    assert store.load_entry(entry) == profile

    after = make_profile(id=profile.id)
    replacing = store.put(after)
    assert store.load_entry(entry) == after, "an entry from before still finds it"
    subject.overwrite(replacing, b"x" * 500)
    with pytest.raises(CorruptProfile):
        store.load_entry(replacing)
    store.delete(other.id)
    with pytest.raises(ProfileNotFound):
        store.load_entry(other)


@pytest.mark.parametrize("workers", [None, 1, 5])
def test_many_are_loaded_in_order(subject, put, store, scan, problems, workers):
    ids = [put(NOON + timedelta(seconds=step)).id for step in range(30)]
    entries = scan(store)
    subject.overwrite(entries[7], b"x" * 500)
    store.delete(ids[20])

    loaded = list(store.load_many(entries, workers=workers, on_problem=problems))

    assert [entry for entry, _ in loaded] == entries[:7] + entries[8:20] + entries[21:]
    assert all(profile.id == entry.id for entry, profile in loaded)
    assert set(problems.found) == {entries[7].key, entries[20].key}
    assert problems.found[entries[20].key] == "gone since it was listed"


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_whoever_loads_many_may_stop(put, store, scan, workers):
    ids = [put(NOON + timedelta(seconds=step)).id for step in range(60)]
    begun = []

    def entries():
        for entry in scan(store):
            begun.append(entry.id)
            yield entry

    loading = store.load_many(entries(), workers=workers)
    assert begun == []
    assert next(loading)[1].id == ids[0]
    assert len(begun) <= 2 * (workers or store.parallel_loads)
    loading.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("profkit-load")]


@pytest.mark.parametrize("workers", [0, -1, 65, 2.5, True, "4"])
def test_workers_that_are_refused_at_once(store, workers):
    with pytest.raises(ConfigurationError, match="must be a whole number from 1 to 64"):
        store.load_many([], workers=workers)


def test_a_running_one_never_replaces_its_last(put, store, make_profile, scan):
    entry = put(wall=9.0)
    late = make_profile(
        id=entry.id, start_ns=nanoseconds(NOON), status=Status.RUNNING, trigger=Trigger.STALLED
    )
    assert store.put(late) == entry
    assert scan(store) == [entry]
    assert store.load(entry.id).status is Status.OK


def test_partitions_are_hours_that_share_nothing(put, store, scan):
    minutes = [-61, 0, 1, 59, 60, 121, 122]
    for minute in minutes:
        put(NOON + timedelta(minutes=minute), service=f"s{minute % 2}")
    for query in (
        {},
        {"since": NOON + timedelta(seconds=30)},
        {"service": "s1"},
        {"until": NOON + timedelta(minutes=122)},
    ):
        parts = list(store.partitions(ProfileQuery(**query)))
        found = [scan(store, **dataclasses.asdict(part.query)) for part in parts]
        assert [entry for part in found for entry in part] == scan(store, **query)
        assert [part.profiles for part in parts] == [len(part) for part in found]
        assert [part.size for part in parts] == [sum(entry.size for entry in part) for part in found]
        assert all(part.query.until - part.query.since <= timedelta(hours=1) for part in parts)
    assert [part.profiles for part in store.partitions()] == [1, 3, 1, 2]
    assert list(store.partitions(ProfileQuery(service="none"))) == []


def test_stats_count_by_day_and_category(put, store):
    entries = [put(category="db"), put(category="llm"), put(NOON + timedelta(days=1), category="db")]
    stats = store.stats()
    assert (stats.total.profiles, stats.total.size) == (3, sum(entry.size for entry in entries))
    assert {day: amount.profiles for day, amount in stats.days.items()} == {
        NOON.date(): 2,
        NOON.date() + timedelta(days=1): 1,
    }
    assert {name: amount.profiles for name, amount in stats.categories.items()} == {"db": 2, "llm": 1}
    assert stats.problems == {}
    assert store.stats(ProfileQuery(category="llm")).total.profiles == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "empty", "foreign"])
def test_damage_is_named_and_removable(subject, put, make_profile, damage):
    entry, other = put(), put()
    data = subject.read(entry)
    subject.overwrite(
        entry,
        {
            "cut": data[:-1],
            "flipped": data[:200] + bytes([data[200] ^ 1]) + data[201:],
            "longer": data + b"\0",
            "empty": b"",
            "foreign": b"x" * 500,
        }[damage],
    )
    with pytest.raises(CorruptProfile) as caught:
        subject.store.load(entry.id)
    assert caught.value.key == entry.key
    assert subject.store.load(other.id).id == other.id
    assert subject.store.delete(entry.id) is True


def test_many_threads(store, make_profile, scan):
    profiles = [make_profile(service=f"s{i % 2}") for i in range(80)]
    errors = []

    def work(part):
        try:
            for profile in part:
                store.put(profile)
                assert store.load(profile.id) == profile
                list(store.scan(on_problem=lambda key, reason: errors.append((key, reason))))
        except Exception as error:  # noqa: BLE001 - told to the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(profiles[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [entry.id for entry in scan(store)] == sorted(profile.id for profile in profiles)


def test_its_address_opens_it_again(put, store):
    entry = put()
    with open_storage(store.url, create=False) as again:
        assert again.load(entry.id).id == entry.id


def test_check_writable_leaves_nothing_to_see(store, scan, problems):
    store.check_writable()
    assert scan(store) == []
    assert problems.found == {}


def test_nothing_is_logged_for_a_clean_store(put, store, caplog):
    put()
    with caplog.at_level(logging.DEBUG, "profkit"):
        assert len(list(store.scan())) == 1
    assert caplog.records == []
