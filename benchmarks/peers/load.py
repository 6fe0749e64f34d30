"""Keeps a server on this machine busy: `load.py PORT` prints requests a second, and how many there were in all.

Sixteen connections, each with one request at a time, for a little over a second.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

CONNECTIONS = 16
WARM_UP = 0.2
SECONDS = 1.0
_REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"


def main(port: int) -> str:
    """Return requests a second, without those of the first moments, and all requests."""
    with selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, bytearray())
            connection.sendall(_REQUEST)
        before = _answered(selector, WARM_UP)
        started = time.perf_counter()
        counted = _answered(selector, SECONDS)
        return f"{counted / (time.perf_counter() - started):.1f} {before + counted}"


def _answered(selector: selectors.BaseSelector, seconds: float) -> int:
    answered = 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for key, _ in selector.select(seconds):
            connection, answer = key.fileobj, key.data
            assert isinstance(connection, socket.socket)
            answer += connection.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 200 "[: len(answer)]):
                raise SystemExit(f"answered {bytes(answer[:40])!r}")
            if answer.endswith(b"\r\n\r\nhello"):
                answered += 1
                answer.clear()
                connection.sendall(_REQUEST)
    return answered


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
