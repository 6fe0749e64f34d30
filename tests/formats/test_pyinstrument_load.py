"""`pyinstrument --load` on what profkit writes: the real command, every form."""

from __future__ import annotations

import json
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

from profkit_storage import Frame, Origin, Profile, State, Trigger
from profkit_storage.formats.pyinstrument import render, to_session

FORMS = ["text", "html", "json", "speedscope", "pstats"]


def thread(name: str) -> Frame:
    return Frame(f"[thread {name}]", "", 0, "", "", Origin.SYNTHETIC)


@pytest.fixture(scope="module")
def captures(make_profile) -> dict[str, Profile]:
    """An operation, a capture of the whole process, an empty one and a hostile one."""
    whole = [
        ([thread("MainThread"), "serve", "poll"], 1.0),
        ([thread("worker \x00\x01 </script> 1"), "work"], 1.0),
        ([thread("MainThread"), "serve"], 0.5),
    ]
    odd = Frame("\x1b[31m\x00\x01l\ud800", "/srv/\udcff\n.py", -1, "odd", "", Origin.APPLICATION)
    native = Frame("cursor.execute", "", 0, "sqlite3", "", Origin.NATIVE)
    deep = [(["root", *[f"f{index % 9}" for index in range(3_000)], native], 1.0)]
    return {
        "operation": make_profile(),
        "process": make_profile(stacks=whole, trigger=Trigger.MANUAL, wall=1.5),
        "empty": make_profile(stacks=[], wall=1.2),
        "odd": make_profile(
            stacks=[([odd], 1.0), ([odd, "leaf"], 0.0)], operation="\x00\x01\x1b[2J</script>"
        ),
        "deep": make_profile(stacks=deep),
    }


def load(file: Path, form: str, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pyinstrument",
        "--load",
        str(file),
        "-r",
        form,
        "-o",
        str(out),
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("form", FORMS)
def test_an_operation_opens_in_every_form(captures, tmp_path, form):
    file, out = tmp_path / "p.pyisession", tmp_path / "out"
    file.write_text(render(captures["operation"]))
    done = load(file, form, out)
    assert (done.returncode, done.stderr) == (0, "")
    content = out.read_bytes()
    assert b"handle_message" in content
    if form == "json":
        assert json.loads(content)["root_frame"]["time"] == pytest.approx(2.28)
    if form == "pstats":
        assert any(key[2] == "handle_message" for key in marshal.loads(content))


@pytest.mark.parametrize("kind", ["process", "empty", "odd", "deep"])
def test_every_capture_opens_in_the_console(captures, tmp_path, kind):
    file, out = tmp_path / "p.pyisession", tmp_path / "out"
    file.write_text(render(captures[kind]))
    done = load(file, "text", out)
    assert (done.returncode, done.stderr) == (0, "")
    text = out.read_text()
    assert ("No samples were recorded" in text) == (kind == "empty")
    assert not set(text) & {"\x00", "\x01", "\x1b"}


@pytest.mark.parametrize("kind", ["operation", "process", "empty", "odd", "deep"])
def test_every_capture_renders_in_every_form(captures, render_all, kind):
    profile = captures[kind]
    for form, text in render_all(to_session(profile)).items():
        text.encode("utf-8", "surrogateescape" if form == "pstats" else "strict")
        assert form == "pstats" or not set(text) & {"\x00", "\x01", "\x1b"}


def test_a_session_that_pyinstrument_saves_is_the_same(captures, tmp_path):
    session = to_session(captures["operation"])
    session.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved").read_text()) == json.loads(render(captures["operation"]))


def test_the_capture_of_a_process_shows_each_thread_once(captures, render_all):
    rendered = render_all(to_session(captures["process"]))
    console = rendered["console"]
    assert console.count("[thread MainThread]") == 1
    assert "[thread worker \ufffd\ufffd \u2039/script> 1]" in console
    assert "[root]" not in console
    assert json.loads(rendered["json"])["root_frame"]["time"] == pytest.approx(2.5)


def test_what_a_session_says_of_a_profile(make_profile):
    profile = make_profile(states=[State.RUNNING], wall=10.0)
    session = to_session(profile)
    assert session.duration == profile.wall
    assert session.cpu_time == profile.cpu
    assert session.sample_count == profile.sampling.ticks
    assert session.min_interval == session.max_interval == profile.sampling.interval
    assert session.start_time == pytest.approx(profile.start_ns / 1e9)
    assert session.target_description == f"orders {profile.id} agent.route"
    assert to_session(make_profile(cpu=None)).cpu_time == 0.0


def test_native_and_synthetic_frames_have_pyinstruments_own_form(make_profile):
    strings = {string for stack, _ in to_session(make_profile()).frame_records for string in stack}
    assert "cursor.execute\x00<built-in>\x000" in strings
    assert "[await]" in strings
