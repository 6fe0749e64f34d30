"""What needs a server that knows conditions, encryption and any name."""

import json

import pytest

from profkit_storage import ProfileQuery, S3Address, S3Storage, Status, StorageError, Trigger


@pytest.fixture
def store(moto_bucket):
    with S3Storage(moto_bucket.url) as store:
        yield store


@pytest.fixture
def versions(moto_bucket):
    """`versions(key) -> how often it was written`."""
    moto_bucket.client.put_bucket_versioning(
        Bucket=moto_bucket.name, VersioningConfiguration={"Status": "Enabled"}
    )

    def run(key):
        answer = moto_bucket.client.list_object_versions(Bucket=moto_bucket.name, Prefix=f"kept/here/{key}")
        return len(answer.get("Versions", []))

    return run


def test_the_same_again_is_written_once(store, versions, make_profile):
    profile = make_profile()
    entry = store.put(profile)
    assert store.put(profile) == entry
    assert versions(entry.key) == 1
    assert store.load(profile.id) == profile


def test_other_bytes_under_the_same_key_replace_it(store, versions):
    store.objects.write("profiles/v1/x", b"first")
    store.objects.write("profiles/v1/x", b"second")
    assert versions("profiles/v1/x") == 2
    assert store.objects.read("profiles/v1/x", 100) == b"second"


def test_a_running_one_is_replaced(store, make_profile, moto_bucket):
    running = make_profile(status=Status.RUNNING, trigger=Trigger.STALLED, wall=3.0)
    store.put(running)
    entry = store.put(make_profile(id=running.id, wall=9.0))
    assert moto_bucket.listed() == [f"kept/here/{entry.key}"]
    assert list(store.scan()) == [entry]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sse": "AES256"}, {"ServerSideEncryption": "AES256"}),
        ({"sse": "aws:kms"}, {"ServerSideEncryption": "aws:kms"}),
        (
            {"sse": "aws:kms:alias/profiles"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/profiles"},
        ),
        ({"storage_class": "STANDARD_IA"}, {"StorageClass": "STANDARD_IA"}),
    ],
)
def test_how_it_is_kept(moto_bucket, make_profile, options, said):
    address = S3Address(bucket=moto_bucket.name, endpoint_url=moto_bucket.endpoint, **options)
    with S3Storage(address) as store:
        entry = store.put(make_profile())
        head = moto_bucket.client.head_object(Bucket=moto_bucket.name, Key=entry.key)
        assert {name: head.get(name) for name in said} == said
        assert store.load(entry.id).id == entry.id


@pytest.mark.parametrize(
    "prefix", ["", "a", "with space/100%", "é/日本/+=&?#", "date=2026-01-01/hour=00", "~._-"]
)
def test_any_prefix_and_its_address(moto_bucket, make_profile, prefix):
    address = S3Address(bucket=moto_bucket.name, prefix=prefix, endpoint_url=moto_bucket.endpoint)
    with S3Storage(address) as store:
        entry = store.put(make_profile())
    assert moto_bucket.listed() == [f"{prefix}/{entry.key}".removeprefix("/")]
    assert S3Address.parse(address.url) == address
    with S3Storage(address.url, create=False) as again:
        assert list(again.scan()) == [entry]
        assert again.load(entry.id).id == entry.id


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "nul\0nul", "100%/%2e%2e", "é" * 300, "a\nb", "\udce9", "."]
)
def test_any_name_comes_back(store, make_profile, moto_bucket, name):
    entry = store.put(make_profile(service=name, operation=name, category=name))
    assert list(store.scan(ProfileQuery(service=name, operation=name, category=name))) == [entry]
    assert store.load_entry(entry).operation == name.encode("utf-8", "backslashreplace").decode()
    (key,) = moto_bucket.listed()
    assert key.isascii()
    assert store.delete(entry.id) is True
    assert moto_bucket.listed() == []


def test_hostile_keys_in_the_bucket_are_named_on_one_line(store, make_profile, moto_bucket, problems):
    entry = store.put(make_profile())
    directory = entry.key.rpartition("/")[0]
    names = ["100%", "%2e%2e%2fx", "é日本", "a b+c&d=e?f#g", "<&>", "a//b", "bell\a"]
    for name in names:
        moto_bucket.client.put_object(
            Bucket=moto_bucket.name, Key=f"kept/here/{directory}/{name}", Body=b"x" * 100
        )
    assert list(store.scan(on_problem=problems)) == [entry]
    assert len(problems.found) == len(names)
    assert all(key.startswith(directory) and key.isprintable() for key in problems.found)


def test_directories_as_browsers_make_them_are_passed_over(store, make_profile, moto_bucket, problems):
    entry = store.put(make_profile())
    parts = entry.key.split("/")
    for depth in range(1, len(parts)):
        marker = "/".join(["kept/here", *parts[:depth], ""])
        moto_bucket.client.put_object(Bucket=moto_bucket.name, Key=marker, Body=b"")
    assert list(store.scan(on_problem=problems)) == [entry]
    assert list(store.scan(ProfileQuery(service=entry.service), on_problem=problems)) == [entry]
    assert store.load(entry.id).id == entry.id
    assert problems.found == {}


def forbid(bucket, action, key="*"):
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": f"arn:aws:s3:::{bucket.name}/{key}",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))


def test_access_denied(moto_bucket, make_profile):
    with S3Storage(moto_bucket.url) as store:
        entry = store.put(make_profile())
        forbid(moto_bucket, "s3:GetObject")
        with pytest.raises(StorageError, match="access denied: the credentials need s3:ListBucket"):
            store.load(entry.id)
        forbid(moto_bucket, "s3:PutObject")
        with pytest.raises(StorageError, match="cannot be written: access denied"):
            store.put(make_profile())
    with pytest.raises(StorageError, match="cannot be written: access denied"):
        S3Storage(moto_bucket.url)


def test_errors_within_the_answer_to_a_batch_are_errors(store, make_profile, moto_bucket):
    entries = [store.put(make_profile()) for _ in range(5)]
    forbid(moto_bucket, "s3:DeleteObject", f"kept/here/{entries[3].key}")
    with pytest.raises(
        StorageError, match=r"objects cannot be removed: 1 of 5 cannot be: .*access denied"
    ) as caught:
        store.objects.remove_all(entry.key for entry in entries)
    assert entries[3].key in str(caught.value)
    assert list(store.scan()) == [entries[3]]
