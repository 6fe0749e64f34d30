"""With a cache the report is the one without, and what is in the directory is worked out once, and never trusted."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from hashlib import blake2b
from pathlib import Path

import pytest
import zstandard

from profkit_analyzers import Budgets, InProcess, ProcessPool, ProfileAnalyzer, analyzer
from profkit_analyzers.cli import main
from profkit_analyzers.engines import cache, engine, part_files
from profkit_analyzers.engines.parts import chunks
from profkit_analyzers.findings import scene
from profkit_analyzers.ranking import summary
from profkit_storage import ConfigurationError, ProfileQuery, categories, open_storage
from profkit_storage.categories import default_categories, load_categories
from tests.analyzers.corpus import DAY_NS, KINDS, START_NS, generate
from tests.analyzers.test_parts import captured


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 10)


@pytest.fixture
def worked(monkeypatch):
    """How many profiles each chunk had that was worked on in this process."""
    sizes = []

    def counting(storage, chunk, question):
        sizes.append(len(chunk.entries))
        return plain(storage, chunk, question)

    plain = engine.work
    monkeypatch.setattr(engine, "work", counting)
    return sizes


@pytest.fixture
def store(tmp_path, make_profile, frames):
    """Sixty operations of one hour, some inside others, some dropped; closed, so that each test opens it anew."""
    path = tmp_path / "store"
    with open_storage(path) as storage:
        for profile in captured(make_profile, frames, 1):
            storage.put(profile)
    return path


def report_of(store, cache=None, query=None, *, pictures=False, engine=None, progress=None, **options):
    with open_storage(store, create=False) as storage:
        analyzer = ProfileAnalyzer(storage, engine=engine or InProcess(), cache=cache, **options)
        return analyzer.analyze(query, pictures=pictures, progress=progress)


def entries_of(store):
    with open_storage(store, create=False) as storage:
        return list(storage.scan())


def parts_in(cache):
    return sorted(cache.glob("*.part"))


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("operation", [None, "a"])
def test_a_second_run_works_on_nothing_and_says_the_same(store, tmp_path, worked, operation, pictures):
    query, cache = ProfileQuery(operation=operation), tmp_path / "cache"
    plain = report_of(store, None, query, pictures=pictures)
    assert worked
    first = report_of(store, cache, query, pictures=pictures)
    assert len(parts_in(cache)) == len(worked) // 2
    worked.clear()
    second = report_of(store, cache, query, pictures=pictures)
    assert worked == []
    assert repr(plain) == repr(first) == repr(second)
    assert plain.to_dict() == second.to_dict()


def test_the_command_writes_the_same_bytes(store, tmp_path):
    def run(name, *options):
        path = tmp_path / name
        assert main(["analyze", str(store), "--format", "html", "-o", str(path), *options]) == 0
        return path.read_bytes()

    cache = ("--workers", "1", "--cache", str(tmp_path / "cache"))
    assert run("plain") == run("cold", *cache) == run("warm", *cache)


def test_findings_hosts_and_many_hours_are_kept_too(tmp_path, make_profile, worked):
    store, cache = tmp_path / "store", tmp_path / "cache"
    with open_storage(store) as storage:
        for number, profile in enumerate(generate(make_profile, KINDS, 3, hours=2)):
            if number % 3 == 0:
                storage.put(profile)
    plain = report_of(store, pictures=True)
    report_of(store, cache, pictures=True)
    worked.clear()
    assert repr(report_of(store, cache, pictures=True)) == repr(plain)
    assert worked == []


def test_only_chunks_with_new_profiles_are_worked_on(store, tmp_path, make_profile, worked):
    cache = tmp_path / "cache"
    report_of(store, cache)
    last = entries_of(store)[-1]
    with open_storage(store) as storage:
        storage.put(make_profile(operation="new", start_ns=last.start_ns + 10**9))
    worked.clear()
    found = report_of(store, cache)
    assert len(worked) == 1
    assert "new" in found.operations
    assert found == report_of(store)


def test_several_processes_are_handed_only_what_is_missing(store, tmp_path, worked):
    cache = tmp_path / "cache"
    report_of(store, cache)
    for path in parts_in(cache)[1:4]:
        path.unlink()
    worked.clear()
    handed = []

    class Noting:
        def parts(self, storage, chunks, question):
            return ProcessPool(2).parts(storage, (handed.append(one) or one for one in chunks), question)

    seen = []
    found = report_of(store, cache, engine=Noting(), progress=lambda *numbers: seen.append(numbers))
    assert (len(handed), worked) == (3, [])
    assert found == report_of(store)
    count = len(entries_of(store))
    assert seen[-1] == (count, count)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_kept_parts_do_not_all_wait_for_a_missing_one(store, tmp_path, monkeypatch, worked):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 1)
    monkeypatch.setattr("profkit_analyzers.engines.cache._BETWEEN", 5)
    cache = tmp_path / "cache"
    report_of(store, cache)
    loaded, waiting = [], []
    load = part_files.PartFiles.load

    def noting(self, key):
        found = None if not loaded else load(self, key)
        loaded.append(key)
        return found

    monkeypatch.setattr(part_files.PartFiles, "load", noting)
    worked.clear()
    found = report_of(store, cache, progress=lambda done, _: waiting.append(len(loaded) - done))
    assert worked == [1]
    assert max(waiting) == 4, "five were there when the first of them was told of"
    assert found == report_of(store)


RULES = """
schema = 1
[categories.{name}]
packages = ["redis"]
"""


def test_other_rules_budgets_and_pictures_have_parts_of_their_own(store, tmp_path):
    cache, options = tmp_path / "cache", []
    for name in ("http", "llm"):
        (tmp_path / "rules.toml").write_text(RULES.format(name=name))
        options.append({"rules": load_categories(tmp_path / "rules.toml")})
    options += [{}, {"budgets": Budgets(default=0.1)}, {"budgets": Budgets({"a": 1.0})}, {"pictures": True}]
    made = [len(parts_in(cache)) for one in options if report_of(store, cache, **one)]
    assert made == [made[0] * number for number in range(1, len(options) + 1)]
    reports = [report_of(store, cache, **one) for one in options]
    assert len(parts_in(cache)) == made[-1]
    assert reports == [report_of(store, **one) for one in options]
    assert len({repr(one) for one in reports}) == len(options)


def test_rules_have_one_identity_in_all_processes(tmp_path):
    code = "from profkit_storage.categories import default_categories as d; print(d().identity)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }
    assert found == {default_categories().identity}
    (tmp_path / "rules.toml").write_text(RULES.format(name="llm"))
    assert load_categories(tmp_path / "rules.toml").identity not in found


def test_other_code_does_not_take_these_parts(store, tmp_path, monkeypatch, worked):
    report_of(store, tmp_path / "cache")
    before = len(worked)
    monkeypatch.setattr("profkit_analyzers.engines.cache._code", lambda: ("0.1.0", "cpython-311", "other"))
    report_of(store, tmp_path / "cache")
    assert len(worked) == 2 * before


def test_all_code_that_makes_parts_tells_them_apart(monkeypatch):
    read, seen = Path.read_bytes, set()

    def noted(path):
        seen.add(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    cache._code.__wrapped__()
    assert {Path(module.__file__) for module in (cache, summary, scene, analyzer, categories)} <= seen


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    ],
)
def test_a_damaged_file_is_worked_out_anew_and_replaced(store, tmp_path, worked, damage):
    cache = tmp_path / "cache"
    plain = report_of(store, cache)
    path = parts_in(cache)[2]
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    worked.clear()
    assert report_of(store, cache) == plain
    assert len(worked) == 1
    assert path.read_bytes() == whole


def forged(path, value):
    """Put a pickle in the place of a part, as one would who knows the form."""
    body = zstandard.ZstdCompressor().compress(value if isinstance(value, bytes) else pickle.dumps(value))
    key = path.stem.encode()
    path.write_bytes(blake2b(body, digest_size=16, key=key).digest() + body)


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_no_code_in_a_forged_file_is_run(store, tmp_path, worked):
    cache, marker = tmp_path / "cache", tmp_path / "marker"
    plain = report_of(store, cache)
    paths = parts_in(cache)
    forged(paths[0], Evil(os.system, f"touch {marker}"))
    forged(paths[1], Evil(eval, f"open({str(marker)!r}, 'w')"))
    # A dotted name would lead from a module that is known to any other that it imports.
    forged(paths[2], b"\x80\x04\x8c\x1fprofkit_analyzers.engines.parts\x8c\x0agc.collect\x93)R.")
    forged(paths[3], {"a": "part"})
    pickle.loads(zstandard.decompress(paths[0].read_bytes()[16:]))
    assert marker.exists(), "else this shows nothing"
    marker.unlink()
    worked.clear()
    assert report_of(store, cache) == plain
    assert not marker.exists()
    assert len(worked) == 4


def test_a_part_of_other_profiles_is_not_taken(store, tmp_path, worked):
    cache = tmp_path / "cache"
    plain = report_of(store, cache)
    one, other = parts_in(cache)[:2]
    one.write_bytes(other.read_bytes())
    worked.clear()
    assert report_of(store, cache) == plain
    assert len(worked) == 1


def test_what_inflates_beyond_bounds_is_not_inflated(store, tmp_path, monkeypatch, worked):
    cache = tmp_path / "cache"
    report_of(store, cache)
    monkeypatch.setattr(part_files, "_MOST", 100)
    worked.clear()
    report_of(store, cache)
    assert len(worked) == len(parts_in(cache))
    monkeypatch.undo()
    assert not list(cache.glob("*-*"))


def test_files_that_others_may_write_are_not_taken(store, tmp_path, worked):
    cache = tmp_path / "cache"
    report_of(store, cache)
    writable, linked, *rest = parts_in(cache)
    writable.chmod(0o620)
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    expected = 2
    if os.geteuid() == 0:
        os.chown(rest[0], 65534, 65534)
        expected = 3
    worked.clear()
    report_of(store, cache)
    assert len(worked) == expected
    assert (tmp_path / "elsewhere").exists()
    assert {stat.S_IMODE(path.lstat().st_mode) for path in parts_in(cache)} == {0o600}
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_where_something_was_skipped_nothing_is_kept(store, tmp_path, worked):
    cache, entry = tmp_path / "cache", entries_of(store)[7]
    path = store / entry.key
    whole = path.read_bytes()
    path.write_bytes(b"x" * len(whole))
    assert report_of(store, cache).skipped_count == 1
    assert len(parts_in(cache)) == len(worked) - 1
    path.write_bytes(whole)
    worked.clear()
    assert report_of(store, cache) == report_of(store)
    assert worked[0] == 10


SCRIPT = """
import sys, time
from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.engines import parts
from profkit_storage import open_storage

