"""A second server, and a proxy that stands before either and does to answers what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_ANSWER = "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'


class Exchange:
    """One request, and what may be answered."""

    def __init__(self, proxy: Proxy, client: socket.socket, head: bytes, body: bytes) -> None:
        self._proxy = proxy
        self._client = client
        self.head, self.body = head, body
        self.line = head.partition(b"\r\n")[0].decode()

    def pass_on(self) -> None:
        """Ask the server, and pass its answer on."""
        for data in self._ask():
            self._client.sendall(data)
            self._proxy.passed += len(data)

    def pass_half_on(self) -> None:
        """Ask the server, and pass half of its answer on: into the body, where there is one to speak of."""
        data = b"".join(self._ask())
        self._client.sendall(data[: len(data) // 2])

    def refuse(self, status: str, code: str, message: str = "", more: str = "", headers: str = "") -> None:
        """Answer as a server of S3 does that refuses."""
        body = _ERROR.format(code=code, message=message, more=more).encode()
        self.answer(status, body, headers)

    def answer(self, status: str, body: bytes, headers: str = "") -> None:
        self._client.sendall(_ANSWER.format(status=status, length=len(body), more=headers).encode() + body)

    def reset(self) -> None:
        """End the connection as a router does that has forgotten it."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _ask(self) -> Iterator[bytes]:
        with socket.create_connection(("127.0.0.1", self._proxy.target), timeout=20) as server:
            server.sendall(self.head + b"\r\n" + self.body)
            while data := server.recv(16384):
                yield data

    def keep_silent(self) -> None:
        """Say nothing, until the client gives up."""
        with contextlib.suppress(OSError):
            while self._client.recv(4096):
                pass


class Proxy:
    """Listens on a port of its own; each connection takes one request, and `fault` says what becomes of it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.requests: list[str] = []
        self.passed = 0
        self.fault: Callable[[Exchange], None] = Exchange.pass_on
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._clients: set[socket.socket] = set()
        self.port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._begin(self._accept, self._listener)

    def stop(self) -> None:
        """Take no connections any more: they are refused."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for client in list(self._clients):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def count(self, method: str, containing: str = "") -> int:
        """Return how many requests there were."""
        return sum(line.startswith(f"{method} ") and containing in line for line in self.requests)

    def _begin(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            # Small, so that what is passed on has been asked for.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        self._clients.add(client)
        try:
            with client, contextlib.suppress(OSError):
                exchange = self._read(client)
                if exchange is not None:
                    self.requests.append(exchange.line)
                    self.fault(exchange)
        finally:
            self._clients.discard(client)

    def _read(self, client: socket.socket) -> Exchange | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(65536)
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"expect:", b"connection:"))]
        length = sum(
            int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")
        )
        if any(line.lower().startswith(b"expect:") for line in lines):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(body) < length:
            more = client.recv(65536)
            if not more:
                return None
            body += more
        return Exchange(self, client, b"\r\n".join([*kept, b"Connection: close", b""]), body)


@pytest.fixture
def proxy(nanio) -> Iterator[Proxy]:
    """Stands before nanio, and passes everything on until told otherwise."""
    proxy = Proxy(nanio.port)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def moto(nanio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Knows If-None-Match, encryption and any name; checks no signature."""
    log: Path = tmp_path_factory.mktemp("moto") / "log"
    server = type(nanio)(lambda port: ["moto.server", "-H", "127.0.0.1", "-p", str(port)], log)
    yield server
    server.client.close()
    server.stop()


@pytest.fixture
def through(bucket, proxy):
    """The bucket, by way of the proxy."""
    return bucket._replace(endpoint=proxy.endpoint)


@pytest.fixture
def moto_bucket(moto, credentials):
    return moto.bucket()
