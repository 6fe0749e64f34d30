"""Many real processes on one directory: at once, killed in mid-write, and out of room."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from profkit_storage import LocalStorage

WRITER = """
import sys
from profkit_storage import Frame, LocalStorage, Node, Origin, Profile, Sample
from profkit_storage.ulid import new_ulid

HOUR = 3_600_000_000_000
store = LocalStorage(sys.argv[1])

def profile(number, tags=None):
    start = 1_773_500_966_535_000_000 + number % 3 * HOUR
    return Profile(
        id=new_ulid(start), operation=f"op.{number}", category="agent", start_ns=start, wall=1.5,
        service=f"s{number % 2}",
        frames=(Frame("f", "/srv/f.py", 1, "f", "", Origin.APPLICATION),), nodes=(Node(-1, 0, 2),),
        samples=(Sample(0, 1.5),), tags=tags or {},
    )
"""


def python(script, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process):
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.split()


def test_four_writers_and_a_reader_at_once(tmp_path, problems):
    script = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    print(store.put(profile(number)).id)
"""
    root = tmp_path / "store"
    writers = [python(script, root) for _ in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    reader = LocalStorage(root, create=False)
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()

    seen, scans = set(), 0
    while any(writer.poll() is None for writer in writers):
        entries = list(reader.scan(on_problem=problems))
        assert [entry.id for entry in entries] == sorted({entry.id for entry in entries})
        for entry in entries:
            if entry.id not in seen:
                assert reader.load(entry.id).operation == entry.operation, "never seen half"
        assert seen <= {entry.id for entry in entries}, "never lost again"
        seen.update(entry.id for entry in entries)
        scans += 1

    written = [id for writer in writers for id in finish(writer)]
    assert len(written) == 200
    assert [entry.id for entry in reader.scan(on_problem=problems)] == sorted(written)
    assert scans > 1
    assert problems.found == {}
    assert len([path for path in root.rglob("*") if path.is_file()]) == 200


def test_writers_and_removers_at_once(tmp_path, problems):
    """Directories come and go under the writers' hands."""
    script = """
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    entry = store.put(profile(number))
    assert store.load(entry.id).id == entry.id
    assert store.delete(entry.id)
print(store.put(profile(0)).id)
"""
    root = tmp_path / "store"
    writers = [python(script, root) for _ in range(3)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    left = [id for writer in writers for id in finish(writer)]
    assert [entry.id for entry in LocalStorage(root).scan(on_problem=problems)] == sorted(left)
    assert problems.found == {}


KILLED_IN = {
    "the middle of writing": ("os.write", "os", "write"),
    "bringing it to the disk": ("os.fsync", "os", "fsync"),
    "renaming it": ("pathlib.Path.replace", "pathlib.Path", "replace"),
}


@pytest.mark.parametrize("moment", KILLED_IN)
def test_a_writer_that_is_killed(tmp_path, problems, moment):
    function, owner, name = KILLED_IN[moment]
    script = f"""
import os, pathlib, signal
whole = [store.put(profile(number)).id for number in range(3)]
real = {function}

def stop(target, *rest):
    if {name!r} == "write":
        real(target, bytes(rest[0])[:100])
    print(*whole, flush=True)
    signal.pause()

{owner}.{name} = stop
store.put(profile(3))
"""
    root = tmp_path / "store"
    writer = python(script, root)
    whole = writer.stdout.readline().split()
    assert len(whole) == 3
    writer.kill()
    writer.communicate(timeout=60)
    incoming = root / "profiles/v1/.incoming"
    (half,) = incoming.iterdir()
    assert half.stat().st_size > 0

    store = LocalStorage(root)
    assert [entry.id for entry in store.scan(on_problem=problems)] == sorted(whole)
    assert problems.found == {}
    assert half.exists(), "its writer might be alive"

    os.utime(half, (time.time() - 3601,) * 2)
    LocalStorage(root)
    assert list(incoming.iterdir()) == []
    assert len(list(store.scan(on_problem=problems))) == 3


TOO_BIG = """
from profkit_storage import StorageError
import os
first = store.put(profile(0)).id
try:
    store.put(profile(1, {"noise": os.urandom(300_000).hex()}))
except StorageError as error:
    print(str(error).split(": ")[2].replace(" ", "-"), first, store.put(profile(2)).id)
"""


def check_full(output, reason, root, problems):
    said, *written = output
    assert said == reason
    store = LocalStorage(root, create=False)
    assert [entry.id for entry in store.scan(on_problem=problems)] == sorted(written)
    assert problems.found == {}
    assert sorted(path.suffix for path in root.rglob("*") if path.is_file()) == [".pkp"] * 2
    hours = {path.name for path in root.glob("profiles/v1/*/hour=*")}
    assert hours == {"hour=15", "hour=17"}, "not even the directory of the one that failed is left"


def test_a_file_that_may_not_grow(tmp_path, problems):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    check_full(finish(python(limit + TOO_BIG, tmp_path)), "File-too-large", tmp_path, problems)


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
    root = Path(small_disk) / "store"
    check_full(finish(python(TOO_BIG, root)), "No-space-left-on-device", root, problems)