def pause(done, total):
    if done >= 30:
        print(done, flush=True)
        time.sleep(60)

parts.CHUNK = 10
ProfileAnalyzer(open_storage(sys.argv[1]), cache=sys.argv[2]).analyze(progress=pause)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_where_it_was(store, tmp_path, worked, how):
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", SCRIPT, str(store), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"30\n"
        asking.send_signal(how)
    assert len(parts_in(cache)) == 3
    found = report_of(store, cache)
    assert sum(worked) == len(entries_of(store)) - 30
    assert found == report_of(store)


def test_a_full_disk_is_told_once_and_the_report_is_whole(store, tmp_path, monkeypatch, caplog, worked):
    plain = report_of(store)
    tries = []

    def full(directory, data):
        tries.append(len(data))
        if len(data) > 100:
            raise OSError(28, "No space left on device")
        return write(directory, data)

    write = part_files.files.write_temporary
    monkeypatch.setattr(part_files.files, "write_temporary", full)
    assert report_of(store, tmp_path / "cache") == plain
    assert len([size for size in tries if size > 100]) == 1
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.endswith("cannot be written, the rest is not kept: No space left on device")
    assert parts_in(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file", "is no directory"),
        ("file/below", "cannot be written"),
        ("", "must be the path of a directory"),
        ("nul\0", "must be the path of a directory"),
    ],
)
def test_what_can_be_no_cache_is_one_line(store, tmp_path, capsys, name, reason):
    (tmp_path / "file").write_text("")
    path = str(tmp_path / name) if name else ""
    assert main(["analyze", str(store), "--cache", path]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("profkit: cache ")
    assert reason in found.err
    assert found.err.count("\n") == 1
    with open_storage(store) as storage, pytest.raises(ConfigurationError, match=reason):
        ProfileAnalyzer(storage, cache=path)


def test_a_directory_that_cannot_be_written_is_one_line(store, tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(part_files.files, "write_temporary", denied)
    with (
        open_storage(store, create=False) as storage,
        pytest.raises(ConfigurationError, match="cannot be written: Permission denied"),
    ):
        ProfileAnalyzer(storage, cache=tmp_path)


def test_what_was_not_used_for_long_goes_and_nothing_that_is_not_ours(store, tmp_path):
    cache = tmp_path / "cache"
    report_of(store, cache)
    used, unused = parts_in(cache), cache / f"{'0' * 40}.part"
    left, foreign, running = cache / f"12-{'a' * 16}", cache / "notes.part", cache / f"13-{'b' * 16}"
    old = time.time() - 31 * 86_400
    for path in (unused, left, foreign, running):
        path.write_text("x")
    for path in (*used, unused, left, foreign):
        os.utime(path, (old, old))
    report_of(store, cache)
    assert set(cache.iterdir()) == {*used, foreign, running}
    assert min(path.stat().st_mtime for path in used) > old + 86_400


def test_of_too_many_bytes_the_latest_used_stay(store, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    report_of(store, cache)
    sizes = {path: path.stat().st_size for path in parts_in(cache)}
    for number, path in enumerate(sizes):
        os.utime(path, (time.time() - number, time.time() - number))
    latest = list(sizes)[:3]
    monkeypatch.setattr(part_files, "KEEP_BYTES", sum(sizes[path] for path in latest))
    part_files.PartFiles(cache).tidy()
    assert parts_in(cache) == latest


def spread(make_profile, path, days, a_day):
    with open_storage(path) as storage:
        for day in range(days):
            for number in range(a_day):
                start = START_NS + day * DAY_NS + number * (DAY_NS // a_day)
                storage.put(make_profile(start_ns=start))
    return entries_of(path)


def test_later_chunks_stay_when_old_profiles_go(make_profile, tmp_path, worked):
    store, cache = tmp_path / "store", tmp_path / "cache"
    entries = spread(make_profile, store, 3, 12)
    report_of(store, cache)
    assert worked == [5, 5, 2] * 3
    with open_storage(store) as storage:
        for entry in entries[:4]:
            storage.delete(entry.id)
    worked.clear()
    report_of(store, cache)
    assert worked == [5, 3]


def test_chunks_end_with_a_day_and_half_full_ones_with_an_hour(make_profile, tmp_path):
    entries = spread(make_profile, tmp_path, 2, 48)
    found = list(chunks(entries))
    assert [entry for chunk in found for entry in chunk.entries] == entries
    assert [len(chunk.entries) for chunk in found] == [6] * 16
    assert [(chunk.since, chunk.until) for chunk in found] == [
        (
            found[number].entries[0].start_ns if number else None,
            found[number + 1].entries[0].start_ns if number < 15 else None,
        )
        for number in range(16)
    ]
    assert list(chunks([])) == []
