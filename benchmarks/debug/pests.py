"""Clients that behave badly, towards every route: `python -m benchmarks.debug.pests PORT SECONDS PREFIX`.

200 at once, each of which comes again two seconds later and does the next bad thing. Those who do bad things with the
body of a POST have a token for it; the others have none, or a wrong one. PREFIX is where the routes are. Prints what
was answered and how often, 0 where nothing was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator

from benchmarks.debug.served import TOKEN
from profkit.debug.endpoints import ROUTES

CLIENTS = 200
LASTS = 2.0
"""Seconds after which a client that is not answered goes."""
_COMES_AGAIN = 2.0
_PAUSE = 0.1
_ID = "01M7YT3JT56YQNSWSGN4YNTX10"
_LARGE = b"x" * 65_536


async def slow_head(head: str) -> AsyncIterator[bytes]:
    """Some letters of the head at a time, and never the last."""
    for at in range(0, len(head), 8):
        yield head[at : at + 8].encode()
        await asyncio.sleep(_PAUSE)
    await asyncio.sleep(LASTS)


async def slow_body(head: str) -> AsyncIterator[bytes]:
    """A body that comes letter by letter."""
    yield f"{head}Content-Length: 4000\r\n\r\n".encode()
    while True:
        yield b"x"
        await asyncio.sleep(_PAUSE)


async def no_end(head: str) -> AsyncIterator[bytes]:
    """A body whose end does not come."""
    yield f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode()
    await asyncio.sleep(LASTS)


async def huge_head(head: str) -> AsyncIterator[bytes]:
    """A header of a megabyte."""
    yield f"{head}X-Large: ".encode()
    for _ in range(16):
        yield _LARGE


async def many_headers(head: str) -> AsyncIterator[bytes]:
    """A thousand headers."""
    yield head.encode() + b"".join(b"X-%d: y\r\n" % number for number in range(1000)) + b"\r\n"


async def huge_body(head: str) -> AsyncIterator[bytes]:
    """A body of 8 megabytes."""
    yield f"{head}Content-Length: 8388608\r\n\r\n".encode()
    for _ in range(128):
        yield _LARGE


async def cut(head: str) -> AsyncIterator[bytes]:
    """A request that ends in its middle."""
    yield f"{head}Content-Length: 99\r\n\r\nhalf".encode()


async def wrong_token(head: str) -> AsyncIterator[bytes]:
    """Credentials that are none."""
    yield f"{head}\r\n".encode()
    await asyncio.sleep(LASTS)


async def rubbish(head: str) -> AsyncIterator[bytes]:
    """What is no HTTP."""
    yield head.encode()[::-1] + b"\x00\xff\r\n\r\n"


HABITS = (
    slow_head,
    slow_body,
    no_end,
    huge_head,
    many_headers,
    huge_body,
    cut,
    wrong_token,
    rubbish,
)


async def visit(port: int, prefix: str, number: int) -> str:
    """Do one bad thing; return the status of the answer."""
    habit, route = HABITS[number % len(HABITS)], ROUTES[number // len(HABITS) % len(ROUTES)]
    # Nobody who may ask gets a capture out of it: that would be no bad client, and it takes long by design.
    query = "?seconds=none" if route.job else ""
    path = prefix + route.path.replace("{id}", _ID)
    right = route.method == "POST" and habit in {slow_body, no_end, huge_body, cut}
    token = f"Authorization: Bearer {TOKEN if right else 'wrong-0123456789abcdefghij'}\r\n"
    head = f"{route.method} {path}{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if right or number // len(HABITS) % 3:
        head += token
    answer = b""
    with contextlib.suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(LASTS):
                sending = asyncio.create_task(_send(habit(head), writer))
                try:
                    answer = await (_nothing() if habit is cut else reader.readline())
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        finally:
            # At once, with what was not read lost.
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
    return answer.split()[1].decode() if answer.startswith(b"HTTP/1.1 ") else "0"


async def _nothing() -> bytes:
    await asyncio.sleep(_PAUSE)
    return b""


async def _send(pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
    async for piece in pieces:
        writer.write(piece)
        await writer.drain()


async def pester(port: int, seconds: float, prefix: str) -> Counter[str]:
    """Let all of them come, spread over the first second."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    answers: Counter[str] = Counter()

    async def come_again(number: int) -> None:
        await asyncio.sleep(_COMES_AGAIN * number / CLIENTS)
        while loop.time() < until:
            began = loop.time()
            answers[await visit(port, prefix, number)] += 1
            number += CLIENTS + 1
            await asyncio.sleep(max(0.0, began + _COMES_AGAIN - loop.time()))

    await asyncio.gather(*map(come_again, range(CLIENTS)))
    return answers


if __name__ == "__main__":
    print(json.dumps(asyncio.run(pester(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))))
