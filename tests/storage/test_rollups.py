"""Rollups: their histograms, sets of them as bytes, what every store does with them, and what a directory can meet."""

import dataclasses
import logging
import math
import os
import pickle
import random
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit_storage import (
    ConfigurationError,
    CorruptProfile,
    CorruptRollups,
    Histogram,
    LocalStorage,
    ProfileStorage,
    Rollup,
    RollupSet,
    StorageError,
    decode,
    decode_rollups,
    encode,
    encode_rollups,
    open_storage,
)
from profkit_storage.codec import _ROLLUPS, HEADER_SIZE, _seal
from profkit_storage.histogram import _BOUNDS, BUCKETS, LONGEST, MAX_ERROR, SHORTEST
from profkit_storage.keys import parse_rollup_key, rollup_key
from profkit_storage.rollup import to_document
from profkit_storage.ulid import new_ulid

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
NOON_NS = int(NOON.timestamp()) * 1_000_000_000
HOUR = "rollups/v1/date=2026-03-14/hour=12"
durations = st.floats(SHORTEST, LONGEST)
batches = st.lists(st.floats(0, 1e9), max_size=50)


STEADY = new_ulid(NOON_NS)[:10] + "0" * 16


def histogram(*values):
    made = Histogram()
    made.add_many(values)
    return made


@pytest.fixture(scope="session")
def make_rollups():
    """`make_rollups(minute=..., **fields)`: a set of two; fields of a `Rollup` go into the first of them."""

    def make(minute=0.0, **fields):
        start_ns = NOON_NS + round(minute * 60_000) * 1_000_000
        first = Rollup(
            operation="agent.route",
            category="agent",
            calls=3,
            errors=1,
            seconds=2.5,
            slow=2,
            kept=1,
            dropped={"rate": 1},
            threshold=1.0,
            histogram=Histogram({70: 2, 145: 1}),
        )
        second = Rollup("query", "db", 1, 0, 0.001, 0, 0, {}, 0.5, Histogram({72: 1}))
        row = {name: fields.pop(name) for name in Rollup._fields if name in fields}
        made = RollupSet(
            id=new_ulid(start_ns),
            service="orders",
            version="2026.3.1",
            host="web-1",
            pid=4242,
            start_ns=start_ns,
            end_ns=start_ns + 60_000_000_000,
            rollups=(first._replace(**row), second),
        )
        return dataclasses.replace(made, **fields)

    return make


@given(st.lists(durations, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_its_error(values, q):
    true = sorted(values)[int(q * (len(values) - 1))]
    assert histogram(*values).quantile(q) == pytest.approx(true, rel=MAX_ERROR * (1 + 1e-9))


def test_the_error_is_under_five_percent_and_no_better_than_said():
    assert MAX_ERROR < 0.05
    worst = max(
        abs(histogram(value).quantile(0.5) - value) / value
        for value in (SHORTEST * 1.0001**step for step in range(270_000))
    )
    assert MAX_ERROR * 0.99 < worst <= MAX_ERROR * (1 + 1e-9)


def test_quantiles_of_many_against_the_truth():
    draw = random.Random(1)
    values = sorted(draw.lognormvariate(-5, 2) for _ in range(20_000))
    made = histogram(*values)
    for q in (0, 0.01, 0.5, 0.95, 0.99, 0.999, 1):
        assert made.quantile(q) == pytest.approx(values[int(q * 19_999)], rel=MAX_ERROR)


def test_a_bound_belongs_to_what_is_above_it():
    made = histogram(*_BOUNDS)
    assert made.counts == dict.fromkeys(range(1, BUCKETS), 1)


def test_what_lies_outside_is_clamped():
    made = histogram(0.0, 1e-9, LONGEST * 2, 1e300)
    assert made.counts == {0: 2, BUCKETS - 1: 2}
    assert made.quantile(0) == pytest.approx(SHORTEST, rel=0.1)
    assert made.quantile(1) == pytest.approx(LONGEST, rel=0.1)


@given(st.lists(st.floats(0, 1e300), max_size=300))
def test_its_size_is_bounded_and_nothing_is_lost(values):
    made = histogram(*values)
    assert made.total == len(values)
    assert set(made.counts) <= set(range(BUCKETS))
    assert all(made.counts.values())


@given(batches, batches, batches)
def test_merging_is_associative_commutative_and_as_if_added_at_once(first, second, third):
    left = histogram(*first)
    left.merge(histogram(*second))
    left.merge(histogram(*third))
    right, inner = histogram(*third), histogram(*second)
    inner.merge(histogram(*first))
    right.merge(inner)
    assert left == right == histogram(*first, *second, *third)


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=60), st.integers(0, 10**7))
def test_a_part_stands_for_all(values, more):
    made, whole = Histogram(), len(values) + more
    made.add_many(values, whole)
    assert made.total == whole
    for bucket, count in histogram(*values).counts.items():
        assert made.counts[bucket] == pytest.approx(count * whole / len(values), abs=1)


