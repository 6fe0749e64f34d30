"""How much is asked of a server: counted on the way to it."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from profkit_storage import ProfileQuery, S3Storage
from profkit_storage.keys import hour_prefix
from profkit_storage.ulid import new_ulid

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def nanoseconds(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.fixture
def store(through):
    with S3Storage(through.url) as store:
        yield store


@pytest.fixture
def strew(nanio, bucket):
    """`strew(moment, service, count) -> ids`: files where nanio keeps objects, of a profile's least size."""

    def run(moment, service, count):
        ids = sorted(new_ulid(nanoseconds(moment)) for _ in range(count))
        directory = nanio.data / bucket.name / "kept/here" / hour_prefix(ids[0]) / f"service={service}"
        directory.mkdir(parents=True, exist_ok=True)
        for id in ids:
            (directory / f"{id}.agent.op.1500.ok.slow.pkp").write_bytes(b"x" * 100)
        return ids

    return run


@pytest.fixture
def asked(proxy):
    """`asked(work) -> what it returns, the requests to list profiles`; there are about as many for blocks."""

    def run(work):
        before = len(proxy.requests)
        found = work()
        lists = [line for line in proxy.requests[before:] if "list-type=2" in line]
        originals = [line for line in lists if "blocks%2Fv1%2F" not in line]
        assert len(lists) <= 2 * len(originals) + 1
        return found, originals

    return run


def test_an_hour_is_found_without_listing_the_others(store, strew, asked):
    for hour in range(0, 24, 3):
        strew(NOON + (hour - 12) * HOUR, "orders", 300)
    ids = strew(NOON + HOUR, "orders", 4)

    every, lists = asked(lambda: list(store.scan()))
    assert (len(every), len(lists)) == (2404, 3)
    query = ProfileQuery(since=NOON + HOUR, until=NOON + 2 * HOUR)
    found, lists = asked(lambda: list(store.scan(query)))
    assert [entry.id for entry in found] == ids
    assert len(lists) == 1
    assert "date%3D2026-03-14%2Fhour%3D13%2F" in lists[0]


def test_since_skips_and_until_stops(store, strew, asked):
    for hour in range(8):
        strew(NOON + hour * HOUR, "orders", 300)
    for bounds, count in (
        ({"since": NOON + 5 * HOUR}, 900),
        ({"until": NOON + 3 * HOUR}, 900),
        ({"since": NOON + 2 * HOUR, "until": NOON + 4 * HOUR}, 600),
    ):
        query = ProfileQuery(**bounds)
        found, lists = asked(lambda query=query: list(store.scan(query)))
        assert (len(found), len(lists)) == (count, 1)
    found, lists = asked(lambda: list(store.scan(ProfileQuery(since=NOON, until=NOON))))
    assert (found, lists) == ([], [])


def test_the_others_of_full_hours_are_leapt_over(store, strew, asked):
    ids = []
    for hour in range(2):
        strew(NOON + hour * HOUR, "busy", 2100)
        ids += strew(NOON + hour * HOUR, "orders", 5)
        strew(NOON + hour * HOUR, "zealous", 1100)
    found, lists = asked(lambda: list(store.scan(ProfileQuery(service="orders"))))
    assert [entry.id for entry in found] == ids
    assert len(lists) == 4, "there are 6,410 objects"
    found, lists = asked(
        lambda: list(store.scan(ProfileQuery(service="orders", since=NOON, until=NOON + HOUR)))
    )
    assert [entry.id for entry in found] == ids[:5]
    assert len(lists) == 1
    assert list(store.scan(ProfileQuery(service="missing"))) == []


def test_an_hour_of_many_pages_is_read_whole(store, strew):
    ids = strew(NOON, "a", 600) + strew(NOON, "b", 600)
    assert [entry.id for entry in store.scan(ProfileQuery(since=NOON, until=NOON + HOUR))] == sorted(ids)
    (part,) = store.partitions()
    assert part.profiles == 1200


def test_an_id_is_found_in_a_full_hour(store, strew, asked):
    strew(NOON, "a", 2100)
    strew(NOON, "b", 2100)
    (id,) = strew(NOON + timedelta(seconds=1), "bb", 1)
    found, lists = asked(lambda: store.objects.find(hour_prefix(id), id))
    assert [one.key.rpartition("/")[2][:26] for one in found] == [id]
    assert len(lists) == 3, "of five pages"
    assert store.objects.find(hour_prefix(id), new_ulid(nanoseconds(NOON))) == []


