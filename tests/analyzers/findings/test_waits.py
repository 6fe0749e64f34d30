"""Waiting for a pool's connection or for a lock, captured from real pools and locks; other waits are neither."""

from __future__ import annotations

import asyncio
import queue
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import psycopg_pool
import pytest
import redis
import urllib3
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

HELD = 0.3


@contextmanager
def later(action: Callable[[], object], seconds: float = HELD):
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def assert_waited(found, subject: str, facts) -> None:
    assert found.seconds == pytest.approx(HELD, abs=0.15)
    assert subject in facts(found).values()
    assert "<locals>.work (line " in found.place


def test_sqlalchemys_pool(watch, tmp_path, facts):
    engine = create_engine(
        f"sqlite:///{tmp_path / 'a.db'}", poolclass=QueuePool, pool_size=1, max_overflow=0,
        connect_args={"check_same_thread": False},
    )  # fmt: skip

    @watch("work")
    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    taken = engine.connect()
    with later(taken.close):
        work()
    engine.dispose()
    assert_waited(watch.one("pool_wait"), "sqlalchemy", facts)
    assert watch.patterns("work") == {"pool_wait"}


def test_psycopgs_pool_of_a_postgresql(watch, postgres, facts):
    with psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=1, open=True) as pool:
        pool.wait(20)

        @watch("work")
        def work() -> None:
            with pool.connection() as connection:
                connection.execute("SELECT 1")

        taken = pool.getconn()
        with later(lambda: pool.putconn(taken)):
            work()

        @watch("query")
        def query() -> None:
            with pool.connection() as connection:
                connection.execute("SELECT pg_sleep(0.2)")

        query()
    assert_waited(watch.one("pool_wait", "work"), "psycopg_pool", facts)
    assert watch.patterns("query") == set()


def test_redis_blocking_pool(watch, redis_server, facts):
    pool = redis.BlockingConnectionPool.from_url(redis_server, max_connections=1, timeout=5)
    client = redis.Redis(connection_pool=pool)
    client.ping()

    @watch("work")
    def work() -> None:
        client.set("a", "b")

    taken = pool.get_connection()
    with later(lambda: pool.release(taken)):
        work()
    client.close()
    pool.disconnect()
    assert_waited(watch.one("pool_wait"), "redis", facts)


def test_urllib3s_pool(watch, service, facts):
    address = urlsplit(service)
    pool = urllib3.HTTPConnectionPool(address.hostname, address.port, maxsize=1, block=True)
    taken = pool._get_conn()

    @watch("work")
    def work() -> None:
        pool.request("GET", "/items")

    with later(lambda: pool._put_conn(taken)):
        work()
    pool.close()
    assert_waited(watch.one("pool_wait"), "urllib3", facts)


def test_httpx_pool_of_one(watch, service):
    async def main(most: int) -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=most), timeout=20) as client:
            first = asyncio.create_task(client.get(f"{service}/slow"))
            await asyncio.sleep(0.01)
            await watch(f"most {most}")(client.get)(f"{service}/items")
            await first

    asyncio.run(main(1))
    (found,) = watch.findings("most 1")
    assert found.pattern == "pool_wait"
    asyncio.run(main(2))
    assert all(
        profile.operation == "most 1" for profile in watch.captured()
    )  # the other was too quick to keep


def test_connecting_slowly_is_no_waiting_for_a_pool(watch, tmp_path):
    def connect() -> sqlite3.Connection:
        time.sleep(0.2)
        return sqlite3.connect(tmp_path / "a.db")

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)

    @watch("work")
    def work() -> None:
        with engine.connect():
            pass

    work()
    engine.dispose()
    assert "pool_wait" not in watch.patterns("work")


def test_a_server_that_does_not_answer_is_no_waiting_for_a_pool(watch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        pool = redis.BlockingConnectionPool(
            host="127.0.0.1", port=port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)
        )

        @watch("work")
        def work() -> None:
            with pytest.raises(redis.RedisError):
                pool.get_connection()

        work()
        pool.disconnect()
    assert "pool_wait" not in watch.patterns("work")


@pytest.mark.parametrize(
    ("make", "subject"),
    [(threading.Lock, "guard"), (threading.RLock, "guard"), (threading.Semaphore, "threading.Semaphore")],
)
def test_a_lock_of_threads(watch, make, subject, facts):
    guard = make()

    @watch("work")
    def work() -> None:
        with guard:
            pass

    taken, free = threading.Event(), threading.Event()

    def holder() -> None:
        with guard:
            taken.set()
            free.wait(5)

    thread = threading.Thread(target=holder)
    thread.start()
    taken.wait(5)
    with later(free.set):
        work()
    thread.join()
    assert_waited(watch.one("lock_contention"), subject, facts)
    assert watch.patterns("work") == {"lock_contention"}


@pytest.mark.parametrize(
    ("make", "subject"),
    [(asyncio.Lock, "asyncio.locks.Lock"), (asyncio.Semaphore, "asyncio.locks.Semaphore")],
)
def test_a_lock_of_tasks(watch, make, subject, facts):
    async def main() -> None:
        guard = make()

        @watch("work")
        async def work() -> None:
            async with guard:
                pass

        async def holder() -> None:
            async with guard:
                await asyncio.sleep(HELD)

        holding = asyncio.create_task(holder())
        await asyncio.sleep(0)
        await work()
        await holding

    asyncio.run(main())
    assert_waited(watch.one("lock_contention"), subject, facts)


def test_waiting_for_work_is_no_contention(watch):
    jobs: queue.Queue[int] = queue.Queue()
    ready = threading.Event()
    changed = threading.Condition()

    def notify() -> None:
        with changed:
            changed.notify()

    @watch("queue")
    def take() -> None:
        jobs.get()

    @watch("event")
    def await_event() -> None:
        ready.wait(5)

    @watch("condition")
    def await_condition() -> None:
        with changed:
            changed.wait(5)

    @watch("thread")
    def join() -> None:
        thread = threading.Thread(target=time.sleep, args=(0.15,))
        thread.start()
        thread.join()

    with later(lambda: jobs.put(1), 0.15):
        take()
    with later(ready.set, 0.15):
        await_event()
    with later(notify, 0.15):
        await_condition()
    join()
    assert watch.patterns("queue", "event", "condition", "thread") == set()
