"""A client that behaves: `python -m benchmarks.debug.caller PORT SECONDS AFTER` prints how long each answer took.

After some seconds, 200 requests a second for the application's own route, over ten connections, each at its time
whatever became of the last: an answer that is late is late for all that wait behind it.
"""

from __future__ import annotations

import asyncio
import json
import sys

CONNECTIONS = 10
RATE = 200.0
_REQUEST = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def call(port: int, number: int, seconds: float) -> list[float]:
    """Ask over one connection; return the time of each answer, from when it was to be asked for."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    interval = CONNECTIONS / RATE
    due = loop.time() + interval * (1 + number / CONNECTIONS)
    until = due + seconds
    took: list[float] = []
    while due < until:
        await asyncio.sleep(max(0.0, due - loop.time()))
        writer.write(_REQUEST)
        while not (await reader.readuntil(b"\n")).startswith(b"\r"):
            pass
        await reader.readexactly(len(b"hello"))
        took.append(loop.time() - due)
        due += interval
    writer.close()
    return took


async def main(port: int, seconds: float, after: float) -> list[float]:
    """Ask over all of them."""
    await asyncio.sleep(after)
    found = await asyncio.gather(*(call(port, number, seconds) for number in range(CONNECTIONS)))
    return [one for part in found for one in part]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))))
