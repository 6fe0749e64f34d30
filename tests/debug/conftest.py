"""A debug application with tokens of every kind, alone and mounted; and a real server to ask it through."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import DiagnosticEndpoints, FailureLimits, Token, TokenAuth
from profkit_storage.memory import MemoryStorage

TOKENS = {
    "all": "all-scopes-0123456789abcdef",
    "reader": "reader-0123456789abcdefghij",
    "profiler": "profiler-0123456789abcdefg",
    "keeper": "keeper-0123456789abcdefghi",
}
SCOPES = {"all": "read+profile+memory+manage", "reader": "read", "profiler": "profile", "keeper": "memory"}
NO_DELAY = FailureLimits(delay=0, per_peer=10**6, total=10**6)


@pytest.fixture
def bearer() -> Callable[[str], dict[str, str]]:
    """Headers of a named token."""
    return lambda name="all": {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.fixture
def basic() -> Callable[[str], dict[str, str]]:
    """Headers of a named token as a browser sends it."""

    def headers(name: str = "all") -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"me:{TOKENS[name]}".encode()).decode()}

    return headers


@pytest.fixture
def token() -> str:
    """The token that has every scope."""
    return TOKENS["all"]


@pytest.fixture
def token_auth() -> TokenAuth:
    """One token for each set of scopes."""
    return TokenAuth(**{name: Token(secret, SCOPES[name]) for name, secret in TOKENS.items()})


@pytest.fixture
def live_profiler() -> Iterator[PerformanceProfiler]:
    """A profiler that stores in memory and keeps every operation."""
    profiler = PerformanceProfiler(Settings(storage=MemoryStorage(), service="shop", threshold=0.0))
    yield profiler
    assert profiler.shutdown(5)


@pytest.fixture
def endpoints(token_auth: TokenAuth, live_profiler: PerformanceProfiler) -> DiagnosticEndpoints:
    """The debug application, with failures neither slowed nor limited."""
    return DiagnosticEndpoints(auth=token_auth, profiler=live_profiler, limits=NO_DELAY)


@pytest.fixture
def debug_client(endpoints: DiagnosticEndpoints) -> Iterator[TestClient]:
    """A client of the debug application by itself, without credentials, that follows no redirect."""
    with TestClient(endpoints, follow_redirects=False) as client:
        yield client


@pytest.fixture
def asking(bearer: Callable[..., dict[str, str]]) -> Callable[..., AbstractContextManager[None]]:
    """Somebody else asks a server for a job, and goes away without its answer at the end."""

    @contextmanager
    def asked(client: httpx.Client, path: str, name: str = "profiler") -> Iterator[None]:
        token = bearer(name)["Authorization"]
        request = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 0\r\n\r\n"
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(request.encode())
            yield

    return asked


@pytest.fixture
def serve() -> Callable[..., AbstractContextManager[httpx.Client]]:
    """Serve an ASGI application by uvicorn on a free loopback port; gives a client of it."""

    @contextmanager
    def serving(app: Any, **options: Any) -> Iterator[httpx.Client]:
        config = uvicorn.Config(app, port=0, log_config=None, **{"lifespan": "off", **options})
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            give_up = time.monotonic() + 10
            while not server.started and time.monotonic() < give_up:
                time.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()

    return serving
