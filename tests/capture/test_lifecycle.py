"""On, off, changed, forked, failing: the application never notices, and every loss is counted."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import profkit
from profkit import CaptureBusy, ConfigurationError, PerformanceProfiler, Settings, StorageError
from profkit.sampling.governor import MOST_CREDIT
from profkit_storage import Origin, Profile, ProfileEntry, ProfileStorage, Trigger, open_storage


class FailingStorage(ProfileStorage):
    """A store that cannot take anything."""

    url = "failing://"

    def put(self, profile: Profile) -> ProfileEntry:
        raise StorageError("no space left on device")

    def load(self, id: str) -> Profile:
        raise StorageError(id)

    def scan(self, query: object = None, *, on_problem: object = None) -> Iterator[ProfileEntry]:
        return iter(())

    def delete(self, id: str) -> bool:
        return False


def run_python(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROFKIT_")} | environ
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_unconfigured_operations_are_counted_and_said_once() -> None:
    done = run_python("""
        import logging, profkit, threading
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        @profkit.profile(threshold=0)
        def work(): pass
        for _ in range(3): work()
        with profkit.operation("block"): pass
        print(profkit.stats()["operations"], profkit.stats()["slow"], threading.active_count())
    """)
    assert done.stdout.split() == ["4", "0", "1"], done.stderr
    assert done.stderr.count("PROFKIT_STORAGE") == 1
    assert done.stderr.startswith("INFO ")


def test_the_environment_alone_turns_it_on(tmp_path: Path) -> None:
    script = """
        import time, profkit
        @profkit.profile
        def work(): time.sleep(0.1)
        work()
    """
    done = run_python(script, PROFKIT_STORAGE=str(tmp_path), PROFKIT_THRESHOLD="0.05", PROFKIT_SERVICE="shop")
    assert (done.returncode, done.stderr) == (0, "")
    (entry,) = open_storage(str(tmp_path)).scan()
    assert (entry.operation, entry.service) == ("work", "shop")


def test_a_wrong_variable_does_not_reach_an_application_that_configures_nothing(tmp_path: Path) -> None:
    done = run_python(
        "import profkit\n@profkit.profile\ndef work(): return 7\nprint(work(), profkit.stats()['faults'])",
        PROFKIT_STORAGE=str(tmp_path), PROFKIT_THRESHOLD="soon",
    )  # fmt: skip
    assert done.stdout == "7 {'not_configured': 1}\n"
    assert "PROFKIT_THRESHOLD='soon'" in done.stderr


def test_switched_off_it_does_nothing(tmp_path: Path) -> None:
    script = """
        import threading, time, profkit
        profkit.configure(threshold=0)
        @profkit.profile
        def work(): time.sleep(0.02)
        work()
        print(profkit.stats()["active"], threading.active_count())
    """
    done = run_python(script, PROFKIT_STORAGE=str(tmp_path / "store"), PROFKIT_ENABLED="0")
    assert done.stdout == "False 1\n", done.stderr
    assert list(open_storage(str(tmp_path / "store")).scan()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"threshold": -1}, "threshold=-1"),
        ({"interval": "fast"}, "interval='fast'"),
        ({"treshold": 1}, "'treshold' is not a setting"),
        ({"storage": "ftp://host/x"}, "ftp"),
        ({"storage": 7}, "storage=7"),
        ({"on_profile": "print"}, "on_profile='print'"),
        ({"enabled": 1}, "enabled=1"),
    ],
)
def test_configure_refuses_what_is_not_allowed(arguments: dict[str, object], says: str) -> None:
    profiler = PerformanceProfiler()
    with pytest.raises(ConfigurationError, match=says):
        profiler.configure(**arguments)
    assert not profiler.stats()["active"]


def test_configure_refuses_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((ConfigurationError, StorageError), match="file"):
        PerformanceProfiler(Settings(storage=str(tmp_path / "file")))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("THRESHOLD", "soon"),
        ("THRESHOLD", "nan"),
        ("INTERVAL", "9"),
        ("ENABLED", "perhaps"),
        ("QUEUE_SIZE", "1.5"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_allowed(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"PROFKIT_{variable}='{text}' is not allowed: give "):
        Settings.from_env({f"PROFKIT_{variable}": text})


def test_an_empty_variable_is_none_and_a_misspelt_one_is_said(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings.from_env(
        {"PROFKIT_THRESHOLD": "", "PROFKIT_TRESHOLD": "3", "PROFKIT_DEBUG_TOKENS": "x"}
    )
    assert settings.threshold == 1.0
    # Only those: a test before may have left a thread that says something.
    assert [record.message for record in caplog.records if "PROFKIT_" in record.message] == [
        "profkit: PROFKIT_TRESHOLD is no setting: did you mean PROFKIT_THRESHOLD?"
    ]


def test_the_address_of_a_store_is_said_to_be_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROFKIT_STORAGE", "ftp://host/profiles")
    with pytest.raises(ConfigurationError, match=r"PROFKIT_STORAGE.*ftp"):
        PerformanceProfiler().configure()


def test_the_version_is_that_of_the_distribution() -> None:
    assert profkit.__version__ == metadata.version("profkit")


def test_settings_come_from_arguments_then_variables_then_defaults() -> None:
    environ = {"PROFKIT_THRESHOLD": "2", "PROFKIT_SERVICE": "env", "PROFKIT_ENABLED": "no"}
    settings = Settings.from_env(environ, service="argument")
    assert (settings.threshold, settings.service, settings.enabled) == (2.0, "argument", False)
    assert settings.interval == 0.01


def test_a_store_that_fails_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    profiler = PerformanceProfiler(Settings(storage=FailingStorage(), threshold=0.0, spool="off"))

    @profiler.profile
    def work() -> str:
        return "its own result"

    with caplog.at_level(logging.WARNING, "profkit"):
        assert [work() for _ in range(5)] == ["its own result"] * 5
        assert profiler.flush(5)
    assert profiler.stats()["faults"] == {"not_stored": 5}
    assert len([record for record in caplog.records if "no space left" in record.message]) == 1
    profiler.shutdown()


def test_any_tag_can_be_stored(tmp_path: Path) -> None:
    class Odd(str):
        __slots__ = ()

    profiler = PerformanceProfiler(Settings(storage=str(tmp_path), threshold=0.0))
    with profiler.operation("work", number=2**70, text=Odd("x"), lone="\ud800", no=float("nan")) as operation:
        operation.tag(more=object(), nested={"password": "hunter2-hunter2"}, few=[1, 2])
    assert profiler.flush(5)
    assert profiler.stats()["faults"] == {}
    storage = open_storage(str(tmp_path))
    (profile,) = [storage.load(entry.id) for entry in storage.scan()]
    assert profile.tags["number"] == str(2**70)
    assert "hunter2" not in str(profile.tags)
    profiler.shutdown()


def test_a_profile_that_cannot_be_built_is_counted_and_the_next_one_is_not(tmp_path: Path) -> None:
    profiler = PerformanceProfiler(Settings(storage=str(tmp_path), threshold=0.0))
    with profiler.operation("broken") as operation:
        operation.tags = 7  # type: ignore[assignment]
    with profiler.operation("next"):
        pass
    assert profiler.flush(5)
    assert sum(profiler.faults.counts().values()) == 1
    assert [entry.operation for entry in open_storage(str(tmp_path)).scan()] == ["next"]
    profiler.shutdown()


def test_a_full_queue_drops_and_the_next_one_stands_for_the_dropped() -> None:
    kept: list[Profile] = []
    entered, leave = threading.Event(), threading.Event()

    def slow_consumer(profile: Profile) -> None:
        kept.append(profile)
        entered.set()
        leave.wait(5)

    profiler = PerformanceProfiler(Settings(on_profile=slow_consumer, threshold=0.0, queue_size=1))

    @profiler.profile("work")
    def work() -> None:
        pass

    work()
    assert entered.wait(5)
    for _ in range(4):
        work()
    assert profiler.stats()["faults"] == {"queue_full": 3}
    leave.set()
    assert profiler.flush(5)
    work()
    assert profiler.flush(5)
    assert [profile.weight for profile in kept] == [1.0, 1.0, 4.0]
    profiler.shutdown()


def test_a_callback_that_raises_is_counted() -> None:
    def broken(profile: Profile) -> None:
        raise KeyError(profile.id)

    profiler = PerformanceProfiler(Settings(on_profile=broken, threshold=0.0))
    with profiler.operation("work"):
        pass
    assert profiler.flush(5)
    assert profiler.stats()["faults"] == {"on_profile_error": 1}
    profiler.shutdown()


def test_each_capture_writes_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    profiler = PerformanceProfiler(Settings(storage="memory://", threshold=0.0))
    with caplog.at_level(logging.INFO, "profkit"):
        with profiler.operation("work"):
            pass
        assert profiler.flush(5)
    (line,) = [record.message for record in caplog.records if record.message.startswith("work took")]
    assert profiler.storage is not None
    (entry,) = profiler.storage.scan()
    assert entry.id in line
    profiler.shutdown()


def test_reconfigured_it_goes_on_elsewhere(tmp_path: Path) -> None:
    profiler = PerformanceProfiler(Settings(storage=str(tmp_path / "a"), threshold=0.0))
    with profiler.operation("first"):
        profiler.configure(Settings(storage=str(tmp_path / "b"), threshold=0.0))
    with profiler.operation("second"):
        pass
    profiler.shutdown()
    assert [entry.operation for entry in open_storage(str(tmp_path / "a")).scan()] == []
    assert [entry.operation for entry in open_storage(str(tmp_path / "b")).scan()] == ["first", "second"]
    with profiler.operation("after the end"):
        pass
    assert profiler.stats()["in_flight"] == 0


def test_what_ended_just_before_the_exit_is_stored(tmp_path: Path) -> None:
    script = f"""
        import profkit
        profkit.configure(storage={str(tmp_path)!r}, threshold=0)
        for number in range(50):
            with profkit.operation(f"work {{number}}"): pass
    """
    done = run_python(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(open_storage(str(tmp_path)).scan())) == 50


def test_a_forked_child_profiles_for_itself(tmp_path: Path) -> None:
    script = f"""
        import os, sys, time, warnings, profkit
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, which is the point
        profkit.configure(storage={str(tmp_path)!r}, threshold=0.05, interval=0.002)
        @profkit.profile
        def work(): time.sleep(0.6)
        work()
        with profkit.operation("around the fork"):
            time.sleep(0.06)
            child = os.fork()
        if child == 0:
            work()
            ok = profkit.shutdown()
            os._exit(0 if ok and not profkit.stats()["faults"] else 1)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = run_python(script)
    assert (done.returncode, done.stderr) == (0, "")
    storage = open_storage(str(tmp_path))
    profiles = [storage.load(entry.id) for entry in storage.scan()]
    assert sorted(profile.operation for profile in profiles) == ["around the fork", "work", "work"]
    workers = [profile for profile in profiles if profile.operation == "work"]
    assert len({profile.pid for profile in workers}) == 2
    assert all(profile.samples for profile in workers)


