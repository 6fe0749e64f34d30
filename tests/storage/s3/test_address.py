"""Addresses of buckets, and what a machine's own configuration may say."""

import os
import subprocess
import sys

import pytest

from profkit_storage import ConfigurationError, S3Address, S3Storage, open_storage


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        ("s3://bucket", {}),
        ("s3://bucket/", {}),
        ("S3://bucket/a/b/", {"prefix": "a/b"}),
        ("s3://my.bucket-1/a%20b/100%25", {"prefix": "a b/100%"}),
        ("s3://bucket/p?endpoint_url=&region=&profile=&sse=&storage_class=&addressing=", {"prefix": "p"}),
        (
            "s3://bucket?endpoint_url=https://s3.example.org:9000/at&region=eu-central-1&profile=my team",
            {
                "endpoint_url": "https://s3.example.org:9000/at",
                "region": "eu-central-1",
                "profile": "my team",
            },
        ),
        ("s3://bucket?endpoint_url=http%3A%2F%2F[::1]:9", {"endpoint_url": "http://[::1]:9"}),
        (
            "s3://bucket?sse=aws:kms:arn:aws:kms:eu-west-1:1:key/1-2&storage_class=GLACIER_IR&addressing=virtual",
            {
                "sse": "aws:kms:arn:aws:kms:eu-west-1:1:key/1-2",
                "storage_class": "GLACIER_IR",
                "addressing": "virtual",
            },
        ),
    ],
)
def test_addresses(url, fields):
    address = S3Address.parse(url)
    assert address == S3Address(bucket=address.bucket, **fields)
    assert S3Address.parse(address.url) == address
    assert address.url.isascii()


@pytest.mark.parametrize(
    ("sse", "key"),
    [("", ""), ("AES256", ""), ("aws:kms", ""), ("aws:kms:alias/mine", "alias/mine"), ("aws:kms:1-2", "1-2")],
)
def test_the_key_to_encrypt_with(sse, key):
    assert S3Address(bucket="bucket", sse=sse).kms_key == key


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("s3://", "bucket must be 3 to 63"),
        ("s3:///a", "bucket must be 3 to 63"),
        ("s3://ab", "bucket must be 3 to 63"),
        ("s3://" + "a" * 64, "bucket must be 3 to 63"),
        ("s3://My_Bucket/x", "'s3://My_Bucket': bucket must be 3 to 63"),
        ("s3://bucket-/x", "bucket must be 3 to 63"),
        ("s3://a..b/x", "bucket must be 3 to 63"),
        ("s3://192.168.0.1/x", "and no IP address"),
        ("s3://bucket--use1-az4--x-s3", "a directory bucket lists its keys in no order"),
        ("s3://bucket/a//b", "no empty part"),
        ("s3://bucket/../b", "none that is '.' or '..'"),
        ("s3://bucket/a/./b", "none that is '.' or '..'"),
        ("s3://bucket/a%00b", "printable characters"),
        ("s3://bucket/" + "a" * 513, "at most 512 bytes"),
        ("s3://bucket/a%zz", "% must be followed by two hex digits"),
        ("s3://bucket/a%ff", "must be UTF-8"),
        ("s3://bucket/a#b", "takes no fragment"),
        ("s3://bucket?a=b&mode=x", "option a is not known; options are endpoint_url, region, profile, sse"),
        ("s3://bucket?region", "an option is NAME=VALUE"),
        ("s3://bucket?region=a&region=b", "option region is given twice"),
        ("s3://bucket?region=eu_west", "region must be letters, digits and '-'"),
        ("s3://bucket?endpoint_url=localhost:9000", "endpoint_url must be http:// or https://"),
        ("s3://bucket?endpoint_url=http://", "endpoint_url must be http:// or https://"),
        ("s3://bucket?endpoint_url=http://h:99999", "endpoint_url must be http:// or https://"),
        ("s3://bucket?endpoint_url=ftp://h", "endpoint_url must be http:// or https://"),
        ("s3://bucket?endpoint_url=http://h/%3Fq=1", "endpoint_url must be http:// or https://"),
        ("s3://bucket?sse=AES128", "sse must be AES256, aws:kms or aws:kms:KEY"),
        ("s3://bucket?sse=aws:kms:", "sse must be AES256, aws:kms or aws:kms:KEY"),
        ("s3://bucket?storage_class=DEEP_ARCHIVE", "storage_class must be one of STANDARD, STANDARD_IA"),
        ("s3://bucket?addressing=dns", "addressing must be one of auto, path, virtual"),
        ("s3://bucket?profile=a%0Ab", "profile must be the name of a profile"),
        ("s3://key:secret@bucket", "credentials do not belong in an address"),
    ],
)
def test_addresses_that_are_refused(url, named):
    with pytest.raises(ConfigurationError) as caught:
        open_storage(url)
    assert named in str(caught.value)


def test_a_profile_that_is_not_there(credentials):
    with pytest.raises(ConfigurationError, match="profile must be one of the AWS configuration"):
        S3Storage("s3://bucket?profile=nobody")


def test_a_profile_that_is_there(credentials, bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    (tmp_path / "credentials").write_text(
        f"[team]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    with S3Storage(f"{bucket.url}&profile=team") as store:
        assert list(store.scan()) == []
    monkeypatch.setenv("AWS_PROFILE", "gone")
    with S3Storage(f"{bucket.url}&profile=team") as store:
        assert list(store.scan()) == [], "the address says which, whatever the environment does"


def test_an_endpoint_from_the_environment(credentials, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.endpoint)
    with S3Storage(f"s3://{bucket.name}") as store:
        assert list(store.scan()) == []


def test_a_password_in_the_environments_endpoint_is_refused_and_not_shown(credentials, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://user:hunter2@127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="the endpoint in boto3's configuration") as caught:
        S3Storage("s3://bucket")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("missing", ["boto3", "botocore"])
def test_without_boto3_the_extra_is_named(missing):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from profkit_storage import ConfigurationError, open_storage\n"
        "try: open_storage('s3://bucket')\n"
        "except ConfigurationError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip().endswith("which is not installed: pip install 'profkit[s3]'")
