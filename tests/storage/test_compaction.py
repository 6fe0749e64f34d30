"""What is compacted is found, loaded, deleted and counted as before; run for memory and local stores alike."""

import dataclasses
import io
import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profkit_storage import (
    Branch,
    ChildOperation,
    ConfigurationError,
    CorruptProfile,
    Enclosing,
    Frame,
    Histogram,
    MemoryStorage,
    Node,
    Origin,
    ProfileNotFound,
    ProfileQuery,
    Rollup,
    RollupSet,
    Sample,
    Sampling,
    State,
    Status,
    Trigger,
)
from profkit_storage.blocks import bounds, reading, working
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.blocks.layout import grouped
from profkit_storage.blocks.making import BlockMaker
from profkit_storage.blocks.manifest import digest, from_bytes
from profkit_storage.codec import encode
from profkit_storage.keys import profile_key
from profkit_storage.matching import KeyFilter
from profkit_storage.object_storage import ObjectStorage
from profkit_storage.ulid import new_ulid

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
NOW = timedelta(0)


def nanoseconds(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.fixture
def put(store, make_profile):
    """`put(minutes after noon, **fields)` -> the profile, which is in the store."""

    def run(minute=0, **fields):
        profile = make_profile(start_ns=nanoseconds(NOON + timedelta(minutes=minute)), **fields)
        store.put(profile)
        return profile

    return run


@pytest.fixture
def compact(store, problems):
    def run(*, grace=NOW, **options):
        return list(Compaction(store, grace=grace, on_problem=problems, **options).run())

    return run


def keys(store, layout=""):
    return sorted(
        one.key
        for top in ("profiles/v1", "rollups/v1", "blocks/v1")
        if top.startswith(layout)
        for _, objects in store.objects.hours(top, KeyFilter(None), lambda *_: None)
        for one in objects
    )


def told(entry):
    """What an entry says, but for where it is, and the room it takes there."""
    return dataclasses.replace(entry, key="", size=0)


def parts(store):
    return [(part.query, part.profiles) for part in store.partitions()]


def test_everything_is_as_before(store, put, compact, scan, problems):
    profiles = [put(i * 7, service=f"s{i % 3}", operation=f"op{i % 4}", wall=1.0 + i) for i in range(20)]
    before = scan(store)
    partitions, stats = parts(store), store.stats()

    done = compact()

    assert sum(hour.profiles for hour in done) == sum(hour.removed for hour in done) == 20
    assert keys(store, "profiles") == []
    after = scan(store)
    assert [told(entry) for entry in after] == [told(entry) for entry in before]
    for entry, profile in zip(after, profiles, strict=True):
        assert store.load(entry.id) == store.load_entry(entry) == profile
    assert store.load_entry(before[0]) == profiles[0], "an entry from before still finds it"
    assert parts(store) == partitions
    assert list(store.stats().days) == list(stats.days)
    assert store.stats().total.profiles == stats.total.profiles
    assert compact() == []
    assert problems.found == {}


QUERIES = [
    {"service": "s1"},
    {"operation": "op2"},
    {"category": "none"},
    {"min_duration": 9.0},
    {"since": NOON + timedelta(minutes=30)},
    {"until": NOON + timedelta(minutes=61)},
    {"since": NOON + timedelta(minutes=61), "until": NOON + timedelta(minutes=100), "service": "s0"},
]


def test_queries_take_the_same(store, put, compact, scan):
    def found():
        return [[told(entry) for entry in scan(store, **query)] for query in QUERIES]

    for i in range(20):
        put(i * 7, service=f"s{i % 3}", operation=f"op{i % 4}", wall=1.0 + i)
    before = found()
    assert [len(entries) for entries in before] == [7, 5, 0, 12, 15, 9, 2]
    compact(until=NOON + timedelta(hours=1))
    assert keys(store, "profiles") != [], "half of it is compacted"
    assert found() == before
    compact()
    assert found() == before


def test_originals_stay_for_the_grace_period(store, put, compact, scan):
    profiles = [put(), put()]
    (done,) = compact(grace=timedelta(hours=1))
    assert (done.profiles, done.blocks, done.removed, done.waiting) == (2, 1, 0, 2)
    assert len(keys(store, "profiles")) == 2
    assert len(scan(store)) == 2, "each once"
    (done,) = compact(grace=timedelta(hours=1))
    assert (done.blocks, done.waiting) == (0, 2)
    (done,) = compact()
    assert (done.blocks, done.removed, done.waiting) == (0, 2, 0)
    assert keys(store, "profiles") == []
    assert [store.load(entry.id) for entry in scan(store)] == sorted(profiles, key=lambda one: one.id)


def test_hours_that_are_compacted_while_they_are_listed(store, put, compact, problems):
    profiles = [put(minute) for minute in (0, 1, 60, 120, 121, 300)]
    listing = store.scan(on_problem=problems)
    found = [next(listing)]
    compact(until=NOON + timedelta(hours=2))
    found += itertools.islice(listing, 2)
    compact()
    found += listing
    assert [entry.id for entry in found] == [one.id for one in profiles]
    assert [store.load_entry(entry) for entry in found] == profiles
    assert problems.found == {}


def test_only_closed_hours(store, make_profile, put, compact):
    now = datetime.now(UTC)
    late = make_profile(start_ns=nanoseconds(now - timedelta(minutes=1)))
    store.put(late)
    put(0), put(60), put(120)
    assert [done.hour for done in compact(until=NOON + timedelta(minutes=150))] == [
        "2026-03-14T12",
        "2026-03-14T13",
    ]
    assert [done.hour for done in compact()] == ["2026-03-14T14"]
    assert len(keys(store, "profiles")) == 1
    assert store.load(late.id) == late


def test_services_are_apart(store, put, compact):
    for service in ("a", "b", "../etc"):
        put(service=service)
    assert sorted((done.service, done.profiles) for done in compact()) == [("../etc", 1), ("a", 1), ("b", 1)]
    assert len([key for key in keys(store, "blocks") if key.endswith(".manifest.json")]) == 3


def test_late_ones_make_another_block(store, put, compact, scan):
    first = put()
    compact()
    second = put(1)
    assert len(scan(store)) == 2
    compact()
    assert len([key for key in keys(store, "blocks") if key.endswith(".manifest.json")]) == 2
    assert [store.load(entry.id) for entry in scan(store)] == [first, second]


def test_a_block_has_a_bound(store, put, compact, scan, monkeypatch):
    profiles = [put(i) for i in range(7)]
    (done,) = compact(max_profiles=3)
    assert (done.profiles, done.blocks) == (7, 3)
    assert [store.load(entry.id) for entry in scan(store)] == profiles
    more = [put(i) for i in range(30, 34)]
    monkeypatch.setattr(working, "MAX_BYTES", 1)
    (done,) = compact()
    assert (done.profiles, done.blocks) == (4, 4)
    assert [store.load(entry.id) for entry in scan(store)] == profiles + more


def test_the_same_originals_make_the_same_block(put, store, compact):
    for i in range(5):
        put(i)
    compact(grace=timedelta(hours=1))
    first = {key: store.objects.read(key, 1 << 30) for key in keys(store, "blocks")}
    for key in first:
        store.objects.remove(key)
    compact(grace=timedelta(hours=1))
    again = {key: store.objects.read(key, 1 << 30) for key in keys(store, "blocks")}
    tables = [key for key in first if key.endswith(".parquet")]
    assert again.keys() == first.keys()
    assert len(tables) == 7
    assert all(again[key] == first[key] for key in tables), "byte for byte"


def test_deleted_for_good(store, put, compact, scan, problems):
    profiles = [put(i) for i in range(4)]
    compact(grace=timedelta(hours=1))
    assert store.delete(profiles[0].id), "original and block"
    compact()
    assert store.delete(profiles[1].id), "block alone"
    for gone in profiles[:2]:
        assert not store.delete(gone.id)
        with pytest.raises(ProfileNotFound, match=gone.id):
            store.load(gone.id)
    for _ in range(2):
        assert [entry.id for entry in scan(store)] == [one.id for one in profiles[2:]]
        assert store.stats().total.profiles == 2
        compact()
    store.put(profiles[0])
    assert store.load(profiles[0].id) == profiles[0], "put again, it is there again"
    compact()
    assert store.load(profiles[0].id) == profiles[0]
    assert store.delete(profiles[0].id)
    assert [entry.id for entry in scan(store)] == [one.id for one in profiles[2:]]
    assert problems.found == {}


def test_what_is_let_go_in_the_grace_period_does_not_come_back(store, put, compact, scan, problems):
    profiles = [put(i) for i in range(4)]
    compact(grace=timedelta(hours=1))
    assert store.delete_entries(scan(store)[:2]) == 2, "each counted once, though it is there twice"
    for _ in range(2):
        assert [entry.id for entry in scan(store)] == [one.id for one in profiles[2:]]
        compact()
    assert store.delete_entries(scan(store)) == 2
    assert scan(store) == []
    assert problems.found == {}


def test_what_is_let_go_while_a_block_is_being_made_of_it(store, put, scan, problems, monkeypatch):
    profiles = [put(i) for i in range(3)]
    entries = scan(store)
    compare = BlockMaker._compare

    def overtaken(self, *what):
        store.delete_entries(entries[:2])
        compare(self, *what)

    monkeypatch.setattr(BlockMaker, "_compare", overtaken)
    list(Compaction(store, grace=NOW, on_problem=problems).run())
    assert [entry.id for entry in scan(store)] == [profiles[2].id]
    with pytest.raises(ProfileNotFound):
        store.load(profiles[0].id)


def test_of_what_is_let_go_no_earlier_state_comes_to_light(store, put, scan):
    final = put(wall=9.0)
    running = dataclasses.replace(final, status=Status.RUNNING, wall=3.0)
    store.objects.write(
        profile_key(running), encode(running)
    )  # as a killed writer of the last state leaves it
    assert store.delete_entries(scan(store)) == 1
    assert scan(store) == []


def test_an_entry_of_one_that_was_deleted(store, put, compact, scan):
    profile = put()
    compact()
    (entry,) = scan(store)
    store.delete(profile.id)
    with pytest.raises(ProfileNotFound):
        store.load_entry(entry)


def test_a_running_one_and_its_last_state(store, put, compact, scan, make_profile):
    running = put(status=Status.RUNNING, trigger=Trigger.STALLED)
    compact()
    assert store.load(running.id) == running
    final = dataclasses.replace(running, status=Status.OK, trigger=Trigger.SLOW, wall=99.0)
    store.put(final)
    assert store.load(running.id) == final
    assert [entry.wall for entry in scan(store)] == [99.0]
    compact()
    assert keys(store, "profiles") == []
    assert store.load(running.id) == final
    assert [entry.wall for entry in scan(store)] == [99.0]

    entry = store.put(running)
    assert entry.status is Status.OK, "come late, it replaces no finished one in a block"
    assert keys(store, "profiles") == []
    assert store.delete(running.id)
    assert scan(store) == []


def test_a_running_one_beside_its_compacted_last_state(store, put, compact, scan):
    final = put()
    compact()
    running = dataclasses.replace(final, status=Status.RUNNING)
    store.objects.write(profile_key(running), encode(running))
    assert [entry.status for entry in scan(store)] == [Status.OK]
    assert store.load(final.id) == final
    (done,) = compact()
    assert (done.profiles, done.removed) == (0, 1)
    assert store.load(final.id) == final


def test_two_originals_of_one_id(store, put, compact, scan):
    older = put(wall=2.0)
    newer = dataclasses.replace(older, wall=3.0)
    store.objects.write(profile_key(newer), encode(newer))
    assert store.load(older.id) == newer
    (done,) = compact()
    assert (done.profiles, done.removed) == (1, 2)
    assert store.load(older.id) == newer
    assert [entry.wall for entry in scan(store)] == [3.0]


def test_what_is_damaged_is_reported_and_left(subject, store, put, compact, scan, problems):
    profiles = [put(i) for i in range(3)]
    entries = scan(store)
    subject.overwrite(entries[1], b"x" * 500)
    (done,) = compact()
    assert (done.profiles, done.removed, done.damaged) == (2, 2, 1)
    assert problems.found == {entries[1].key: "not a profile: it does not begin as one"}
    assert keys(store, "profiles") == [entries[1].key]
    assert store.load(profiles[0].id) == profiles[0]
    with pytest.raises(CorruptProfile, match="does not begin as one"):
        store.load(profiles[1].id)


def test_a_dry_run_does_nothing(store, put, problems):
    for i in range(3):
        put(i)
    before = keys(store)
    compaction = Compaction(store, grace=NOW, on_problem=problems)
    (done,) = compaction.run(dry_run=True)
    assert (done.profiles, done.blocks, done.after) == (3, 1, 0)
    assert keys(store) == before
    list(Compaction(store, grace=timedelta(days=1)).run())
    (done,) = compaction.run(dry_run=True)
    assert (done.profiles, done.removed) == (0, 3)
    assert len(keys(store, "profiles")) == 3


@pytest.mark.parametrize("options", [{"grace": timedelta(seconds=-1)}, {"max_profiles": 0}])
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(ConfigurationError, match="must"):
        Compaction(MemoryStorage(), **options)


# Rollups


def rollups(minute, service="orders", **fields):
    start = nanoseconds(NOON + timedelta(minutes=minute))
    histogram = Histogram()
    histogram.add_many([0.1, 0.1, 2.0, 1e9])
    rows = (
        Rollup("agent.route", "agent", 4, 1, 1e9, 2, 1, {"limit": 1, "queue": 2**60}, 1.0, histogram),
        Rollup("llm.chat", "llm", 0, 0, 0.0, 0, 0, {}, 2.5, Histogram()),
    )
    fields = {"version": "7", "host": "web-1", "pid": 12, "rollups": rows, **fields}
    return RollupSet(id=new_ulid(start), service=service, start_ns=start, end_ns=start + 60 * 10**9, **fields)


def test_rollups_are_as_before(store, compact, put, problems):
    sets = [rollups(i * 9, service=f"s{i % 2}") for i in range(14)]
    sets += [rollups(200, rollups=()), rollups(201)]
    for one in sets:
        store.put_rollup(one)
    put()
    done = compact(grace=timedelta(hours=1))
    assert list(store.scan_rollups(on_problem=problems)) == sets, "each once beside its original"
    done = compact()
    assert sum(hour.removed for hour in done) == 17
    assert keys(store, "rollups") == []
    assert list(store.scan_rollups(on_problem=problems)) == sets
    window = {"since": NOON + timedelta(minutes=20), "until": NOON + timedelta(minutes=100), "service": "s1"}
    assert list(store.scan_rollups(**window)) == [
        one for i, one in enumerate(sets[:14]) if i % 2 and 20 <= i * 9 < 100
    ]
    assert problems.found == {}


def test_rollups_that_are_let_go_in_the_grace_period(store, compact):
    sets = [rollups(i) for i in range(5)]
    for one in sets:
        store.put_rollup(one)
    compact(grace=timedelta(hours=1))
    until = NOON + timedelta(minutes=3)
    assert store.delete_rollups(until, dry_run=True) == 3
    assert store.delete_rollups(until) == 3, "each counted once, though it is there twice"
    assert list(store.scan_rollups()) == sets[3:]
    compact()
    assert list(store.scan_rollups()) == sets[3:]


def test_rollups_compacted_while_they_are_read(store, compact, problems):
    sets = [rollups(i) for i in range(5)]
    for one in sets:
        store.put_rollup(one)
    reading = store.scan_rollups(on_problem=problems)
    assert next(reading) == sets[0]
    compact()
    assert list(reading) == sets[1:]
    assert problems.found == {}


# Whatever a profile holds

texts = st.text(st.characters(codec="utf-8"), max_size=8)
seconds = st.floats(0, 1e10)
whole = st.integers(0, 2**63 - 1)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
tags = st.dictionaries(texts, st.none() | st.booleans() | texts | numbers, max_size=3)
frames = st.builds(Frame, texts, texts, whole, texts, texts, st.sampled_from(Origin))
lines = st.sampled_from([0, 1, 2**63 - 1])


def tables(draw):
    """Frames, nodes, samples, branches: of few different frames and lines, so that many are there twice."""
    few = draw(st.lists(frames, min_size=1, max_size=3))
    found = draw(st.lists(st.sampled_from(few), min_size=1, max_size=5))
    last = len(found) - 1
    nodes = [
        Node(draw(st.integers(-1, index - 1)), draw(st.integers(0, last)), draw(lines))
        for index in range(draw(st.integers(0, 6)))
    ]
    branches = [
        Branch(draw(texts), draw(st.integers(-1, index - 1)), draw(seconds), draw(seconds))
        for index in range(draw(st.integers(0, 3)))
    ]
    samples = [
        Sample(
            node=draw(st.integers(0, len(nodes) - 1)),
            wall=draw(seconds),
            cpu=draw(seconds),
            branch=draw(st.integers(-1, len(branches) - 1)),
            state=draw(st.sampled_from(State)),
            holder=draw(st.integers(-1, last)),
            inferred=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 8)) if nodes else 0)
    ]
    rows = {"frames": found, "nodes": nodes, "samples": samples, "branches": branches}
    return {name: tuple(table) for name, table in rows.items()}


