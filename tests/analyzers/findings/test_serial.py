"""Serial awaits, captured from httpx and aiohttp; awaits that are side by side, or parts of one request, are none."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import httpx
import pytest


async def answer(client: httpx.AsyncClient, url: str) -> object:
    return (await client.get(url)).json()


def run(watch, work) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(timeout=20) as client:
            await watch("page")(work)(client)

    asyncio.run(main())


def test_requests_awaited_one_after_the_other(watch, service, facts):
    async def page(client: httpx.AsyncClient) -> None:
        await client.get(f"{service}/slow/1")
        await client.get(f"{service}/slow/2")
        await client.get(f"{service}/slow/3")

    run(watch, page)
    found = watch.one("serial_awaits")
    assert found.place == f"{__name__}.test_requests_awaited_one_after_the_other.<locals>.page"
    # Three of 150 ms: together they would take as long as one.
    assert found.seconds == pytest.approx(0.3, abs=0.1)
    assert facts(found)["requests in an operation, one after the other"] == 3
    assert int(facts(found)["the last at line"]) - int(facts(found)["the first at line"]) == 2
    assert "at the most" in str(facts(found))


def test_functions_that_each_make_one_request_are_the_callers(watch, service):
    async def user(client: httpx.AsyncClient) -> object:
        return await answer(client, f"{service}/slow/user")

    async def orders(client: httpx.AsyncClient) -> object:
        return await answer(client, f"{service}/slow/orders")

    async def page(client: httpx.AsyncClient) -> None:
        await user(client)
        await orders(client)

    run(watch, page)
    assert watch.one("serial_awaits").place.endswith("<locals>.page")


def test_a_loop_over_one_line(watch, service, facts):
    async def page(client: httpx.AsyncClient) -> None:
        for number in range(4):
            await client.get(f"{service}/slow/{number}")
            until = time.perf_counter() + 0.02  # something is done with each
            while time.perf_counter() < until:
                sum(range(100))

    run(watch, page)
    found = watch.one("serial_awaits")
    assert found.seconds > 0.25
    assert facts(found)["requests in an operation, one after the other"] >= 3


def test_requests_awaited_together_are_silent(watch, service):
    async def page(client: httpx.AsyncClient) -> None:
        await asyncio.gather(*(answer(client, f"{service}/slow/{number}") for number in range(3)))
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(answer(client, f"{service}/slow/{number}"))

    run(watch, page)
    assert "serial_awaits" not in watch.patterns("page")


def test_one_slow_request_beside_a_quick_one_is_silent(watch, service):
    async def page(client: httpx.AsyncClient) -> None:
        await client.get(f"{service}/slow")
        await client.get(f"{service}/items")

    run(watch, page)
    assert "serial_awaits" not in watch.patterns("page")


def test_reading_an_answer_is_no_second_request(watch):
    """The head of the answer comes after 150 ms, its body 150 ms later."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.15)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.15)
        writer.write(b"{}")
        writer.close()

    @watch("page")
    async def page(session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(url) as answer:
            await answer.json()

    async def main() -> None:
        server = await asyncio.start_server(slow, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, aiohttp.ClientSession() as session:
            await page(session, f"http://127.0.0.1:{port}/")

    asyncio.run(main())
    assert "serial_awaits" not in watch.patterns("page")
