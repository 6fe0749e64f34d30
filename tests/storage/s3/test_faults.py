"""What networks and servers do, done to the answers of a real server on their way."""

import socket
import threading
import time

import pytest

from profkit_storage import (
    Patience,
    ProfileNotFound,
    S3Storage,
    StorageError,
    StoreUnavailable,
)

QUICK = Patience(connect=0.5, read=0.3, total=2.0, attempts=2)


@pytest.fixture
def store(through):
    with S3Storage(through.url, patience=QUICK) as store:
        yield store


@pytest.fixture
def kept(store, make_profile):
    """A profile that is there already."""
    return store.put(make_profile())


def times(count, fault):
    """Do `fault` to so many requests, and pass on the others."""
    left = iter(range(count))
    lock = threading.Lock()

    def run(exchange):
        with lock:
            struck = next(left, None) is not None
        return fault(exchange) if struck else exchange.pass_on()

    return run


def slow_down(exchange):
    exchange.refuse("503 Slow Down", "SlowDown", "Please reduce your request rate.")


def reset(exchange):
    exchange.reset()


def reset_half_way(exchange):
    exchange.pass_half_on()
    exchange.reset()


def cut(exchange):
    exchange.pass_half_on()


def silence(exchange):
    exchange.keep_silent()


def silence_half_way(exchange):
    exchange.pass_half_on()
    exchange.keep_silent()


PASSING = [slow_down, reset, reset_half_way, cut, silence, silence_half_way]


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_not_noticed(store, kept, proxy, make_profile, fault, bucket):
    profile = make_profile()
    for work in (
        lambda: store.put(profile).id == profile.id,
        lambda: store.load(profile.id) == profile,
        lambda: store.load_entry(kept).id == kept.id,
        lambda: len(list(store.scan())) == 2,
        lambda: store.delete(profile.id),
    ):
        proxy.fault = times(1, fault)
        assert work()
    assert [key.removeprefix("kept/here/") for key in bucket.listed()] == [kept.key]


@pytest.mark.parametrize("fault", PASSING)
def test_what_lasts_is_told_soon(store, kept, proxy, make_profile, fault):
    proxy.fault = fault
    for work in (
        lambda: store.load(kept.id),
        lambda: store.load_entry(kept),
        lambda: list(store.scan()),
        lambda: store.put(make_profile()),
        lambda: store.objects.remove_all(["profiles/v1/none"]),
    ):
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            work()
        assert time.monotonic() - begun < QUICK.total + 2
        told(caught.value, store)
    proxy.fault = pass_on
    assert list(store.scan()) == [kept]


def told(error, store):
    """What is told is one line that names the store and no secret."""
    text = str(error)
    assert text.startswith(store.url)
    assert "secret" not in text
    assert "access-key" not in text
    assert text.isprintable()


def test_throttled_for_a_while(through, proxy, make_profile):
    with S3Storage(through.url, patience=Patience(attempts=4)) as store:
        proxy.fault = times(2, slow_down)
        begun = time.monotonic()
        profile = make_profile()
        store.objects.write("profiles/v1/x", b"x")
        assert proxy.count("PUT", "profiles/v1/x") == 3
        assert time.monotonic() - begun < 6
        assert store.put(profile).id == profile.id


def test_refused(store, kept, proxy, make_profile):
    proxy.stop()
    with pytest.raises(StoreUnavailable, match="cannot be reached: Connection refused") as caught:
        store.put(make_profile())
    told(caught.value, store)
    proxy.start()
    assert store.load(kept.id).id == kept.id


def test_a_name_that_is_none(bucket):
    url = f"s3://{bucket.name}?endpoint_url=http://nowhere.invalid"
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        S3Storage(url, patience=QUICK)


def test_a_gateways_page_does_not_pass_for_an_answer(store, kept, proxy, make_profile):
    for body in (b"", b"<html>busy</html>", b"\0" * 300, b"<ListBucketResult><Contents>"):
        proxy.fault = lambda exchange, body=body: exchange.answer("200 OK", body)
        for work in (
            lambda: store.load(kept.id),
            lambda: store.load_entry(kept),
            lambda: list(store.scan()),
            lambda: store.objects.write("profiles/v1/x", b"x"),
            lambda: store.objects.remove_all([kept.key]),
        ):
            with pytest.raises(StoreUnavailable, match=r"not answer as S3 does|is too busy") as caught:
                work()
            told(caught.value, store)