def test_quantiles_of_nothing_and_of_nonsense():
    assert math.isnan(Histogram().quantile(0.5))
    Histogram().add_many([])
    for q in (-0.1, 1.1, math.nan):
        with pytest.raises(ConfigurationError, match="must be from 0 to 1"):
            histogram(1.0).quantile(q)


texts = st.text(max_size=20)
counts = st.integers(0, 2**63 - 1)
rollups = st.builds(
    Rollup,
    operation=texts,
    category=texts,
    calls=counts,
    errors=counts,
    seconds=st.floats(0, 1e10),
    slow=counts,
    kept=counts,
    dropped=st.dictionaries(texts, counts, max_size=3),
    threshold=st.floats(0, 1e10),
    histogram=st.builds(Histogram, st.dictionaries(st.integers(0, BUCKETS - 1), counts, max_size=5)),
)


@st.composite
def sets(draw):
    start_ns = draw(st.integers(0, 2**63 - 1))
    return RollupSet(
        id=new_ulid(start_ns),
        service=draw(texts),
        start_ns=start_ns,
        end_ns=draw(st.integers(start_ns, 2**63 - 1)),
        version=draw(texts),
        host=draw(texts),
        pid=draw(counts),
        rollups=tuple(draw(st.lists(rollups, max_size=4))),
    )


@given(sets())
def test_round_trip_is_exact(made):
    data = encode_rollups(made)
    back = decode_rollups(data)
    assert back == made
    assert encode_rollups(back) == data
    assert pickle.loads(pickle.dumps(back)) == made


def test_names_that_utf8_cannot_carry_are_spelled_out(make_rollups):
    back, _ = decode_rollups(encode_rollups(make_rollups(operation="\udce9"))).rollups
    assert back.operation == "\\udce9"


def refusal(data, kind=CorruptRollups):
    with pytest.raises(kind) as caught:
        (decode_rollups if kind is CorruptRollups else decode)(data, "some/key")
    assert type(caught.value) is kind
    assert caught.value.key == "some/key"
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason
    return caught.value.reason


@given(data=st.data())
def test_no_damage_goes_unseen(make_rollups, data):
    whole = encode_rollups(make_rollups(id=STEADY))
    at = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.integers(1, 255))
    assert refusal(whole[:at] + bytes([whole[at] ^ noise]) + whole[at + 1 :])
    assert refusal(whole[:at])
    assert refusal(whole + bytes([noise]))


def test_neither_is_taken_for_the_other(make_rollups, make_profile):
    assert refusal(encode(make_profile())) == "not a set of rollups: it does not begin as one"
    assert refusal(encode_rollups(make_rollups()), CorruptProfile).startswith("not a profile")
    assert refusal(b"") == "0 bytes, too short for a set of rollups"


def plain(made):
    return orjson.loads(orjson.dumps(to_document(made)))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("id", "nonsense", "id is 'nonsense': must be a ULID"),
        ("id", "00000000000000000000000001", "has another time than start_ns"),
        ("start_ns", -1, "start_ns is out of range"),
        ("end_ns", NOON_NS - 1, f"end_ns is out of range: must be from {NOON_NS}"),
        ("service", None, "service holds a NoneType"),
        ("pid", 1.0, "pid holds a float"),
        ("later", 1, "the document has 'later'"),
        ("rollups", [], "rollups is no object"),
        ("rollups.operation", ["a"], "the columns of rollups differ in length"),
        ("rollups.calls", [1, -1], "rollups.calls is out of range"),
        ("rollups.calls", [1, True], "rollups.calls holds a bool"),
        ("rollups.seconds", [1.0, -1.0], "rollups.seconds is out of range"),
        ("rollups.threshold", [1.0, None], "rollups.threshold holds a NoneType"),
        ("dropped.rollup", [2], "dropped.rollup is out of range: must be from 0 to 1"),
        ("dropped.reason", [5], "dropped.reason holds a int"),
        ("dropped.count", [-1], "dropped.count is out of range"),
        ("buckets.rollup", [0, -1, 1], "buckets.rollup is out of range"),
        (
            "buckets.bucket",
            [0, 0, BUCKETS],
            f"buckets.bucket is out of range: must be from 0 to {BUCKETS - 1}",
        ),
        ("buckets.bucket", [70, 70, 70], "buckets tells of 70 of rollup 0 twice"),
        ("buckets.count", [1, 2], "the columns of buckets differ in length"),
    ],
)
def test_what_is_wrong_is_named(make_rollups, path, value, reason):
    document = plain(make_rollups())
    assert [len(document[table]["rollup"]) for table in ("dropped", "buckets")] == [1, 3]
    *way, last = path.split(".")
    inner = document
    for name in way:
        inner = inner[name]
    inner[last] = value
    assert reason in refusal(_seal(document, _ROLLUPS))