def test_few_requests_a_profile(store, strew, proxy, make_profile):
    def methods(work):
        before = len(proxy.requests)
        work()
        return [line.split()[0] for line in proxy.requests[before:]]

    strew(NOON, "busy", 1100)
    profile = make_profile(start_ns=nanoseconds(NOON))
    assert methods(lambda: store.put(profile)) == ["GET", "PUT"], "a full hour is not searched"
    (entry,) = store.scan(ProfileQuery(service=profile.service))
    assert methods(lambda: store.load_entry(entry)) == ["GET"]
    other = store.put(make_profile(start_ns=nanoseconds(NOON + HOUR)))
    assert methods(lambda: store.load(other.id)) == ["GET", "GET"]


def test_many_are_loaded_at_once_and_not_too_many(store, proxy, make_profile):
    entries = [store.put(make_profile()) for _ in range(32)]
    lock, now, most = threading.Lock(), 0, 0

    def slowly(exchange):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.1)
        with lock:
            now -= 1
        exchange.pass_on()

    proxy.fault = slowly
    begun = time.monotonic()
    assert [entry for entry, _ in store.load_many(entries)] == entries
    assert time.monotonic() - begun < 2.4, "3.2 s of waiting in all"
    assert 4 < most <= store.parallel_loads


def test_the_command_reads_a_bucket(store, make_profile, bucket):
    def command(*arguments):
        code = "import sys; from profkit_analyzers.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=False
        )

    entry = store.put(make_profile())
    for arguments in (["list", bucket.url], ["show", entry.id, bucket.url], ["analyze", bucket.url]):
        done = command(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments
        assert "agent.route" in done.stdout
    done = command("list", bucket.url.replace(bucket.name, "not-there"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "there is no such bucket" in done.stderr


def test_removed_by_the_thousand(store, strew, proxy, bucket):
    strew(NOON, "orders", 2100)
    keys = [entry.key for entry in store.scan()]
    assert store.objects.remove_all(iter(keys)) == 2100
    assert proxy.count("POST") == 3
    assert bucket.listed() == []
    assert store.objects.remove_all([]) == 0


def test_one_is_removed_if_there_is_one(store, make_profile):
    key = store.put(make_profile()).key
    assert store.objects.remove(key) is True
    assert store.objects.remove(key) is False


def test_no_more_is_read_than_may_be(store, bucket, proxy):
    key = "profiles/v1/large"
    bucket.client.put_object(Bucket=bucket.name, Key=f"kept/here/{key}", Body=bytes(16 << 20))
    before = proxy.passed
    assert store.objects.read(key, 1000) == bytes(1001)
    assert proxy.passed - before < 4 << 20
    assert store.objects.read(key, 16 << 20) == bytes(16 << 20)
    assert store.objects.read("profiles/v1/none", 10) is None


def test_what_lies_elsewhere_is_told_once_each(store, bucket, problems, make_profile):
    entry = store.put(make_profile())
    directory = entry.key.rpartition("/")[0]
    hour = directory.rpartition("/")[0]
    foreign = [
        "profiles/v1/zzz",
        "profiles/v1/date=2026-02-30/hour=12/service=a/x",
        "profiles/v1/date=2026-03-14/notes.txt",
        "profiles/v1/date=2026-03-14/hour=24/service=a/x",
        f"{hour}/orders/x",
        f"{directory}/deeper/x",
        f"{directory}/x.pkp",
    ]
    unseen = ["profiles/v1/.incoming/1-2", f"{directory}/.hidden", "profiles/v1-old/x", "elsewhere"]
    for key in foreign + unseen:
        bucket.client.put_object(Bucket=bucket.name, Key=f"kept/here/{key}", Body=b"x" * 100)

    assert list(store.scan(on_problem=problems)) == [entry]
    assert set(problems.found) == set(foreign)


def test_the_trial_leaves_nothing(store, bucket):
    store.check_writable()
    assert bucket.listed() == []


FORKING = """
import os, sys, threading
from profkit_storage import S3Storage

store = S3Storage(sys.argv[1], create=False)
keys = sys.argv[2].split()

def read():
    for _ in range(40):
        for key in keys:
            data = store.objects.read(key, 1 << 20)
            assert data == key.encode() * 1000, (key, data[:100])

read()  # the parent has a connection open now
client = store.objects._connection._client()
child = os.fork()
read()
if child == 0:
    os._exit(store.objects._connection._client() is client)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_has_connections_of_its_own(bucket):
    keys = ["a", "b", "c"]
    for key in keys:
        bucket.client.put_object(Bucket=bucket.name, Key=f"kept/here/{key}", Body=key.encode() * 1000)
    done = subprocess.run(
        [sys.executable, "-c", FORKING, bucket.url, " ".join(keys)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stderr) == (0, "")