def test_a_server_that_does_not_list_in_order(store, kept, proxy, make_profile):
    """Without the check it would be listed for ever, or twice."""
    store.put(make_profile())

    def page(exchange):
        contents = "".join(
            f"<Contents><Key>kept/here/profiles/v1/{name}</Key><Size>1</Size>"
            "<LastModified>2026-03-14T12:00:00.000Z</LastModified></Contents>"
            for name in "ba"
        )
        exchange.answer(
            "200 OK",
            f"<ListBucketResult><IsTruncated>true</IsTruncated>{contents}</ListBucketResult>".encode(),
        )

    proxy.fault = page
    with pytest.raises(StorageError, match="does not list keys in order"):
        list(store.scan(on_problem=lambda key, reason: None))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (("404 Not Found", "NoSuchBucket"), "there is no such bucket, and none is made"),
        (("403 Forbidden", "AccessDenied", "User: me is not authorized"), "access denied: .*User: me is not"),
        (("403 Forbidden", "ExpiredToken"), "the credentials that boto3 found are refused: they have expired"),
        (("403 Forbidden", "RequestTimeTooSkewed"), "clock and the server's differ too much"),
        (("301 Moved", "PermanentRedirect", "", "<Region>eu-west-7</Region>"), "wrong region: .*region=: eu-west-7"),
        (("400 Bad", "AuthorizationHeaderMalformed", "", "<Region>eu-west-7</Region>"), "wrong region: .*eu-west-7"),
        (("400 Bad", "KMS.NotFoundException", "no key k"), "the key of KMS cannot be used .*no key k"),
        (("400 Bad", "Odd", "line\none" + "x" * 1000), "Odd: line"),
    ],
)  # fmt: skip
def test_what_a_server_refuses_for_good(store, kept, proxy, answer, said):
    proxy.fault = lambda exchange: exchange.refuse(*answer)
    with pytest.raises(StorageError, match=said) as caught:
        store.load(kept.id)
    assert not isinstance(caught.value, StoreUnavailable | ProfileNotFound)
    assert len(str(caught.value)) < 1000
    told(caught.value, store)


def test_a_missing_bucket(bucket):
    for create in (True, False):
        with pytest.raises(StorageError, match="there is no such bucket, and none is made"):
            S3Storage(bucket.url.replace(bucket.name, f"{bucket.name}-not"), create=create)