def test_every_field_is_needed(make_rollups):
    whole = plain(make_rollups())
    assert set(whole) == {field.name for field in dataclasses.fields(RollupSet)} | {"dropped", "buckets"}
    for name in whole:
        assert refusal(_seal({**whole, name: None}, _ROLLUPS))
        assert (
            refusal(_seal({key: whole[key] for key in whole if key != name}, _ROLLUPS))
            == f"{name} is missing"
        )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"seconds": math.nan}, "rollups.seconds is out of range"),
        ({"threshold": math.inf}, "rollups.threshold is out of range"),
        ({"calls": 2**63}, "rollups.calls is out of range"),
        ({"operation": None}, "rollups.operation holds a NoneType"),
        ({"dropped": {"rate": -1}}, "dropped.count is out of range"),
        ({"dropped": {1: 1}}, "dropped.reason holds a int"),
        ({"dropped": {"a": 1, 1: 1}}, "not supported between"),
        ({"histogram": Histogram({BUCKETS: 1})}, "buckets.bucket is out of range"),
        ({"operation": "x" * 5_000_000}, "allowed are 100 times as many"),
    ],
)
def test_encoding_refuses_what_could_not_be_read(make_rollups, fields, reason):
    with pytest.raises(StorageError, match=r"rollups '.*' cannot be encoded: ") as caught:
        encode_rollups(make_rollups(**fields))
    assert reason in str(caught.value)
    assert not isinstance(caught.value, CorruptRollups)


def test_a_process_with_as_many_names_as_are_told_apart_fits(make_rollups):
    draw = random.Random(1)
    (one, _) = make_rollups().rollups
    crowd = tuple(
        one._replace(
            operation=f"job {number} " + "é" * draw.randrange(150),
            seconds=draw.random(),
            dropped={"rate": number},
            histogram=Histogram({bucket: draw.randrange(10**6) for bucket in range(100, 155)}),
        )
        for number in range(10_101)
    )
    made = dataclasses.replace(make_rollups(), rollups=crowd)
    assert decode_rollups(encode_rollups(made)) == made


def test_the_layout(make_rollups):
    made = make_rollups(service="or ders")
    key = rollup_key(made)
    assert key == f"{HOUR}/service=or!20ders/{made.id}.pkr"
    assert parse_rollup_key(key) == made.id
    for other in (
        key.replace("rollups", "profiles"),
        key.replace("hour=12", "hour=13"),
        key.replace("or!20ders", "or ders"),
        key.replace("service=or!20ders/", ""),
        key.replace(".pkr", ".pkp"),
        key.replace(".pkr", ""),
        key.replace(made.id, made.id[1:]),
        key + "\n",
        "",
    ):
        assert parse_rollup_key(other) is None, other
    with pytest.raises(ConfigurationError, match="must be a ULID before the year 10000"):
        rollup_key(make_rollups(id="7" + "Z" * 25))


def test_what_is_put_is_found_again(store, make_rollups, problems):
    made = make_rollups()
    assert store.put_rollup(made) == rollup_key(made)
    assert list(store.scan_rollups(on_problem=problems)) == [made]
    assert list(open_storage(store.url, create=False).scan_rollups()) == [made]
    assert problems.found == {}