@st.composite
def contents(draw):
    named = ("operation", "category", "version", "host", "python", "request_id", "trace_id", "span_id")
    return {
        **{name: draw(texts) for name in named},
        **tables(draw),
        "wall": draw(seconds),
        "cpu": draw(st.none() | seconds),
        "threshold": draw(seconds),
        "weight": draw(st.floats(0, 1e15)),
        "pid": draw(whole),
        "number": draw(whole),
        "tags": draw(tags),
        "trigger": draw(st.sampled_from(Trigger)),
        "status": draw(st.sampled_from(Status)),
        "enclosing": tuple(draw(st.lists(st.builds(Enclosing, whole, st.booleans()), max_size=3))),
        "children": tuple(
            ChildOperation(draw(texts), draw(texts), draw(seconds), draw(seconds), draw(tags), index - 1)
            for index in range(draw(st.integers(0, 3)))
        ),
        "sampling": Sampling(
            engine=draw(texts),
            interval=draw(seconds),
            ticks=draw(st.integers(0, 2**53)),
            sampler_cpu=draw(seconds),
            unobserved=draw(seconds),
            dropped_children=draw(st.integers(0, 2**53)),
        ),
    }


@given(drawn=st.lists(contents(), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_profile_holds_comes_back_equal(make_profile, drawn):
    store, reported = MemoryStorage(), []
    wanted = [dataclasses.replace(make_profile(start_ns=nanoseconds(NOON)), **content) for content in drawn]
    for profile in wanted:
        store.put(profile)
    list(Compaction(store, grace=NOW, on_problem=lambda *problem: reported.append(problem)).run())
    assert reported == []
    assert keys(store, "profiles") == []
    for profile in wanted:
        loaded = store.load(profile.id)
        assert loaded == profile
        assert list(loaded.tags) == list(profile.tags), "in their order"
        assert type(loaded.wall) is float
    shared = [profile for _, profile in store.load_many(store.scan(), shared=True)]
    assert [by_stacks(profile) for profile in shared] == sorted(
        map(by_stacks, wanted), key=lambda one: one[0].id
    )
    assert len({(id(profile.frames), id(profile.nodes)) for profile in shared}) == 1


def by_stacks(profile):
    """What a profile says, whatever numbers its frames and nodes have."""
    samples = [
        (
            list(profile.stack(sample.node)),
            profile.frames[sample.holder] if sample.holder >= 0 else None,
            sample._replace(node=0, holder=-1),
        )
        for sample in profile.samples
    ]
    return dataclasses.replace(profile, frames=(), nodes=(), samples=()), samples


# Blocks that are not whole


def block_key(store, ending):
    (key,) = [key for key in keys(store, "blocks") if key.endswith(ending)]
    return key


TABLES = ["samples", "branches", "children", "enclosing", "nodes", "frames", "profiles"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_table_is_named(store, put, compact, scan, damage):
    profiles = [put(i) for i in range(3)]
    compact(grace=timedelta(hours=1))
    originals = list(scan(store))
    whole = {
        (key := block_key(store, f".{table}.parquet")): store.objects.read(key, 1 << 30) for table in TABLES
    }
    changed = {
        "flipped": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "cut": lambda data: data[:-1],
    }

    def write(key, data):
        store.objects.remove(key)
        if data is not None:
            store.objects.write(key, data)

    for key, data in whole.items():
        write(key, changed[damage](data) if damage in changed else None)
    assert [store.load(entry.id) for entry in scan(store)] == profiles, "originals that are there are served"
    for entry in originals:
        store.objects.remove(entry.key)
    for key, data in whole.items():
        write(key, data)
    assert [store.load(entry.id) for entry in scan(store)] == profiles
    for key, data in whole.items():
        write(key, changed[damage](data) if damage in changed else None)
        fresh = ObjectStorage(store.objects)  # one that remembers no table
        for entry in scan(store):
            with pytest.raises(CorruptProfile) as caught:
                fresh.load(entry.id)
            assert caught.value.key == key
            assert caught.value.reason in {"is missing", "damaged or cut: its checksum is wrong"}
            with pytest.raises(CorruptProfile) as caught:
                fresh.load_entry(entry, shared=True)
            assert caught.value.key == key
        write(key, data)


def test_originals_of_a_damaged_block_make_it_anew(store, put, compact, scan, problems):
    profiles = [put(i) for i in range(3)]
    compact(grace=timedelta(hours=1))
    key = block_key(store, ".samples.parquet")
    whole = store.objects.read(key, 1 << 30)
    store.objects.write(key, whole[:100])
    (done,) = compact()
    assert problems.found == {key: "damaged or cut: its checksum is wrong"}
    assert (done.profiles, done.removed, done.damaged) == (3, 3, 1)
    assert store.objects.read(key, 1 << 30) == whole
    assert [store.load(entry.id) for entry in scan(store)] == profiles


@pytest.mark.parametrize("workers", [1, 8])
def test_no_table_is_read_twice_where_many_services_take_turns(store, put, compact, monkeypatch, workers):
    profiles = [put(i / 10, service=f"s{i % 10}") for i in range(60)]
    compact()
    read, asked = store.objects.read, Counter()

    def counted(key, limit):
        asked[key] += 1
        return read(key, limit)

    monkeypatch.setattr(store.objects, "read", counted)
    fresh = ObjectStorage(store.objects)
    assert [profile for _, profile in fresh.load_many(fresh.scan(), workers=workers)] == profiles
    assert len(asked) == 10 * 8
    assert set(asked.values()) == {1}


def resealed(store, change):
    """Replace the manifest of the only block by one that is changed, and whose checksum is right."""
    key = block_key(store, ".manifest.json")
    manifest = orjson.loads(store.objects.read(key, 1 << 30))["manifest"]
    change(manifest)
    body = orjson.dumps(manifest)
    store.objects.write(key, b'{"blake2b":"%s","manifest":%s}' % (digest(body).encode(), body))
    return key


def with_table(store, name, change):
    """Change a table of the only block, and let its manifest tell of the new one."""
    key = block_key(store, f".{name}.parquet")
    buffer = io.BytesIO()
    change(pl.read_parquet(io.BytesIO(store.objects.read(key, 1 << 30)))).write_parquet(buffer)
    data = buffer.getvalue()
    store.objects.write(key, data)

    def tell(manifest):
        index = manifest["tables"]["name"].index(name)
        manifest["tables"]["size"][index] = len(data)
        manifest["tables"]["blake2b"][index] = digest(data)

    resealed(store, tell)
    return data


@pytest.mark.parametrize(
    ("table", "column", "value", "reason"),
    [
        ("nodes", "frame", 1_000_000, "nodes.frame is out of range"),
        ("nodes", "parent", 3, "a node has a parent that does not come before it"),
        ("frames", "origin", "elsewhere", "frames.origin holds 'elsewhere'"),
        ("samples", "node", 1_000_000, "samples.node is out of range"),
        ("samples", "holder", 1_000_000, "samples.holder is out of range"),
        ("samples", "state", "asleep", "samples.state holds 'asleep'"),
        ("samples", "wall", -1.0, "samples.wall is out of range"),
    ],
)
def test_what_is_shared_is_checked_as_well(store, put, compact, scan, table, column, value, reason):
    put()
    compact()
    with_table(
        store, table, lambda found: found.with_columns(pl.lit(value, found.schema[column]).alias(column))
    )
    (entry,) = scan(store)
    with pytest.raises(CorruptProfile, match=reason):
        store.load_entry(entry, shared=True)


def test_samples_of_other_profiles_are_refused_however_it_is_read(store, put, make_profile, compact, scan):
    profile = put()
    turned = dataclasses.replace(  # its nodes are in no order of use, so the block tells theirs
        make_profile(start_ns=nanoseconds(NOON) + 1),
        nodes=(Node(-1, 0, 1), Node(-1, 0, 2)),
        frames=profile.frames[:1],
        samples=(Sample(1, 1.0),),
        branches=(),
        children=(),
        sampling=Sampling(unobserved=0.5),
        wall=1.5,
    )
    store.put(turned)
    compact()
    assert store.load(turned.id) == turned
    used = {
        entry.id: {sample.node for sample in found.samples}
        for entry, found in store.load_many(scan(store), shared=True)
    }
    foreign = max(used[profile.id])

    def swap(table):
        mask = pl.col("node").is_in(list(used[turned.id]))
        return table.with_columns(
            node=pl.when(mask).then(pl.lit(foreign, pl.UInt32)).otherwise(pl.col("node"))
        )

    with_table(store, "samples", swap)
    fresh = ObjectStorage(store.objects)
    entry = next(entry for entry in scan(fresh) if entry.id == turned.id)
    for shared in (False, True):
        with pytest.raises(CorruptProfile):
            fresh.load_entry(entry, shared=shared)


def test_sums_of_lengths_do_not_begin_anew_at_four_thousand_million():
    found = pl.DataFrame({"text": [2**31, 2**31]}, schema={"text": pl.UInt32})
    with pytest.raises(ValueError, match=r"4294967296 bytes in samples\.text at once"):
        bounds.check_sums("samples", found, {"text": pl.col("text")}, 100, "bytes")


def test_texts_that_take_no_room_in_a_table_but_much_in_memory(store, put, compact, scan, monkeypatch):
    profile = put()
    compact()
    monkeypatch.setattr(bounds, "MAX_TEXT", 1_000_000)
    written = with_table(store, "profiles", lambda table: table.with_columns(version=pl.lit("x" * 1_000_001)))
    assert len(written) < 20_000
    assert [entry.id for entry in scan(store)] == [profile.id]
    with pytest.raises(CorruptProfile, match=r"1000001 bytes of texts in profiles.version at once"):
        store.load(profile.id)


def test_a_table_at_which_polars_panics(store, put, compact, scan, monkeypatch):
    put()
    compact()

    def panic(*_):  # which bytes bring it to this differs between its versions
        raise pl.exceptions.PanicException("assertion failed: offset + length <= self.length")

    monkeypatch.setattr(reading.Block, "_read_chunk", panic)
    (entry,) = scan(store)
    with pytest.raises(CorruptProfile, match="its tables cannot be read: assertion failed"):
        store.load_entry(entry)


def test_a_manifest_that_takes_little_room_but_much_memory(store, put, compact, scan, problems):
    put()
    compact()
    key = resealed(store, lambda manifest: manifest.update(host=[[]] * 100_001))
    assert scan(store) == []
    assert "lists and objects, allowed are 100000" in problems.found[key]


def test_a_damaged_manifest_is_reported_and_made_anew(store, put, compact, scan, problems):
    profiles = [put(i) for i in range(3)]
    compact(grace=timedelta(hours=1))
    key = block_key(store, ".manifest.json")
    data = store.objects.read(key, 1 << 30)
    store.objects.write(key, data.replace(b'"pid"', b'"dip"'))
    assert len(scan(store)) == 3
    assert problems.found == {key: "damaged or cut: its checksum is wrong"}
    problems.found.clear()
    compact()
    assert problems.found == {key: "damaged or cut: its checksum is wrong"}
    assert [store.load(entry.id) for entry in scan(store)] == profiles
    assert keys(store, "profiles") == []


def test_a_damaged_manifest_whose_originals_are_gone(store, put, compact, scan, problems):
    profile = put()
    compact()
    key = block_key(store, ".manifest.json")
    store.objects.write(key, b"{}")
    assert scan(store) == []
    assert list(problems.found) == [key]
    with pytest.raises(CorruptProfile) as caught:
        store.load(profile.id)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda body: body.update(schema=2), "schema 2; this version of profkit reads schema 1"),
        (lambda body: body.update(later=1), "has 'later': is no field of it"),
        (
            lambda body: body.update(place="date=2026-03-14/hour=13/service=orders"),
            "is the manifest of another block",
        ),
        (lambda body: body["originals"].update(size=[-1]), "originals.size is out of range"),
        (lambda body: body["originals"].update(kind=[1]), "originals.kind is out of range"),
        (lambda body: body["originals"].update(id=["../../x"]), "is not named as a profile is"),
        (lambda body: body["tables"]["blake2b"].__setitem__(0, "x"), "is no checksum"),
    ],
)
def test_what_is_wrong_in_a_manifest_is_named(store, put, compact, scan, problems, change, reason):
    put()
    compact()
    key = block_key(store, ".manifest.json")
    body = orjson.loads(store.objects.read(key, 1 << 30))["manifest"]
    change(body)
    store.objects.write(key, orjson.dumps({"blake2b": digest(orjson.dumps(body)), "manifest": body}))
    assert scan(store) == []
    assert list(problems.found) == [key]
    assert reason in problems.found[key]