def test_the_sampler_sleeps_when_nothing_is_in_flight(make_captured: Any) -> None:
    captured = make_captured(interval=0.001)
    sampler = captured.profiler.sampler
    with captured.profiler.operation("work"):
        time.sleep(0.02)
    deadline = time.monotonic() + 10
    while not sampler.idle and time.monotonic() < deadline:
        time.sleep(0.01)
    ticks = sampler.ticks
    time.sleep(0.05)
    assert sampler.idle
    assert sampler.ticks == ticks
    with captured.profiler.operation("again"):
        time.sleep(0.1)
    assert sampler.ticks > ticks
    assert {profile.operation for profile in captured.all()} == {"again"}


def test_the_samplers_cost_is_held_down_by_its_interval() -> None:
    profiler = PerformanceProfiler(Settings(on_profile=print, max_overhead=0.01, interval=0.005))
    governor = profiler.sampler._governor
    governor.account(MOST_CREDIT, 0.0)  # what was saved up is gone
    assert profiler.sampler.real_interval > 0.1
    governor.account(0.0, 10.0)
    assert profiler.sampler.real_interval == profiler.settings.interval
    profiler.shutdown()


def test_a_capture_of_the_process_has_a_root_for_each_thread(make_captured: Any, spin: Any) -> None:
    captured = make_captured(threshold=60.0)
    stop = threading.Event()

    def busy_work() -> None:
        while not stop.is_set():
            spin(0.01)

    thread = threading.Thread(target=busy_work, name="busy")
    thread.start()
    profile = captured.profiler.capture(0.3)
    stop.set()
    thread.join()
    assert (profile.trigger, profile.weight) == (Trigger.MANUAL, 0.0)
    roots = {list(profile.stack(sample.node))[-1][0] for sample in profile.samples}
    assert {frame.origin for frame in roots} == {Origin.SYNTHETIC}
    assert "[thread busy]" in {frame.qualname for frame in roots}
    assert "busy_work" in {frame.qualname.rpartition(".")[2] for frame in profile.frames}
    assert not any("profkit" in frame.qualname for frame in roots)
    seconds = sum(
        sample.wall for sample in profile.samples if profile.branches[sample.branch].name == "thread busy"
    )
    assert seconds == pytest.approx(profile.wall, rel=0.1)
    assert captured.all() == [profile]