def test_neither_scan_sees_the_others(store, make_rollups, make_profile, scan, problems):
    made, entry = make_rollups(), store.put(make_profile())
    store.put_rollup(made)
    assert scan(store) == [entry]
    assert list(store.scan_rollups(on_problem=problems)) == [made]
    assert store.delete(made.id) is False
    with pytest.raises(StorageError, match="no profile"):
        store.load(made.id)
    store.delete(entry.id)
    assert list(store.scan_rollups(on_problem=problems)) == [made]
    assert problems.found == {}


def test_an_empty_store(store, make_profile, problems):
    assert list(store.scan_rollups(on_problem=problems)) == []
    store.put(make_profile())
    assert list(store.scan_rollups(on_problem=problems)) == []


def test_order_of_time_across_services_hours_and_days(store, make_rollups):
    made = [
        make_rollups(minute, service=f"s{index % 3}")
        for index, minute in enumerate((0, 4320, 61, 5, 59, 60, -1, 1440, 1))
    ]
    for one in made:
        store.put_rollup(one)
    assert list(store.scan_rollups()) == sorted(made, key=lambda one: one.start_ns)


def test_since_is_inclusive_until_exclusive_by_the_start_of_the_window(store, make_rollups):
    made = [make_rollups(step / 60_000) for step in (-1, 0, 1, 3_599_999, 3_600_000)]
    for one in made:
        store.put_rollup(one)
    assert list(store.scan_rollups(since=NOON)) == made[1:]
    assert list(store.scan_rollups(until=NOON)) == made[:1]
    hour, within = timedelta(hours=1), timedelta(milliseconds=1)
    assert list(store.scan_rollups(since=NOON + within, until=NOON + hour - within)) == made[2:3]
    east = NOON.astimezone(timezone(timedelta(hours=5)))
    for since in (NOON, east, NOON.replace(tzinfo=None)):
        assert list(store.scan_rollups(since=since, until=since + hour)) == made[1:4]
    with pytest.raises(ConfigurationError, match="must not be later"):
        store.scan_rollups(since=NOON, until=NOON - hour)


def test_services_are_matched_whole(store, make_rollups):
    long = "a.very.long.name/" * 20
    made = {name: make_rollups(service=name) for name in ("a", "A", "aa", long + "1", long + "2", "", "a/b")}
    for one in made.values():
        store.put_rollup(one)
    for name, one in made.items():
        assert list(store.scan_rollups(service=name)) == [one]
    assert list(store.scan_rollups(service="b")) == []


def test_the_same_set_again_replaces_it(store, make_rollups):
    made = make_rollups()
    store.put_rollup(made)
    after = dataclasses.replace(made, end_ns=made.end_ns + 1)
    store.put_rollup(after)
    assert list(store.scan_rollups()) == [after]


def test_what_cannot_be_stored_leaves_nothing(store, make_rollups):
    for fields in ({"seconds": math.nan}, {"id": "nonsense"}, {"id": "7" + "Z" * 25}):
        with pytest.raises(StorageError if "seconds" in fields else (StorageError, ConfigurationError)):
            store.put_rollup(make_rollups(**fields))
    assert list(store.scan_rollups()) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "longer", "foreign"])
def test_damage_is_named_and_the_others_are_found(store, make_rollups, problems, caplog, damage):
    made, other = make_rollups(), make_rollups(minute=1)
    key = store.put_rollup(made)
    store.put_rollup(other)
    data = encode_rollups(made)
    damaged = {
        "cut": data[:-1],
        "flipped": data[:100] + bytes([data[100] ^ 1]) + data[101:],
        "longer": data + b"\0",
        "foreign": b"x" * 500,
    }[damage]
    if isinstance(store, LocalStorage):
        (store.path / key).write_bytes(damaged)
    else:
        store.objects.write(key, damaged)
    assert list(store.scan_rollups(on_problem=problems)) == [other]
    assert set(problems.found) == {key}
    with caplog.at_level(logging.WARNING, "profkit"):
        assert list(store.scan_rollups()) == [other]
    (record,) = caplog.records
    assert record.getMessage() == f"not a set of rollups: {key}: {problems.found[key]}"


def test_many_threads(store, make_rollups):
    made = [make_rollups(minute) for minute in range(60)]
    errors = []

    def work(part):
        try:
            for one in part:
                store.put_rollup(one)
                assert one in list(
                    store.scan_rollups(on_problem=lambda key, reason: errors.append((key, reason)))
                )
        except Exception as error:  # noqa: BLE001 - told to the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(made[index::4],)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert list(store.scan_rollups()) == made


