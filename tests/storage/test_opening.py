import gc
from pathlib import Path

import pytest

from profkit_storage import ConfigurationError, LocalStorage, MemoryStorage, StorageError, open_storage


@pytest.mark.parametrize("form", ["{}", "file://{}", "FILE://localhost{}", "{}/../store"])
def test_directories(tmp_path, make_profile, form):
    store = open_storage(form.format(tmp_path / "store"))
    assert isinstance(store, LocalStorage)
    entry = store.put(make_profile())
    assert (tmp_path / "store" / entry.key).is_file()


def test_a_path_object_and_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_storage(Path("file:odd")).url == (tmp_path / "file:odd").as_uri()
    assert open_storage("./data:1").url == (tmp_path / "data:1").as_uri()
    assert open_storage("plain").url == (tmp_path / "plain").as_uri()


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_storage("~/profiles").url == (tmp_path / "profiles").as_uri()
    with pytest.raises(ConfigurationError, match="~nobody-of-this-name"):
        open_storage("~nobody-of-this-name/x")


@pytest.mark.parametrize("name", ["with space", "100%", "a?b#c", "é", "caf\udce9", "%41", "~"])
def test_any_directorys_address_opens_it(tmp_path, name):
    store = open_storage(tmp_path / name)
    assert store.url.isascii()
    again = open_storage(store.url, create=False)
    assert isinstance(again, LocalStorage)
    assert again.path == tmp_path / name


def test_create(tmp_path):
    with pytest.raises(StorageError, match="no such directory"):
        open_storage(str(tmp_path / "missing"), create=False)
    open_storage(str(tmp_path / "missing"))
    assert (tmp_path / "missing").is_dir()


def test_memory_is_shared_by_name(make_profile):
    store = open_storage("memory://shared-by-name")
    entry = store.put(make_profile())
    del store
    gc.collect()
    again = open_storage("memory://shared-by-name", create=False)
    assert isinstance(again, MemoryStorage)
    assert again.url == "memory://shared-by-name"
    assert list(again.scan()) == [entry]
    assert list(open_storage("memory://other").scan()) == []


def test_memory_without_a_name_is_new_each_time_and_goes_when_let_go(make_profile):
    first, second = open_storage("memory://"), open_storage("memory://")
    first.put(make_profile())
    assert list(second.scan()) == []
    assert open_storage(first.url) is first
    url = first.url
    del first
    gc.collect()
    assert list(open_storage(url).scan()) == []


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("", "''"),
        ("  ", "'  '"),
        ("s3:bucket/prefix", "s3: is not known"),
        ("redis://host/0", "redis:// is not known"),
        ("http://host/x", "http:// is not known"),
        ("file:/abs", "file: is not known"),
        ("memory:x", "memory: is not known"),
        ("data:1/x", "a path with a colon begins with ./ or /"),
        ("file://", "needs an absolute path"),
        ("file://relative", "no host but localhost"),
        ("file://relative/x", "no host but localhost"),
        ("file://~/x", "no host but localhost"),
        ("file:///a?mode=ro", "takes no options"),
        ("file:///a#b", "takes no options"),
        ("file:///100%", "% must be followed by two hex digits"),
        ("file:///a%zz", "% must be followed by two hex digits"),
        ("memory://a/b", "a name in memory holds"),
        ("memory://a?b", "a name in memory holds"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_addresses_that_are_refused(address, named, create, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        open_storage(address, create=create)
    message = str(caught.value)
    assert named in message
    assert address.partition("?")[0] in message
    assert "allowed are a directory's path, file:///directory, memory://, memory://name and s3://" in message
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_a_nul():
    for address in ("a\0b", "file:///a%00b"):
        with pytest.raises(ConfigurationError, match="must be the path of a directory"):
            open_storage(address)


@pytest.mark.parametrize(
    "address",
    [
        "s3:user:hunter2@bucket/x",
        "S3:/user:hunter2@bucket/x",
        "postgres:user:hunter2@host/x",
        "s3://user:a/hunter2@bucket/x",
        "s3://user:hunter2/x",
        "s3://user%3Ahunter2/x",
        "s3://user:hunter2%40bucket/x",
        "s3://user:hunter2?2@bucket/x",
        "s3://bucket?aws_secret_access_key=hunter2",
        "s3://bucket?hunter2",
        "s3://bucket?hunter2=1",
        "s3://bucket?endpoint_url=http://user:hunter2@host",
        "s3://bucket?endpoint_url=http://user%3Ahunter2%40host",
        "s3://bucket?endpoint_url=http://host%3Fkey%3Dhunter2",
        "s3://bucket?region=hunter2.",
        "s3://bucket?sse=hunter2",
        "http://user:hunter2?x@host",
        "ftp://u:hunter2@h/",
        "s3://b?secret=hunter2",
        "file://u:hunter2@host/x",
    ],
)
def test_no_message_shows_a_secret(address):
    with pytest.raises(ConfigurationError) as caught:
        open_storage(address)
    assert "hunter2" not in str(caught.value)
