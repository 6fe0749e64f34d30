"""aio-pika's pools and connections on the smallest broker that opens connections and channels."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from pamqp import commands, frame

from profkit.debug.pools import aio_pika as aio_pika_pools

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]

PROPERTIES: dict[str, Any] = {"capabilities": {"publisher_confirms": True}}
ANSWERS: dict[type, Any] = {
    commands.Connection.StartOk: commands.Connection.Tune(channel_max=9, frame_max=131_072, heartbeat=0),
    commands.Connection.Open: commands.Connection.OpenOk(),
    commands.Connection.Close: commands.Connection.CloseOk(),
    commands.Channel.Open: commands.Channel.OpenOk(),
    commands.Channel.Close: commands.Channel.CloseOk(),
    commands.Confirm.Select: commands.Confirm.SelectOk(),
    commands.Basic.Qos: commands.Basic.QosOk(),
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readexactly(8)
        writer.write(
            frame.marshal(commands.Connection.Start(server_properties=PROPERTIES, locales="en_US"), 0)
        )
        while True:
            head = await reader.readexactly(7)
            rest = await reader.readexactly(int.from_bytes(head[3:], "big") + 1)
            _, channel, asked = frame.unmarshal(head + rest)
            if type(asked) in ANSWERS:
                writer.write(frame.marshal(ANSWERS[type(asked)], channel))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def broker() -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def test_pools_of_connections_and_channels(figures: Figures, one: One, comes: Any) -> None:
    async def main() -> None:
        async with broker() as url:
            connections: aio_pika.pool.Pool[AbstractRobustConnection]
            connections = aio_pika.pool.Pool(lambda: aio_pika.connect_robust(url), max_size=2)

            async def channel() -> AbstractRobustChannel:
                async with connections.acquire() as connection:
                    return await connection.channel()

            channels: aio_pika.pool.Pool[AbstractRobustChannel] = aio_pika.pool.Pool(channel, max_size=3)
            async with connections, channels:
                assert figures(connections) == (0, 0, 0, 2, None, 0, 0.0)
                async with channels.acquire(), channels.acquire(), channels.acquire():
                    waiting = asyncio.create_task(channels.acquire().__aenter__())
                    await comes(lambda: figures(channels) == (3, 0, 3, 3, None, 1, 1.0))
                    assert figures(connections)[3:] == (2, None, 0, 0.0)
                    async with connections.acquire() as connection:
                        opened = figures(connection)
                        assert opened[0] == opened[2] and opened[0] >= 1 and opened[3] == 9
                await waiting
                assert figures(channels) == (1, 2, 3, 3, None, 0, 0.3333)
                assert one(channels)["kind"] == "aio_pika.pool.Pool"
                assert one(connection)["kind"] == "aio_pika.robust_connection.RobustConnection"
            assert figures(connection)[:2] == (0, None)

    asyncio.run(main())


def test_a_pool_is_held_without_keeping_it(figures: Figures) -> None:
    async def main() -> None:
        pool: Any = aio_pika.pool.Pool(lambda: None, max_size=4)
        again = aio_pika_pools.POOLS.hold(pool)
        assert [part.limit for part in aio_pika_pools.POOLS.parts(again())[1:]] == [4]
        assert aio_pika_pools.POOLS.parts(again())[0] is aio_pika_pools.POOLS.parts(pool)[0]
        del pool
        gc.collect()
        assert again() is None

    asyncio.run(main())
