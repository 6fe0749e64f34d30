"""Work off the event loop: shared, limited, one at a time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.problems import Problem
from profkit.debug.workers import Workers

Headers = Callable[..., dict[str, str]]


def test_one_capture_at_a_time_and_the_busy_one_says_when_to_come_again(
    live_profiler: PerformanceProfiler, debug_client: TestClient, bearer: Headers
) -> None:
    running, stop = threading.Event(), threading.Event()

    def capture() -> None:
        running.set()
        live_profiler.capture(30, stop=stop)

    thread = threading.Thread(target=capture)
    thread.start()
    try:
        assert running.wait(5)
        while not live_profiler.sampler.captures:
            pass
        answer = debug_client.post("/profile?seconds=1", headers=bearer())
    finally:
        stop.set()
        thread.join(10)
    assert answer.status_code == 409
    assert int(answer.headers["retry-after"]) >= 1


def test_busy_comes_before_bad(
    token_auth: TokenAuth, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    import httpx

    async def main() -> list[int]:
        app = DiagnosticEndpoints(auth=token_auth, profiler=live_profiler)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=bearer()) as client:
            first = asyncio.create_task(client.post("/profile?seconds=0.4"))
            while not app.context.current_profiler().sampler.captures:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            second = await client.post("/profile?seconds=none")
            return [
                (await first).status_code,
                second.status_code,
                (await client.post("/profile?seconds=x")).status_code,
            ]

    assert asyncio.run(main()) == [200, 409, 422]


def test_work_is_shared_and_limited() -> None:
    async def main() -> None:
        began, go_on = threading.Semaphore(0), threading.Event()
        calls: list[int] = []

        def work() -> int:
            calls.append(1)
            began.release()
            assert go_on.wait(10)
            return len(calls)

        workers = Workers(limit=2, timeout=5)
        many = [asyncio.create_task(workers.run("same", work)) for _ in range(50)]
        other = asyncio.create_task(workers.run("other", lambda: go_on.wait(10)))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as caught:
            await workers.run("third", work)
        assert caught.value.status == 503
        go_on.set()
        assert await asyncio.gather(*many, other) == [1] + [2] * 49 + [True]

    asyncio.run(main())


def test_no_answer_is_older_than_its_question() -> None:
    async def main() -> None:
        truth = ["old"]
        read, go_on = threading.Event(), threading.Event()

        def look() -> str:
            found = truth[0]
            read.set()
            assert go_on.wait(10)
            return found

        workers = Workers()
        early = asyncio.create_task(workers.run("look", look))
        await asyncio.to_thread(read.wait, 10)
        truth[0] = "new"
        late = asyncio.create_task(workers.run("look", look))
        await asyncio.sleep(0)
        go_on.set()
        assert (await early, await late) == ("old", "new")
        truth[0] = "newer"
        assert await workers.run("look", look) == "newer"

    asyncio.run(main())


def test_work_that_fails_fails_for_those_who_asked_for_it_alone() -> None:
    async def main() -> None:
        go_on = threading.Event()
        results = [1, 0]

        def work() -> float:
            assert go_on.wait(10)
            return 1 / results.pop()

        workers = Workers()
        first, second = (asyncio.create_task(workers.run("key", work)) for _ in range(2))
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(ZeroDivisionError):
            await first
        assert await second == 1

    asyncio.run(main())


def test_work_that_hangs_is_left_behind() -> None:
    async def main() -> None:
        go_on = threading.Event()
        workers = Workers(limit=2, timeout=0.05)
        with pytest.raises(Problem, match=r"longer than 0\.05 seconds"):
            await workers.run("hangs", lambda: go_on.wait(10))
        assert await workers.run("other", lambda: 1) == 1
        go_on.set()

        def fails() -> int:
            raise TimeoutError("the work's own")

        with pytest.raises(TimeoutError, match="own"):
            await workers.run("fails", fails)

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent() -> None:
    code = """
import asyncio, os, threading
from profkit.debug.problems import Problem
from profkit.debug.workers import Workers

workers = Workers(limit=1, timeout=0.2)
try:
    asyncio.run(workers.run("key", threading.Event().wait))
except Problem:
    pass
if os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
assert asyncio.run(workers.run("key", lambda: "in the child")) == "in the child"
if os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
assert asyncio.run(workers.run_alone(lambda: "alone")) == "alone"
os._exit(7)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 7