def test_credentials_that_are_wrong(bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(StorageError, match="the credentials that boto3 found are refused") as caught:
        S3Storage(bucket.url)
    assert "another-secret" not in str(caught.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown-key")
    with pytest.raises(StorageError, match="the credentials that boto3 found are refused"):
        S3Storage(bucket.url)


def test_no_credentials(bucket, monkeypatch):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StorageError, match="boto3 finds no credentials"):
        S3Storage(bucket.url)


def test_a_clock_that_is_wrong(store, kept, proxy):
    """The server is told of another day, as by a machine whose clock is wrong."""

    def another_day(exchange):
        lines = exchange.head.split(b"\r\n")
        dated = [b"x-amz-date: 20200101T000000Z" if x.lower().startswith(b"x-amz-date") else x for x in lines]
        exchange.head = b"\r\n".join(dated)
        exchange.pass_on()

    proxy.fault = another_day
    with pytest.raises(StorageError, match="clock and the server's differ too much"):
        store.load(kept.id)


def test_a_server_without_conditions(through, proxy, make_profile):
    def without(exchange):
        if b"if-none-match" in exchange.head.lower():
            exchange.refuse("501 Not Implemented", "NotImplemented", "A header implies what is not there")
        else:
            exchange.pass_on()

    proxy.fault = without
    with S3Storage(through.url, patience=QUICK) as store:
        begun = proxy.count("PUT")
        entry = store.put(make_profile())
        assert store.load(entry.id).id == entry.id
        assert proxy.count("PUT") == begun + 1, "it is not asked again"


@pytest.mark.parametrize("status", ["409 Conflict", "400 Bad"])
def test_a_condition_that_is_refused_once(store, proxy, status):
    code = {"409": "ConditionalRequestConflict", "400": "InvalidArgument"}[status[:3]]
    proxy.fault = times(1, lambda exchange: exchange.refuse(status, code))
    store.objects.write("profiles/v1/x", b"x")
    assert store.objects.read("profiles/v1/x", 10) == b"x"


def test_a_server_without_batches(store, proxy, make_profile, bucket):
    entries = [store.put(make_profile()) for _ in range(3)]

    def without(exchange):
        if exchange.line.startswith("POST"):
            exchange.refuse("400 Bad Request", "MissingContentMD5")
        else:
            exchange.pass_on()

    proxy.fault = without
    assert store.objects.remove_all(entry.key for entry in entries) == 3
    assert bucket.listed() == []


def test_an_answer_that_was_lost_is_not_an_error(store, proxy, make_profile, bucket):
    """The put got through, and only its answer did not."""

    def lost(exchange):
        exchange.pass_half_on()
        exchange.reset()

    profile = make_profile()
    proxy.fault = only("PUT", times(1, lost))
    entry = store.put(profile)
    assert len(bucket.listed()) == 1
    assert store.load(entry.id) == profile


def only(method, fault):
    return lambda exchange: fault(exchange) if exchange.line.startswith(method) else exchange.pass_on()


def pass_on(exchange):
    exchange.pass_on()


def test_down_under_load_and_back(store, proxy, make_profile, bucket, problems):
    """Each put says whether it is stored: what is, is there whole and once; what is not may be put again."""
    stored, refused, unexpected = [], [], []
    ends = time.monotonic() + 2

    def work():
        while time.monotonic() < ends:
            profile = make_profile()
            try:
                store.put(profile)
            except StoreUnavailable:
                refused.append(profile)
            except Exception as error:  # noqa: BLE001 - told to the main thread
                unexpected.append(error)
            else:
                stored.append(profile)
            time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    proxy.stop()
    time.sleep(0.8)
    down = len(refused)
    proxy.start()
    for thread in threads:
        thread.join()

    assert unexpected == []
    assert down, "it was down"
    assert stored
    for profile in refused:
        store.put(profile)
    loaded = {entry.id: profile for entry, profile in store.load_many(store.scan(on_problem=problems))}
    assert loaded == {profile.id: profile for profile in stored + refused}
    assert len(bucket.listed()) == len(loaded)
    assert problems.found == {}


def test_loading_many_ends_where_the_store_does(store, proxy, make_profile, problems):
    entries = [store.put(make_profile()) for _ in range(40)]
    loading = store.load_many(entries, workers=2, on_problem=problems)
    next(loading)
    proxy.stop()
    with pytest.raises(StoreUnavailable):
        list(loading)
    assert problems.found == {}


def test_no_one_waits_much_longer_than_thirty_seconds():
    patience = Patience()
    assert patience.total + patience.read < 30


def test_attempts_end_with_the_time_for_a_call(through, proxy):
    patience = Patience(connect=0.5, read=0.2, total=0.5, attempts=100)
    with S3Storage(through.url, patience=patience) as store:
        for fault, said in ((silence, "no success in 0.5 s"), (cut, "cannot be reached|no success")):
            proxy.fault = fault
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable, match=said):
                list(store.scan())
            assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    "wrong", [{"read": 0}, {"total": -1.0}, {"connect": float("inf")}, {"attempts": 0}, {"attempts": 1.5}]
)
def test_patience_that_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} .*must be a (finite|whole) number above 0"):
        Patience(**wrong)


def test_an_empty_answer(proxy, store, kept):
    """As by a process that dies while it is asked."""
    proxy.fault = lambda exchange: None
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.load(kept.id)


def test_nothing_but_the_port_is_there(bucket, make_profile):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"s3://{bucket.name}?endpoint_url=http://127.0.0.1:{listener.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match="cannot be reached: no answer in time"):
            S3Storage(url, patience=QUICK)
        assert time.monotonic() - begun < 2
