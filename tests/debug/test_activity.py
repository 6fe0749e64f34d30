"""Tasks and threads: what each does, what it waits for, whose it is; bounded and masked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import uvloop
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DebugContext
from profkit.debug.stacks import MAX_LINES
from profkit.debug.tasks import TaskAges, tasks_report
from profkit.masking import masker

Headers = Callable[..., dict[str, str]]
NewLoop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: list[NewLoop] = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture
def context(live_profiler: PerformanceProfiler) -> DebugContext:
    return DebugContext(profiler=live_profiler)


@contextmanager
def running(main: Callable[[], Any], new_loop: NewLoop = asyncio.new_event_loop) -> Iterator[None]:
    """Run a coroutine in a thread until the block ends; the block begins when it has."""
    begun, over = threading.Event(), threading.Event()

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("the main one")
        asyncio.get_running_loop().call_later(0.05, begun.set)
        await main()
        await asyncio.to_thread(over.wait)

    def in_thread() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=in_thread, name="the loop's")
    thread.start()
    assert begun.wait(5)
    try:
        yield
    finally:
        over.set()
        thread.join(10)
        assert not thread.is_alive()


def by_name(report: dict[str, Any], kind: str = "tasks") -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in report[kind]}


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_task_shows_its_chain_its_age_and_what_it_waits_for(
    new_loop: NewLoop, context: DebugContext, live_profiler: PerformanceProfiler
) -> None:
    never: list[asyncio.Event] = []

    @live_profiler.profile("agent.route")
    async def handle() -> None:
        never.append(asyncio.Event())
        await asyncio.gather(
            asyncio.create_task(fetch(), name="db"), asyncio.create_task(fetch(), name="llm")
        )

    async def fetch() -> None:
        await deeper()

    async def deeper() -> None:
        await never[0].wait()

    async def main() -> None:
        nonlocal task, loop
        task, loop = asyncio.create_task(handle(), name="request"), asyncio.get_running_loop()

    task: Any = None
    loop: Any = None
    with running(main, new_loop):
        time.sleep(0.1)
        report = context.tasks()
        rows = by_name(report)
        loop.call_soon_threadsafe(never[0].set)
    db, request = rows["db"], rows["request"]
    assert [line.split(" ")[0].rpartition(".")[2] for line in db["stack"]] == ["fetch", "deeper", "wait"]
    assert "test_activity.py" in db["stack"][0]
    assert (db["state"], db["operation"], db["age_is"]) == ("waiting", "agent.route", "exact")
    assert 0.1 < db["age"] < 2
    assert request["waits_for"] == "2 of 2 tasks: db, llm"
    assert (request["age_is"], request["operation"]) == ("at least", "agent.route")
    assert request["age"] > 0.1
    assert report["total"] == sum(report["states"].values()) >= 4  # other tests may have left some
    assert report["loops"] >= 1


@pytest.mark.parametrize("new_loop", LOOPS)
def test_a_loop_that_is_busy_starves_the_others(new_loop: NewLoop, context: DebugContext) -> None:
    until = threading.Event()

    async def blocks() -> None:
        await asyncio.sleep(0.1)
        until.wait(5)

    async def ready() -> None:
        await asyncio.sleep(0.11)

    async def main() -> None:
        tasks.extend(
            (asyncio.create_task(blocks(), name="blocks"), asyncio.create_task(ready(), name="ready"))
        )

    tasks: list[Any] = []
    with running(main, new_loop):
        time.sleep(0.3)
        rows = by_name(context.tasks())
        starved = by_name(context.tasks(state="starved"))
        until.set()
    assert rows["blocks"]["state"] == "running"
    assert rows["blocks"]["stack"][-1].startswith(("Condition.wait", "Event.wait"))
    assert rows["blocks"]["stack"][0].partition(" ")[0].endswith("blocks")
    if new_loop is asyncio.new_event_loop:  # uvloop's timers cannot be seen
        assert rows["ready"]["state"] == "starved"
        assert rows["ready"]["waits_for"].endswith("s ago")
        assert list(starved) == ["ready"]


def test_a_timer_tells_when_it_is_due(context: DebugContext) -> None:
    async def main() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(60), name="sleeps"))
        tasks.append(asyncio.create_task(asyncio.wait_for(asyncio.Event().wait(), 30), name="timed"))

    tasks: list[Any] = []
    with running(main):
        rows = by_name(context.tasks())
    assert rows["sleeps"]["waits_for"].startswith(("a timer, in 59", "a timer, in 1 min 00 s"))
    assert rows["sleeps"]["coroutine"] == "sleep"
    assert rows["timed"]["waits_for"].endswith(" s more at the most")
    assert "task Task-" in rows["timed"]["waits_for"] or "a future" in rows["timed"]["waits_for"]


def test_a_filter_finds_nothing_that_is_hidden(
    context: DebugContext, debug_client: TestClient, bearer: Headers
) -> None:
    async def main() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(60), name="job token=hunter2secret"))

    tasks: list[Any] = []
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="job token=hunter2secret")
    thread.start()
    with running(main):
        for kind in ("tasks", "threads"):
            found = debug_client.get(f"/{kind}?name=job token", headers=bearer("reader")).json()[kind]
            assert [row["name"] for row in found] == ["job token=***"]
            assert not debug_client.get(f"/{kind}?name=hunter2", headers=bearer("reader")).json()[kind]
    over.set()
    thread.join()


def test_what_a_failed_task_leaves_is_told_by_its_own_loop(context: DebugContext) -> None:
    async def fails() -> None:
        await asyncio.sleep(0.02)
        raise LookupError("nobody asks for this")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda *_: told.append(threading.current_thread().name)
        )
        for _ in range(200):
            asyncio.create_task(fails())  # noqa: RUF006 - nobody keeps it
        await asyncio.sleep(0.2)

    told: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            context.tasks(limit=1000)

    asking = threading.Thread(target=ask, name="asks")
    asking.start()
    with running(main):
        time.sleep(0.3)
    over.set()
    asking.join()
    assert told
    assert told.count("asks") <= 0.02 * len(told)


def test_many_are_bounded_and_filtered(
    context: DebugContext, debug_client: TestClient, bearer: Headers
) -> None:
    async def fetch() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        tasks.extend(asyncio.create_task(fetch(), name=f"fetch {number}") for number in range(300))

    tasks: list[Any] = []
    with running(main):
        report = context.tasks()
        assert len(report["tasks"]) == 200
        assert report["left_out"] == report["total"] - 200 >= 101, "the client has some too"
        few = debug_client.get("/tasks?name=FETCH 7&limit=5", headers=bearer()).json()
        assert all("fetch 7" in row["name"] for row in few["tasks"])
        assert (len(few["tasks"]), few["left_out"]) == (5, 6)
        page = debug_client.get("/tasks?name=fetch 7", headers={**bearer(), "accept": "text/html"})
        assert page.text.count("<details ") == 11
        assert "a timer, in" in page.text


@pytest.mark.parametrize("path", ["tasks", "threads"])
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("state=slow", "running"),
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("limit=many", "1 to 1000"),
        ("stack=1", "limit, name, state"),
        ("state=running&state=waiting", "twice"),
    ],
)
def test_what_is_no_filter_is_named(
    debug_client: TestClient, bearer: Headers, path: str, query: str, says: str
) -> None:
    answer = debug_client.get(f"/{path}?{query}", headers=bearer())
    assert answer.status_code == 422
    assert says in answer.json()["error"]["message"]


def test_a_deep_stack_keeps_both_ends(context: DebugContext) -> None:
    async def deep(levels: int) -> None:
        if levels:
            await deep(levels - 1)
        else:
            await asyncio.sleep(60)

    async def main() -> None:
        tasks.append(asyncio.create_task(deep(500), name="deep"))

    tasks: list[Any] = []
    with running(main):
        stack = by_name(context.tasks())["deep"]["stack"]
    assert len(stack) == MAX_LINES + 1
    assert stack[20] == "[402 more]"
    assert stack[-1].startswith("sleep")


def test_a_thread_shows_whether_it_runs_and_for_whom(
    context: DebugContext, live_profiler: PerformanceProfiler
) -> None:
    over = threading.Event()

    @live_profiler.profile("burns")
    def burn() -> None:
        while not over.is_set():
            sum(range(1000))

    threads = [
        threading.Thread(target=burn, name="hot", daemon=True),
        threading.Thread(target=over.wait, name="cold"),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    report = context.threads()
    only = context.threads(state="running")
    over.set()
    for thread in threads:
        thread.join()
    rows = by_name(report, "threads")
    hot, cold = rows["hot"], rows["cold"]
    assert (hot["state"], hot["daemon"], hot["operations"]) == ("running", True, ["burns"])
    assert (cold["state"], cold["daemon"], cold["operations"]) == ("waiting", False, [])
    assert any(line.partition(" ")[0].endswith("burn") for line in hot["stack"])
    assert cold["stack"][-1].startswith(("Condition.wait", "Event.wait"))
    assert hot["cpu"] > 0.02 > cold["cpu"]
    assert hot["native_id"] == threads[0].native_id
    assert "hot" in by_name(only, "threads")
    assert "cold" not in by_name(only, "threads")
    assert rows["profkit-recorder"]["profkit"]


def test_a_thread_that_python_did_not_start_is_there(context: DebugContext) -> None:
    import _thread

    over = threading.Event()
    _thread.start_new_thread(over.wait, ())
    time.sleep(0.05)
    found = [row for row in context.threads()["threads"] if row["daemon"] is None]
    over.set()
    assert any(row["name"].startswith("thread ") and row["stack"] for row in found)


def test_no_secret_and_no_markup_passes(
    context: DebugContext, debug_client: TestClient, bearer: Headers
) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"
    hostile = f"<script>alert(1)</script> {secret}"
    over = threading.Event()

    async def main() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(60), name=hostile))

    tasks: list[Any] = []
    thread = threading.Thread(target=over.wait, name=hostile)
    thread.start()
    with running(main):
        for path in ("tasks", "threads"):
            for accept in ("application/json", "text/html"):
                text = debug_client.get(f"/{path}", headers={**bearer(), "accept": accept}).text
                assert secret not in text
                assert "alert(1)" in text, "it is there, without the secret"
                assert accept == "application/json" or "<script>" not in text
    over.set()
    thread.join()


def test_a_task_that_fails_while_it_is_looked_at_is_told_of_by_its_own_loop(
    live_profiler: PerformanceProfiler,
) -> None:
    looking, go_on = threading.Event(), threading.Event()
    told_in: list[int] = []

    class Waiting(TaskAges):
        def of(self, *arguments: Any) -> Any:
            looking.set()
            assert go_on.wait(10)
            return super().of(*arguments)

    async def fails() -> None:
        await asyncio.to_thread(looking.wait, 10)
        raise RuntimeError("nobody awaits this")

    async def main() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: told_in.append(threading.get_ident()))
        tasks = {asyncio.create_task(fails())}
        look = loop.run_in_executor(None, partial(tasks_report, live_profiler, Waiting(), masker=masker))
        await asyncio.wait(tasks)
        tasks.clear()
        go_on.set()
        await look
        await asyncio.sleep(0.05)
        return threading.get_ident()

    assert [asyncio.run(main())] == told_in


def test_a_look_at_a_loop_that_stands_still_leaves_nothing_in_it(context: DebugContext) -> None:
    loop = asyncio.new_event_loop()

    async def waits() -> None:
        await asyncio.sleep(60)

    task = loop.create_task(waits())
    loop.run_until_complete(asyncio.sleep(0))
    for _ in range(5):
        assert "waits" in str(context.tasks())
    assert not loop._ready  # type: ignore[attr-defined]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