def test_a_store_that_keeps_none_says_so(make_rollups):
    class Old(ProfileStorage):
        url = "old://"

        def put(self, profile): ...
        def load(self, id): ...
        def scan(self, query=None, *, on_problem=None): ...
        def delete(self, id): ...

    assert Old().put_rollup(make_rollups()) is None
    assert list(Old().scan_rollups(since=NOON)) == []


@pytest.fixture
def directory(tmp_path):
    return LocalStorage(tmp_path / "store")


def plant(store, key, data=b"x" * 500):
    path = store.path / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_files_lie_where_their_key_says_are_private_and_alone(directory, make_rollups):
    path = directory.path / directory.put_rollup(make_rollups())
    assert [found for found in directory.path.rglob("*") if found.is_file()] == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_is_foreign_is_named_and_left_alone(directory, make_rollups, problems, tmp_path):
    made = make_rollups(id=STEADY)
    key = directory.put_rollup(made)
    data = (directory.path / key).read_bytes()
    other, link = key.replace("00.pkr", "01.pkr"), key.replace("00.pkr", "02.pkr")
    expected = {
        "rollups/v1/notes.txt": "no date=YYYY-MM-DD directory",
        f"{HOUR}/stray.pkr": "no service=NAME directory",
        f"{HOUR}/service=orders/README.md": "not named as a set of rollups is",
        key.replace("hour=12", "hour=14"): "not named as a set of rollups is",
        other: f"holds other rollups, {made.id}",
        key.replace("00.pkr", "03.pkr"): "3 bytes, too short for a set of rollups",
        key.replace("00.pkr", "04.pkr"): "not a set of rollups: it does not begin as one",
        link: "not a regular file",
    }
    for name in expected:
        if name != link:
            plant(directory, name)
    for name in (other, key.replace("hour=12", "hour=14")):
        plant(directory, name, data)
    plant(directory, key.replace("00.pkr", "03.pkr"), b"xxx")
    plant(directory, key.replace("00.pkr", "05.pkr"))
    os.truncate(directory.path / key.replace("00.pkr", "05.pkr"), 100 * 1024 * 1024)
    expected[key.replace("00.pkr", "05.pkr")] = "104857600 bytes, too long for a set of rollups"
    (directory.path / link).symlink_to(directory.path / key)
    (directory.path / f"{HOUR}/.hidden").write_bytes(b"x")

    assert list(directory.scan_rollups(on_problem=problems)) == [made]
    assert problems.found == expected


def test_a_link_leads_neither_in_nor_out(directory, make_rollups, problems, tmp_path):
    key = directory.put_rollup(make_rollups())
    hour = (directory.path / key).parents[1]
    hour.rename(tmp_path / "outside")
    hour.symlink_to(tmp_path / "outside")
    assert list(directory.scan_rollups(on_problem=problems)) == []
    assert problems.found == {HOUR: "a link, not a directory"}
    with pytest.raises(StorageError, match="is a link, not a directory"):
        directory.put_rollup(make_rollups())

    top = directory.path / "rollups"
    top.rename(tmp_path / "elsewhere")
    top.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is a link, not a directory, and is not followed"):
        directory.scan_rollups()
    assert list(directory.scan()) == []


def test_what_vanishes_during_a_scan_is_not_there(directory, make_rollups, problems, tmp_path):
    made = [make_rollups(minute, service=service) for minute, service in enumerate("abcda")]
    files = [directory.path / directory.put_rollup(one) for one in made]
    scan = directory.scan_rollups(on_problem=problems)
    next(scan)
    files[1].unlink()
    files[2].replace(tmp_path / "outside.pkr")
    files[2].symlink_to(tmp_path / "outside.pkr")
    files[3].parent.rename(tmp_path / "outside")
    files[3].parent.symlink_to(tmp_path / "outside")
    assert list(scan) == made[4:]
    assert problems.found == {}


def test_a_file_that_may_not_be_read_is_named(unprivileged, make_rollups, problems):
    store = LocalStorage(unprivileged / "store")
    key, readable = store.put_rollup(make_rollups()), make_rollups(minute=1)
    store.put_rollup(readable)
    (store.path / key).chmod(0)
    assert list(store.scan_rollups(on_problem=problems)) == [readable]
    assert set(problems.found) == {key}
    assert problems.found[key].endswith("cannot be read: Permission denied")


