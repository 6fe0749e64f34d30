"""speedscope: what its published schema asks of a file, and the real one, in a browser."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from profkit_storage import Branch, Profile, Status
from profkit_storage.formats import speedscope
from profkit_storage.merging import MergedProfile
from tests import npm
from tests.conftest import missing

UNITS = {"none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"}


@pytest.fixture(scope="module")
def branched(make_profile) -> Profile:
    """An operation with a task of its own."""
    stacks = [(["m:main", "m:a"], 1.0), (["m:main", "m:work", "m:b"], 2.0), (["m:main", "m:a"], 0.5)]
    profile = make_profile(stacks=stacks, branches=(Branch("Task-7", -1, 0.0, 3.0),))
    samples = (profile.samples[0], profile.samples[1]._replace(branch=0), profile.samples[2])
    fields = {name: getattr(profile, name) for name in ("frames", "nodes", "branches", "wall")}
    return make_profile(**fields, samples=samples)


@pytest.fixture(scope="module")
def files(make_profile, branched) -> dict[str, str]:
    merged = MergedProfile()
    for operation, status in (("one", Status.OK), ("two", Status.ERROR)):
        merged.add(make_profile(operation=operation, status=status), 3.0)
    return {
        "operation": speedscope.render(make_profile()),
        "branches": speedscope.render(branched),
        "empty": speedscope.render(make_profile(stacks=[], wall=1.0)),
        "merged": speedscope.render_merged(merged),
        "nothing": speedscope.render_merged(MergedProfile()),
    }


@pytest.mark.parametrize("kind", ["operation", "branches", "empty", "merged", "nothing"])
def test_a_file_is_what_the_schema_asks_for(files, kind):
    document = json.loads(files[kind])
    assert set(document) == {"$schema", "name", "exporter", "activeProfileIndex", "shared", "profiles"}
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = document["shared"]["frames"]
    for frame in frames:
        assert isinstance(frame["name"], str)
        assert set(frame) <= {"name", "file", "line", "col"}
        assert isinstance(frame.get("line", 0), int)
    assert document["profiles"]
    assert 0 <= document["activeProfileIndex"] < len(document["profiles"])
    for profile in document["profiles"]:
        assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
        assert profile["type"] == "sampled"
        assert profile["unit"] in UNITS
        assert profile["endValue"] >= profile["startValue"] == 0
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(weight >= 0 for weight in profile["weights"])
        assert all(0 <= index < len(frames) for stack in profile["samples"] for index in stack)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A real speedscope, served on loopback."""
    found = npm.package("speedscope")
    if found is None:
        missing("speedscope", "npm install --global speedscope")
    release = found / "dist" / "release"

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(release)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    server.server_close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("kind", "title", "timelines", "rows"),
    [
        ("operation", "agent.route 01", 1, ["handle_message", "2.28s"]),
        ("branches", "agent.route 01", 2, ["main", "1.50s"]),
        ("merged", "2 profiles of one and 1 other operation", 2, ["handle_message", "6.84s"]),
    ],
)
def test_the_real_one_opens_it(browser: Browser, address: str, files, tmp_path, kind, title, timelines, rows):
    path = tmp_path / "p.speedscope.json"
    path.write_text(files[kind])
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("Sandwich").click()
    for text in [*rows, f"(1/{timelines})" if timelines > 1 else ""]:
        expect(page.locator("body")).to_contain_text(text)
    assert page.title().startswith(title)
    assert errors == []
    page.close()
