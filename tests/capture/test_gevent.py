"""Processes that gevent has patched, before or after profkit was imported: greenlets are watched from a real thread."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from profkit_storage import open_storage

BEFORE = "import profkit\nfrom gevent import monkey\nmonkey.patch_all()\n"
AFTER = "from gevent import monkey\nmonkey.patch_all()\nimport profkit\n"
COMMON = """
import json, sys, threading, time
import gevent
from gevent.pool import Pool
from profkit_storage import State

kept = []

def configure(**settings):
    profkit.configure(**{"on_profile": kept.append, "threshold": 0.2, "interval": 0.005, "max_overhead": 1.0,
                         "max_profiles": 0, "max_profiles_per_operation": 0} | settings)

def spin(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(50))

def seconds_of(profile):
    seconds = {}
    for sample in profile.samples:
        for name in {frame.qualname for frame, _ in profile.stack(sample.node)} | {str(sample.state)}:
            seconds[name] = seconds.get(name, 0.0) + sample.wall
    return seconds

def tell():
    assert profkit.flush(20), profkit.stats()
    assert profkit.stats()["faults"] == {}, profkit.stats()
    print(json.dumps([
        {"operation": one.operation, "wall": one.wall, "cpu": one.cpu, "unobserved": one.sampling.unobserved,
         "seconds": seconds_of(one), "children": [child.name for child in one.children]}
        for one in kept
    ]))
