"""The demo in its short form: what is planted is found, what is taken out is gone, and nothing else is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psutil
import pytest

from profkit.debug.memory.backrefs import SEARCHABLE
from profkit_analyzers import ProfileAnalyzer, Report
from profkit_storage import Profile, Trigger, open_storage

pytestmark = pytest.mark.alone

DEMO = Path(__file__).parent.parent / "examples" / "agent_service"
ROUTES = ("config", "connections", "memory", "memory/trace", "memory/backrefs", "profile")
PLANTED = {
    "n_plus_one": ("db", "shop.tools.orders.read_orders_one_by_one"),
    "llm_retry": ("llm", "shop.tools.answers.ask_busy_large_model"),
    "json_encode": ("serialization", "shop.tools.catalogue.encode_with_stdlib_json"),
    "serial_tools": ("http", "shop.tools.delivery.ask_one_after_the_other"),
}


@dataclass(frozen=True)
class Run:
    """One run of the demo: what it printed, each request's line, and what it stored."""

    output: str
    requests: list[dict[str, Any]]
    profiles: list[Profile]
    report: Report

    def took(self, plant: str) -> float:
        return next(line["seconds"] for line in self.requests if line["plant"] == plant)

    def seconds(self, plant: str) -> float:
        """Seconds that the ranking gives to the plant's category and function, in whole requests."""
        category, function = PLANTED[plant]
        return sum(
            row.seconds
            for row in self.report.bottlenecks
            if row.operation == "POST /agent" and row.category == category and row.call_site.name == function
        )


def run_demo(folder: Path, *arguments: str) -> Run:
    store, log = folder / "profiles", folder / "requests.jsonl"
    command = [sys.executable, str(DEMO), "--short", "--store", str(store), "--log", str(log), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with open_storage(store, create=False) as storage:
        profiles = [storage.load(entry.id) for entry in storage.scan()]
        report = ProfileAnalyzer(storage).analyze()
    return Run(done.stdout, [json.loads(line) for line in log.read_text().splitlines()], profiles, report)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Run:
    without = ("--without", "n_plus_one", "--without", "json_encode")
    return run_demo(tmp_path_factory.mktemp("demo"), *without)


@pytest.mark.parametrize("plant", PLANTED)
def test_each_plant_is_ranked_under_its_category_and_call_site(full: Run, plant: str) -> None:
    # The rest of such a request, reading a catalogue say, takes its time too: more of it on a crowded machine.
    assert 0.4 * full.took(plant) < full.seconds(plant) <= full.took(plant)
    assert full.seconds(plant) > 0.5


@pytest.mark.parametrize("plant", ["n_plus_one", "json_encode"])
def test_a_plant_taken_out_takes_its_rows_out(full: Run, mended: Run, plant: str) -> None:
    assert PLANTED[plant][1] not in {row.call_site.name for row in mended.report.bottlenecks}
    assert mended.took(plant) < full.took(plant)


@pytest.mark.parametrize("plant", ["llm_retry", "serial_tools"])
def test_the_other_plants_stay(mended: Run, plant: str) -> None:
    assert mended.seconds(plant) > 1.0


@pytest.mark.parametrize("name", ["full", "mended"])
def test_no_fast_request_leaves_a_profile(name: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(name)
    slow = {line["request_id"] for line in run.requests if line["plant"] and line["seconds"] > 1.0}
    assert slow == {profile.request_id for profile in run.profiles if profile.request_id.startswith("demo-")}


def test_nearly_all_requests_are_fast_and_all_are_answered(full: Run) -> None:
    assert len(full.requests) == 100
    assert {line["status"] for line in full.requests} == {200}
    assert sum(line["seconds"] < 1.0 for line in full.requests) >= 95


def test_every_slow_request_has_its_whole_time_accounted_for(full: Run) -> None:
    slow = [profile for profile in full.profiles if profile.trigger is Trigger.SLOW]
    assert slow
    for profile in slow:
        sampled = sum(sample.wall for sample in profile.samples)
        assert sampled + profile.sampling.unobserved == pytest.approx(profile.wall, rel=0.01)
    unobserved = sum(profile.sampling.unobserved for profile in slow)
    assert unobserved < 0.1 * sum(profile.wall for profile in slow)


@pytest.mark.parametrize("route", ROUTES)
def test_each_debug_route_wants_the_token(full: Run, route: str) -> None:
    lines = [
        line.split() for line in full.output.splitlines() if f"/debug/{route} " in line.replace("?", " ")
    ]
    assert lines
    for _, path, refused, answered, *_ in lines:
        expected = "501" if "/memory/backrefs" in path and not SEARCHABLE else "200"
        assert (refused, answered) == ("401", expected)


def test_the_output_tells_what_to_do_next(full: Run) -> None:
    exemplar = full.report.bottlenecks[0].exemplar
    for words in ("profkit analyze", f"profkit show {exemplar}", "pyinstrument --load"):
        assert words in full.output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_however_it_ends_no_process_stays_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    command = [sys.executable, str(DEMO), "--short", "--store", str(tmp_path / "profiles")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=PIPE, stderr=PIPE, text=True) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if "the service at" in line)
        servers = psutil.Process(demo.pid).children()
        assert len(servers) == 2
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=30)
    assert demo.returncode == code
    assert "Traceback" not in errors
    assert psutil.wait_procs(servers, timeout=10)[1] == []
