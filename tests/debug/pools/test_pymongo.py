"""pymongo's clients on the smallest server that speaks MongoDB's wire protocol."""

from __future__ import annotations

import asyncio
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import bson
import pymongo
import pytest

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]
Until = Callable[[Callable[[], bool]], None]

REPLY, QUERY, MESSAGE = 1, 2004, 2013
HELLO = {
    "helloOk": True,
    "ismaster": True,
    "isWritablePrimary": True,
    "maxBsonObjectSize": 16_777_216,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 25,
    "ok": 1,
}


@pytest.fixture
def mongo(released: threading.Event) -> Iterator[str]:
    """Answers handshakes and pings at once, a ping that is slow when `released` is set."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(head := self.rfile.read(16)) == 16:
                length, request, _, code = struct.unpack("<iiii", head)
                body = self.rfile.read(length - 16)
                # Before the document are flags, a collection's name and two numbers; or flags and a kind.
                start = body.index(b"\0", 4) + 9 if code == QUERY else 5
                self.answer(request, code, bson.decode(body[start:]))

        def answer(self, request: int, code: int, document: dict[str, Any]) -> None:
            command = next(iter(document))
            if document.get("slow"):
                released.wait(10)
            answer = bson.encode(HELLO if command.lower() in {"hello", "ismaster"} else {"ok": 1})
            if code == QUERY:
                code, answer = REPLY, struct.pack("<iqii", 8, 0, 0, 1) + answer
            else:
                answer = struct.pack("<IB", 0, 0) + answer
            self.wfile.write(struct.pack("<iiii", 16 + len(answer), 1, request, code) + answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"mongodb://127.0.0.1:{running.server_address[1]}/?maxPoolSize=2&retryReads=false"
        released.set()
        running.shutdown()
        thread.join()


def test_a_client(mongo: str, released: threading.Event, figures: Figures, one: One, until: Until) -> None:
    with pymongo.MongoClient(mongo, serverSelectionTimeoutMS=5000) as client:
        assert client.admin.command("ping") == {"ok": 1}
        until(lambda: figures(client) == (0, 1, 1, 2, None, 0, 0.0))
        calls = [
            threading.Thread(target=client.admin.command, args=("ping",), kwargs={"slow": True})
            for _ in range(4)
        ]
        for call in calls:
            call.start()
        until(lambda: figures(client) == (2, 0, 2, 2, None, 2, 1.0))
        released.set()
        for call in calls:
            call.join()
        until(lambda: figures(client) == (0, 2, 2, 2, None, 0, 0.0))
        report = one(client)
        assert report["kind"] == "pymongo.synchronous.mongo_client.MongoClient"
        assert report["source"] == "private"


def test_an_async_client(mongo: str, released: threading.Event, figures: Figures, comes: Any) -> None:
    async def main() -> None:
        async with pymongo.AsyncMongoClient(mongo, serverSelectionTimeoutMS=5000) as client:
            assert await client.admin.command("ping") == {"ok": 1}
            calls = [asyncio.create_task(client.admin.command("ping", slow=True)) for _ in range(3)]
            await comes(lambda: figures(client) == (2, 0, 2, 2, None, 1, 1.0))
            released.set()
            await asyncio.gather(*calls)
            await comes(lambda: figures(client) == (0, 2, 2, 2, None, 0, 0.0))

    asyncio.run(main())


def test_a_client_that_has_asked_nothing(figures: Figures) -> None:
    with pymongo.MongoClient("mongodb://127.0.0.1:1", connect=False) as client:
        assert figures(client)[:3] == (0, 0, 0)