def test_a_capture_sees_the_tasks_of_every_loop(make_captured: Any) -> None:
    captured = make_captured()

    async def wait_for_rain() -> None:
        await asyncio.sleep(10)

    async def main(started: threading.Event, stop: threading.Event) -> None:
        task = asyncio.create_task(wait_for_rain())
        started.set()
        await asyncio.to_thread(stop.wait)
        task.cancel()

    started, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(main(started, stop)))
    thread.start()
    started.wait()
    try:
        profile = captured.profiler.capture(0.2, scope="process")
    finally:
        stop.set()
        thread.join()
    names = {frame.qualname.rpartition(".")[2] for frame in profile.frames}
    assert {"wait_for_rain", "main"} <= names
    with pytest.raises(ConfigurationError, match='give "process"'):
        captured.profiler.capture(0.2, scope="thread")


def test_one_capture_of_the_process_at_a_time(captured: Any) -> None:
    stop, started = threading.Event(), threading.Event()

    def capture() -> None:
        started.set()
        captured.profiler.capture(30, stop=stop)

    thread = threading.Thread(target=capture)
    thread.start()
    started.wait()
    deadline = time.monotonic() + 5
    while not captured.profiler.sampler.captures and time.monotonic() < deadline:
        time.sleep(0.001)
    with pytest.raises(CaptureBusy):
        captured.profiler.capture(1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    for wrong in (0, 61, float("nan")):
        with pytest.raises(ConfigurationError, match=r"give 0\.05 to 60"):
            captured.profiler.capture(wrong)


def test_the_modules_functions_act_on_one_default_profiler() -> None:
    profiler = profkit.default_profiler()
    assert isinstance(profiler, PerformanceProfiler)
    assert profkit.stats()["active"] is False
    assert profkit.flush() is True
    assert profkit.shutdown() is True