def test_a_foreign_name_stays_on_its_line(store, put, compact, scan, problems):
    put()
    compact()
    place = block_key(store, ".manifest.json").rpartition("/")[0]
    store.objects.write(f"{place}/a\u202eb", b"x")
    assert len(scan(store)) == 1
    assert problems.found == {f"{place}/a\\u202eb": "not named as a part of a block is"}


def test_what_is_foreign_among_blocks_is_named_once(store, put, compact, scan, problems):
    for minute in (0, 60, 120):
        put(minute)
    compact()
    put(61), put(121)
    foreign = keys(store, "blocks")[0].rpartition("/")[0] + "/notes.txt"
    store.objects.write(foreign, b"mine")
    assert len(scan(store)) == 5
    assert problems.found == {foreign: "not named as a part of a block is"}


def test_the_manifest_says_who_when_and_what(store, put, compact):
    profiles = [put(i) for i in range(3)]
    compact()
    key = block_key(store, ".manifest.json")
    manifest = from_bytes(store.objects.read(key, 1 << 30), key)
    assert list(manifest.rows) == [one.id for one in profiles]
    assert manifest.pid > 0 and manifest.host and manifest.created_ns > nanoseconds(NOON)
    for name, table in manifest.tables.items():
        data = store.objects.read(block_key(store, f".{name}.parquet"), 1 << 30)
        assert len(data) == table.size
    assert manifest.tables["profiles"].rows == 3
    assert manifest.tables["samples"].rows == sum(len(one.samples) for one in profiles)