"""


def run(script: str, head: str = AFTER) -> Any:
    """Run a script to its end; return what it told last."""
    done = subprocess.run(
        [sys.executable, "-c", head + COMMON + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("head", [BEFORE, AFTER], ids=["before", "after"])
def test_slow_greenlets_are_seen_while_they_are_suspended_and_others_run(head: str) -> None:
    found = run(
        """
        configure()

        def query():
            time.sleep(0.4)

        @profkit.profile("slow")
        def slow():
            spin(0.1)
            query()
            gevent.sleep(0.1)

        @profkit.profile("quick")
        def quick():
            time.sleep(0.01)

        def others():
            for _ in range(20):
                quick()
                unrelated()

        def unrelated():
            spin(0.005)

        assert not any("sampler" in one.name for one in threading.enumerate()), "a greenlet"
        pool = Pool(10)
        gevent.joinall([pool.spawn(slow), pool.spawn(slow), pool.spawn(others)], raise_error=True)
        tell()
        """,
        head,
    )
    assert [one["operation"] for one in found] == ["slow", "slow"]
    for one in found:
        seconds = one["seconds"]
        assert 0.6 < one["wall"] < 3
        assert {"spin", "query", "slow", "waiting"} <= seconds.keys()
        assert seconds["spin"] == pytest.approx(0.1, abs=0.08)
        assert seconds["query"] > 0.38
        assert seconds["slow"] > 0.9 * one["wall"]
        assert one["unobserved"] < 0.1 * one["wall"]
        assert "unrelated" not in seconds
        assert "quick" not in seconds
        assert one["cpu"] == pytest.approx(0.1, abs=0.08)
        assert seconds["waiting"] > 0.45


def test_a_server_of_gevents_with_slow_requests() -> None:
    found = run(
        """
        import urllib.request
        from gevent.pywsgi import WSGIServer
        configure()

        @profkit.profile("request")
        def handle(environ, start):
            with profkit.operation("db", category="db"):
                time.sleep(0.3)
            start("200 OK", [])
            return [b"done"]

        server = WSGIServer(("127.0.0.1", 0), handle, log=None)
        server.start()

        def ask():
            return urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}", timeout=20).read()

        began = time.monotonic()
        answers = [gevent.spawn(ask) for _ in range(8)]
        gevent.joinall(answers, raise_error=True)
        assert time.monotonic() - began < 2, "one after the other"
        server.stop()
        tell()
        """
    )
    requests = [one for one in found if one["operation"] == "request"]
    assert len(requests) == 8
    for one in requests:
        assert one["children"] == ["db"]
        assert one["seconds"]["handle"] > 0.9 * one["wall"]
    assert len(found) == 16


def test_a_greenlet_that_waits_for_the_recorder_lets_others_run() -> None:
    run(
        """
        import queue
        configure(on_profile=lambda profile: given.wait(), threshold=0.0)
        given = profkit.sampling.real.Signal()
        done = []

        def goes_on():
            time.sleep(0.05)
            done.append("meanwhile")
            given.set()

        with profkit.operation("work"):
            pass
        other = gevent.spawn(goes_on)
        assert profkit.flush(20)
        assert done == ["meanwhile"]
        assert profkit.shutdown(5)
        with profkit.operation("after"):
            pass
        print("[]")
        """
    )


def test_profiles_are_stored_and_the_exit_waits_for_them(tmp_path: Path) -> None:
    run(
        f"""
        configure(storage={str(tmp_path)!r}, on_profile=None, threshold=0.01, queue_size=1000)

        @profkit.profile
        def work(number):
            gevent.sleep(0.02)

        gevent.joinall([gevent.spawn(work, number) for number in range(200)], raise_error=True)
        print("[]")
        """
    )
    assert len(list(open_storage(str(tmp_path)).scan())) == 200


def test_a_forked_child_watches_its_own_greenlets() -> None:
    run(
        """
        import os
        configure(threshold=0.1)

        @profkit.profile("work")
        def work():
            gevent.sleep(0.15)

        def check():
            kept.clear()
            gevent.joinall([gevent.spawn(work) for _ in range(3)], raise_error=True)
            assert profkit.flush(20)
            assert [one.operation for one in kept] == ["work"] * 3
            assert all(seconds_of(one)["work"] > 0.1 for one in kept)
            assert profkit.shutdown(5)

        work()
        child = os.fork()
        if not child:
            try:
                check()
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        work()
        tell()
        """
    )


def test_switching_greenlets_by_the_thousand_breaks_no_walk() -> None:
    found = run(
        """
        configure(interval=0.001, threshold=0.5)

        def deep(levels):
            if levels:
                return deep(levels - 1)
            for _ in range(100):
                gevent.sleep(0)
                sum(range(500))

        @profkit.profile("deep")
        def work(levels):
            deep(levels)

        gevent.joinall([gevent.spawn(work, 30) for _ in range(100)], raise_error=True)
        tell()
        """
    )
    assert all(one["seconds"]["work"] > 0.8 * one["wall"] for one in found)


def test_a_capture_of_the_process_shows_its_real_threads() -> None:
    found = run(
        """
        configure()
        def busy():
            while not done:
                spin(0.01)
                gevent.sleep(0)
        done = []
        greenlet = gevent.spawn(busy)
        profile = profkit.capture(0.3)
        done.append(True)
        greenlet.join()
        assert [one.name[:20] for one in profile.branches] == ["greenlets of thread "], profile.branches
        print(json.dumps(seconds_of(profile)))
        """
    )
    assert found["busy"] > 0.2


def test_nothing_of_gevent_is_imported_where_it_is_not_used() -> None:
    script = """
        import sys, time, profkit
        profkit.configure(on_profile=lambda profile: None, threshold=0)
        with profkit.operation("work"):
            time.sleep(0.02)
        assert profkit.flush(20)
        assert not {"gevent", "greenlet"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_streams_of_gevents_server_do_not_mix() -> None:
    """Each request is a greenlet: what it streams and what the server sends are its own."""
    found = run(
        """
        import urllib.request
        from gevent.pywsgi import WSGIServer
        from profkit.request_context import current
        from profkit.wsgi import ProfilingMiddleware
        configure()
        seen = []

        def app(environ, start):
            start("200 OK", [])
            environ["profkit.route"] = "/{name}"
            return stream(environ["PATH_INFO"][1:])

        def stream(name):
            for _ in range(4):
                query()
                seen.append((name, current().request_id))
                yield b"x"

        def query():
            time.sleep(0.1)

        server = WSGIServer(("127.0.0.1", 0), ProfilingMiddleware(app), log=None)
        server.start()

        def ask(name):
            request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}/{name}")
            request.add_header("X-Request-ID", name)
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.headers["X-Request-ID"], answer.read()

        answers = [gevent.spawn(ask, f"r{n}") for n in range(8)]
        gevent.joinall(answers, raise_error=True)
        assert [one.value for one in answers] == [(f"r{n}", b"xxxx") for n in range(8)]
        assert sorted(seen) == sorted((f"r{n}", f"r{n}") for n in range(8) for _ in range(4))
        server.stop()
        tell()
        """
    )
    assert [one["operation"] for one in found] == ["GET /{name}"] * 8
    for one in found:
        assert 0.4 <= one["wall"] < 3
        assert one["seconds"]["query"] > 0.3
        assert one["unobserved"] < 0.2 * one["wall"]
