"""httpx, aiohttp, requests and urllib3 against a real server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import requests
import urllib3
from openai import AsyncOpenAI, OpenAI
from requests.adapters import HTTPAdapter

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]
Until = Callable[[Callable[[], bool]], None]


def test_a_sync_httpx_client(
    server: str, released: threading.Event, figures: Figures, one: One, until: Until
) -> None:
    with httpx.Client(limits=httpx.Limits(max_connections=2)) as client:
        assert figures(client) == (0, 0, 0, 2, None, 0, 0.0)
        assert client.get(f"{server}/now").text == "ok"
        assert figures(client) == (0, 1, 1, 2, None, 0, 0.0)
        calls = [threading.Thread(target=client.get, args=(f"{server}/slow",)) for _ in range(3)]
        for call in calls:
            call.start()
        until(lambda: figures(client) == (2, 0, 2, 2, None, 1, 1.0))
        released.set()
        for call in calls:
            call.join()
        assert one(client)["source"] == "private"
        assert one(client)["kind"] == "httpx.Client"
    assert figures(client)[:3] == (0, 0, 0)


def test_an_async_httpx_client(server: str, released: threading.Event, figures: Figures, comes: Any) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            calls = [asyncio.create_task(client.get(f"{server}/slow")) for _ in range(2)]
            await comes(lambda: figures(client) == (1, 0, 1, 1, None, 1, 1.0))
            released.set()
            await asyncio.gather(*calls)
            assert figures(client) == (0, 1, 1, 1, None, 0, 0.0)

    asyncio.run(main())


def test_a_client_with_mounts_is_summed_and_one_without_limit_has_none(figures: Figures) -> None:
    limited = httpx.Limits(max_connections=3)
    mounts = {"all://x.example": httpx.HTTPTransport(limits=limited)}
    with httpx.Client(limits=limited, mounts=mounts) as client:
        assert figures(client)[3] == 6
    with httpx.Client(limits=httpx.Limits(max_connections=None)) as client:
        assert figures(client)[3] is None


def test_openais_clients_have_their_httpx_client_shown(figures: Figures) -> None:
    client = OpenAI(api_key="x", base_url="http://127.0.0.1:1")
    asynchronous = AsyncOpenAI(api_key="x", base_url="http://127.0.0.1:1")
    assert figures(client)[:3] == figures(asynchronous)[:3] == (0, 0, 0)
    client.close()
    asyncio.run(asynchronous.close())


def test_an_aiohttp_session(
    server: str, released: threading.Event, figures: Figures, one: One, comes: Any
) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=2)
        async with aiohttp.ClientSession(connector=connector) as session:
            assert figures(session) == (0, 0, 0, 2, None, 0, 0.0)

            async def call(path: str) -> str:
                async with session.get(server + path) as answer:
                    return await answer.text()

            assert await call("/now") == "ok"
            assert figures(session) == figures(connector) == (0, 1, 1, 2, None, 0, 0.0)
            calls = [asyncio.create_task(call("/slow")) for _ in range(5)]
            await comes(lambda: figures(session) == (2, 0, 2, 2, None, 3, 1.0))
            calls.pop().cancel()
            await comes(lambda: figures(session)[5] == 2)
            released.set()
            await asyncio.gather(*calls)
            assert figures(session) == (0, 2, 2, 2, None, 0, 0.0)
            assert one(session)["source"] == "private"
        assert figures(session)[:3] == (0, 0, 0)

    asyncio.run(main())


def test_an_aiohttp_session_without_limit_and_one_limited_by_host(
    server: str, released: threading.Event, figures: Figures, comes: Any
) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            calls = [asyncio.create_task(session.get(f"{server}/slow")) for _ in range(2)]
            await comes(lambda: figures(session) == (1, 0, 1, None, None, 1, None))
            released.set()
            first = await calls[0]
            first.release()
            (await calls[1]).release()

    asyncio.run(main())


def test_a_session_of_requests(
    server: str, released: threading.Event, figures: Figures, one: One, until: Until
) -> None:
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=2, pool_block=True))
        assert figures(session)[:3] == (0, 0, 0)
        assert session.get(f"{server}/now").text == "ok"
        assert figures(session) == (0, 1, 1, 2, None, 0, 0.0)
        calls = [threading.Thread(target=session.get, args=(f"{server}/slow",)) for _ in range(3)]
        for call in calls:
            call.start()
        until(lambda: figures(session) == (2, 0, 2, 2, None, 1, 1.0))
        released.set()
        for call in calls:
            call.join()
        until(lambda: figures(session) == (0, 2, 2, 2, None, 0, 0.0))
        assert one(session)["kind"] == "requests.sessions.Session"


def test_a_session_that_opens_as_many_as_it_likes_has_no_limit(server: str, figures: Figures) -> None:
    with requests.Session() as session:
        session.get(f"{server}/now")
        assert figures(session) == (0, 1, 1, None, None, 0, None)


def test_a_pool_manager_with_the_fullest_of_its_hosts(
    server: str, released: threading.Event, figures: Figures, until: Until
) -> None:
    with urllib3.PoolManager(maxsize=1, block=True, num_pools=2) as manager:
        other = server.replace("127.0.0.1", "localhost")
        assert manager.request("GET", f"{other}/now").data == b"ok"
        call = threading.Thread(target=manager.request, args=("GET", f"{server}/slow"))
        call.start()
        until(lambda: figures(manager) == (1, 1, 2, 2, None, 0, 1.0))
        order = list(manager.pools._container)
        figures(manager)
        assert list(manager.pools._container) == order, "to look is not to use: the oldest is dropped next"
        [pool] = [one for one in manager.pools._container.values() if one.host == "127.0.0.1"]
        assert figures(pool) == (1, 0, 1, 1, None, 0, 1.0)
        released.set()
        call.join()