def test_a_block_can_be_dropped_whole(store, put, compact, scan):
    first, second = put(), put(service="b")
    compact()
    store.delete(first.id)
    ((_, _, objects),) = store.hours("profiles/v1", KeyFilter(None), lambda *_: None)
    blocks = grouped(objects, lambda *_: None)
    assert [block.gone for block in blocks] in ([{first.id}, set()], [set(), {first.id}])
    for block in blocks:
        if block.gone:
            store.blocks.drop(block)
    assert all("/service=b/" in key for key in keys(store))
    assert [entry.id for entry in scan(store)] == [second.id]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_blocks_and_originals_of_many_hours_come_in_order(store, put, compact, scan, order):
    """Hours that are compacted, that are not, and that are half so, whatever follows what."""
    for position, what in enumerate(order):
        if what != 0:
            put(position * 60)
    compact()
    for position, what in enumerate(order):
        if what != 1:
            put(position * 60 + 1)
    entries = scan(store)
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)
    assert len(entries) == 4
    assert len(list(store.partitions(ProfileQuery()))) == 3


def test_a_batch_lists_its_hours_and_not_each_profile(store, put, compact, monkeypatch):
    profiles = [put(minute) for minute in range(30)]
    compact()
    entries = list(store.scan())
    calls = []
    find = store.objects.find
    monkeypatch.setattr(store.objects, "find", lambda *where: calls.append(where) or find(*where))
    assert [profile for _, profile in store.load_many(entries, workers=1)] == profiles
    assert len(calls) <= 3


def test_what_is_deleted_while_a_batch_is_read_is_not_in_it(store, put, compact, problems):
    first, second = put(0), put(1)
    compact()
    entries = list(store.scan())
    loading = store.load_many(entries, workers=1, on_problem=problems)
    assert next(loading)[1] == first
    assert store.delete(second.id)
    assert list(loading) == []
    assert len(problems.found) == 1


def test_a_block_that_is_gone_since_it_was_listed_is_looked_for_once_more(store, put, compact, monkeypatch):
    profile = put(0)
    compact()
    [entry] = store.scan()
    read, asked = store.blocks.profile, []

    def gone_at_first(place, **how):
        asked.append(place)
        if len(asked) == 1:
            raise ProfileNotFound("its block is gone")
        return read(place, **how)

    monkeypatch.setattr(store.blocks, "profile", gone_at_first)
    assert store.load_entry(entry) == profile
    assert len(asked) == 2
