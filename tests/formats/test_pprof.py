"""pprof: what an independent reader finds in it, and that the real `go tool pprof` opens it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from profkit_storage import ConfigurationError, Frame, Origin, State, Status
from profkit_storage.formats import pprof, pprof_schema
from profkit_storage.merging import MergedProfile


def test_its_values_are_wall_and_cpu_in_nanoseconds(make_profile, read_pprof):
    profile = make_profile()
    reader = read_pprof(pprof.render(profile))
    assert reader.value_types() == [("wall", "nanoseconds"), ("cpu", "nanoseconds")]
    assert reader.text(14) == "wall"
    assert reader.number(9) == profile.start_ns
    assert reader.number(10) == 2_280_000_000
    assert reader.number(12) == 10_000_000
    values = {stack[0].name: values for stack, values, _ in reader.stacks()}
    assert values["[await]"] == [1_200_000_000, 0]
    assert values["sqlite3.cursor.execute"] == [600_000_000, 600_000_000]


def test_its_labels_say_what_a_sample_is_of(make_profile, read_pprof):
    profile = make_profile(status=Status.ERROR, request_id="r-1")
    labels = [labels for _, _, labels in read_pprof(pprof.render(profile)).stacks()]
    assert {label["operation"] for label in labels} == {"agent.route"}
    assert labels[0] == {
        "operation": "agent.route",
        "category": "agent",
        "status": "error",
        "state": labels[0]["state"],
        "request_id": "r-1",
    }
    assert {label["state"] for label in labels} == {"running", "waiting"}
    bare = read_pprof(pprof.render(make_profile(category="", request_id="")))
    assert {*next(iter(bare.stacks()))[2]} == {"operation", "status", "state"}


def test_its_functions_have_names_files_lines_and_where_they_come_from(make_profile, read_pprof):
    profile = make_profile()
    stacks = {
        stack[0].system_name or stack[0].name: stack
        for stack, _, _ in read_pprof(pprof.render(profile)).stacks()
    }
    native, library, own, root = stacks["cursor.execute"]
    assert (native.name, native.filename, native.line, native.mapping) == (
        "sqlite3.cursor.execute",
        "",
        0,
        "native",
    )
    assert (library.mapping, library.start_line, library.line) == ("SQLAlchemy", 2300, 2303)
    assert (own.name, own.mapping, own.filename) == (
        "app.orders.Orders.lookup",
        "application",
        "/srv/app/orders.py",
    )
    assert root.system_name == "handle_message"
    assert stacks["dumps"][0].mapping == "python"
    assert stacks["[await]"][0].mapping == "synthetic"
    assert read_pprof(pprof.render(profile)).all_told, "there is no binary to look for names in"


def test_one_profile_is_not_weighted_and_a_merge_is(make_profile, read_pprof):
    profile = make_profile(weight=5.0)
    total = sum(values[0] for _, values, _ in read_pprof(pprof.render(profile)).stacks())
    assert total == 2_280_000_000
    merged = MergedProfile()
    merged.add(profile, 5.0)
    merged.add(make_profile(request_id="another", operation="other"), 1.0)
    reader = read_pprof(pprof.render_merged(merged))
    found = list(reader.stacks())
    assert sum(values[0] for _, values, _ in found) == 6 * 2_280_000_000
    assert {labels["operation"] for _, _, labels in found} == {"agent.route", "other"}
    assert not any("request_id" in labels for _, _, labels in found)


def test_what_is_too_much_for_a_number_is_the_most_there_is(make_profile, read_pprof):
    merged = MergedProfile()
    merged.add(make_profile(stacks=[(["a"], 1e6)]), 1e15)
    ((_, values, _),) = read_pprof(pprof.render_merged(merged)).stacks()
    assert values[0] == 2**63 - 1


def test_the_same_profile_is_the_same_file(make_profile):
    profile = make_profile()
    assert pprof.render(profile) == pprof.render(profile)
    assert pprof.render(profile)[4:8] == bytes(4), "gzip's time"


def test_without_protobuf_it_says_what_to_install(make_profile, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    pprof_schema.profile_class.cache_clear()
    with pytest.raises(ConfigurationError, match=r"profkit\[analyze\]"):
        pprof.render(make_profile())


def test_another_descriptor_of_the_same_messages_is_in_nobodys_way(make_profile):
    code = (
        "from google.protobuf import descriptor_pb2, descriptor_pool\n"
        "file = descriptor_pb2.FileDescriptorProto(name='profile.proto', package='perftools.profiles')\n"
        "file.message_type.add(name='Profile')\n"
        "descriptor_pool.Default().Add(file)\n"
        "from profkit_storage.formats.pprof_schema import profile_class\n"
        "assert profile_class()().sample is not None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def go_pprof():
    """`go_pprof(file, *options) -> what it says` of a real Go. Without one the tests skip; under CI they fail."""
    go = shutil.which("go")
    if go is None:
        hint = "no Go here: `apt-get install golang-go`"
        if os.environ.get("CI"):
            pytest.fail(hint)
        pytest.skip(hint)

    def run(file, *options):
        home = {
            "HOME": str(file.parent),
            "PPROF_TMPDIR": str(file.parent),
            "GOFLAGS": "",
            "GOTOOLCHAIN": "local",
        }
        done = subprocess.run(
            [go, "tool", "pprof", *options, str(file)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **home},
        )
        assert done.returncode == 0, done.stderr
        assert "ymboliz" not in done.stderr, "all names are told: it has nothing to look up"
        return done.stdout

    return run


@pytest.fixture
def file(make_profile, tmp_path):
    odd = Frame("<lambda>\x1b; ü", "", 0, "", "", Origin.NATIVE)
    stacks = [(["m:root", "m:leaf"], 1.5), (["m:root", odd], 0.5), (["m:root", "m:leaf", odd], 0.25)]
    states = [State.RUNNING, State.WAITING, State.STARVED]
    path = tmp_path / "p.pb.gz"
    path.write_bytes(pprof.render(make_profile(stacks=stacks, states=states)))
    return path


def test_go_shows_the_seconds_of_each_function(go_pprof, file):
    top = go_pprof(file, "-top", "-sample_index=wall", "-unit=ms")
    assert "Type: wall" in top
    assert "Duration: 2.25s, Total samples = 2250ms (  100%)" in top
    rows = [row.split(None, 5) for row in top.splitlines() if row.endswith(("leaf", "root", "ü"))]
    assert {row[5]: (row[0], row[3]) for row in rows} == {
        "m.leaf": ("1500ms", "1750ms"),
        "m.root": ("0", "2250ms"),
        "<lambda>\ufffd; ü": ("750ms", "750ms"),
    }
    assert "Total samples = 1500ms" in go_pprof(file, "-top", "-sample_index=cpu", "-unit=ms")


def test_go_finds_the_labels_and_the_lines(go_pprof, file):
    tags = go_pprof(file, "-tags", "-sample_index=wall")
    assert re.search(r"operation: Total 2\.2s\n.*agent\.route", tags)
    assert re.search(r"state: Total 2\.2s\n", tags)
    assert "starved" in tags
    assert "/srv/m.py:13" in go_pprof(file, "-top", "-lines", "-sample_index=wall")
    focused = go_pprof(file, "-top", "-sample_index=wall", "-unit=ms", "-tagfocus=state=waiting")
    assert "500ms" in focused
    assert "m.leaf" not in focused