def test_a_directory_that_may_only_be_read(unprivileged, make_rollups):
    root = unprivileged / "store"
    made = make_rollups()
    LocalStorage(root).put_rollup(made)
    for path in (root, *root.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        reader = LocalStorage(root, create=False)
        with pytest.raises(StorageError, match="cannot be written: Permission denied"):
            reader.put_rollup(make_rollups())
        assert list(reader.scan_rollups()) == [made]
    finally:
        for path in (root, *root.rglob("*")):
            path.chmod(0o700)


def test_a_directory_that_is_gone(directory, tmp_path):
    assert list(LocalStorage(tmp_path, create=False).scan_rollups()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    directory.path.rename(tmp_path / "moved")
    with pytest.raises(StorageError, match="no such directory"):
        directory.scan_rollups()


@pytest.mark.parametrize("failing", ["fsync", "write", "replace"])
def test_a_failure_at_any_step_leaves_nothing(directory, make_rollups, monkeypatch, failing):
    def fail(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "replace") if failing == "replace" else (os, failing)), fail)
        with pytest.raises(StorageError, match="cannot be written: No space left on device: make room"):
            directory.put_rollup(make_rollups())
    assert not [path for path in directory.path.rglob("*") if path.is_file()]
    assert not list(directory.path.glob("rollups/v1/*"))
    assert list(directory.scan_rollups()) == []


WRITER = """
import resource, sys
from profkit_storage import Histogram, LocalStorage, Rollup, RollupSet, StorageError
from profkit_storage.ulid import new_ulid

store = LocalStorage(sys.argv[1])

def made(number, name="f"):
    start = 1_773_500_966_535_000_000 + number * 60_000_000_000
    row = Rollup(name, "db", number, 0, 1.5, 0, 0, {}, 1.0, Histogram({number: number}))
    return RollupSet(id=new_ulid(start), service=f"s{number % 2}", start_ns=start, end_ns=start, rollups=(row,))
"""


def start(script, root):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + script, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_and_a_reader_at_once(tmp_path, problems):
    script = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, 61):
    print(store.put_rollup(made(number)))
"""
    writers = [start(script, tmp_path) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    reader = LocalStorage(tmp_path, create=False)
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen = 0
    until = time.monotonic() + 60
    while any(writer.poll() is None for writer in writers) and time.monotonic() < until:
        found = list(reader.scan_rollups(on_problem=problems))
        assert len(found) >= seen, "never lost again"
        seen = len(found)
    written = [line for writer in writers for line in writer.communicate(timeout=60)[0].split()]
    found = list(reader.scan_rollups(on_problem=problems))
    assert sorted(map(rollup_key, found)) == sorted(written)
    assert [made.id for made in found] == sorted(made.id for made in found)
    assert sum(row.calls for made in found for row in made.rollups) == 2 * sum(range(1, 61))
    assert problems.found == {}


TOO_BIG = """
import os
print(store.put_rollup(made(1)))
try:
    store.put_rollup(made(2, os.urandom(300_000).hex()))
except StorageError as error:
    print(str(error).split(": ")[2].replace(" ", "-"))
print(store.put_rollup(made(3)))
"""


def check_full(script, root, problems):
    """Return why the second of three could not be stored, when the others have been."""
    first, reason, third = start(script, root).communicate(timeout=60)[0].split()
    found = list(LocalStorage(root, create=False).scan_rollups(on_problem=problems))
    assert [rollup_key(made) for made in found] == [first, third]
    assert len([path for path in root.rglob("*") if path.is_file()]) == 2
    assert problems.found == {}
    return reason


def test_a_file_that_may_not_grow(tmp_path, problems):
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    assert check_full(limit + TOO_BIG, tmp_path, problems) == "File-too-large"


@pytest.fixture
def small_disk(tmp_path):
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system takes root on Linux")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_is_full(small_disk, problems):
    assert check_full(TOO_BIG, small_disk / "store", problems) == "No-space-left-on-device"


def test_nothing_this_short_is_a_set(make_rollups):
    assert "too short" in refusal(encode_rollups(make_rollups())[: HEADER_SIZE - 1])


def test_old_ones_are_removed(store, make_rollups):
    made = [make_rollups(minute) for minute in (0, 1, 59, 61, 200)]
    for one in made:
        store.put_rollup(one)
    until = NOON + timedelta(minutes=61)
    assert store.delete_rollups(until, dry_run=True) == 3
    assert list(store.scan_rollups()) == made
    assert store.delete_rollups(until) == 3
    assert list(store.scan_rollups()) == made[3:]
    assert store.delete_rollups(until) == 0
