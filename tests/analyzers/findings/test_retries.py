"""Sleeps between attempts, captured from urllib3, the openai package and a loop by hand; other sleeps are none."""

from __future__ import annotations

import asyncio
import time

import openai
import pytest
import redis
import urllib3
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from tests.conftest import free_port


def test_urllib3s_backoff(watch, service, facts):
    @watch("fetch")
    def fetch() -> int:
        with urllib3.PoolManager(
            retries=urllib3.Retry(5, backoff_factor=0.1, status_forcelist=[503])
        ) as pool:
            return pool.request("GET", f"{service}/busy/{time.monotonic_ns()}").status

    assert fetch() == 200
    found = watch.one("retry_backoff")
    assert "<locals>.fetch (line " in found.place
    assert facts(found)["retried by"] == "urllib3"
    assert found.seconds == pytest.approx(0.6, abs=0.2)  # 0.2 s and 0.4 s: the first retry is at once


def test_openais_backoff_in_a_task(watch, service, facts):
    @watch("chat")
    async def chat(client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=[])

    async def main() -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{service}/nothing", max_retries=1) as client:
            await chat(client)

    asyncio.run(main())
    found = watch.one("retry_backoff")
    assert facts(found)["retried by"] == "openai"
    assert "serial_awaits" not in watch.patterns("chat")


def test_redis_retries_at_a_port_where_nobody_is(watch, facts):
    client = redis.Redis(port=free_port(), retry=Retry(ConstantBackoff(0.1), 3))

    @watch("get")
    def get() -> None:
        with pytest.raises(redis.ConnectionError):
            client.get("a")

    get()
    client.close()
    assert facts(watch.one("retry_backoff"))["retried by"] == "redis"


def test_a_loop_by_hand(watch, service, facts):
    @watch("fetch")
    def fetch() -> int:
        path = f"{service}/busy/{time.monotonic_ns()}"
        with urllib3.PoolManager(retries=False) as pool:
            for attempt in range(5):
                if pool.request("GET", path).status == 200:
                    # So that the last call, which is quick here, is sure to be seen.
                    return pool.request("GET", f"{service}/slow").status
                time.sleep(0.05 * 2**attempt)
        return 0

    assert fetch() == 200
    found = watch.one("retry_backoff")
    assert facts(found)["retried by"] == "the function itself, between its calls"
    assert found.seconds == pytest.approx(0.35, abs=0.15)


def test_a_sleep_that_is_between_no_calls_is_silent(watch, service):
    def pause() -> None:
        time.sleep(0.15)

    @watch("paced")
    def paced() -> None:
        pause()
        urllib3.request("GET", f"{service}/slow")

    @watch("heartbeat")
    async def heartbeat() -> None:
        for _ in range(3):
            await asyncio.sleep(0.05)

    paced()
    asyncio.run(heartbeat())
    assert watch.patterns("paced", "heartbeat") == set()
