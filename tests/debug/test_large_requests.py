"""Requests that are larger than any that is meant: refused before they cost, and not read to their end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest
from starlette.testclient import TestClient

from profkit.debug import DiagnosticEndpoints

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.mark.parametrize(
    "headers",
    [
        [(f"x-{number}", "y") for number in range(201)],
        [("x-large", "y" * 70_000)],
        [(f"x-{number}", "y" * 1_000) for number in range(70)],
    ],
    ids=["many", "one large", "many large"],
)
def test_too_many_headers_are_431_whoever_asks(
    debug_client: TestClient,
    bearer: Headers,
    caplog: pytest.LogCaptureFixture,
    headers: list[tuple[str, str]],
) -> None:
    for given in (headers, [*headers, *bearer().items()]):
        with caplog.at_level(logging.INFO, "profkit.audit"):
            answer = debug_client.get("/config", headers=given)
        assert answer.status_code == 431
        assert answer.json()["error"]["status"] == 431
        assert "answered_by" not in answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert "status=431" in caplog.records[-1].getMessage()


def test_many_headers_are_no_obstacle(debug_client: TestClient, bearer: Headers) -> None:
    many = [(f"x-{number}", "y" * 250) for number in range(190)]
    assert debug_client.get("/config", headers=[*many, *bearer().items()]).status_code == 200


@pytest.mark.parametrize(
    ("headers", "closed"),
    [
        ("Content-Length: 0\r\n", False),
        ("Content-Length: 4096\r\n", False),
        ("Content-Length: 4097\r\n", True),
        ("Content-Length: 9999999999\r\n", True),
        ("Transfer-Encoding: chunked\r\n", True),
        ("", False),
    ],
)
@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_large_body_that_is_refused_is_not_read(
    endpoints: DiagnosticEndpoints, serve: Serve, http: str, headers: str, closed: bool
) -> None:
    with serve(endpoints, http=http) as client:
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(f"POST /profile HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
            answer = connection.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert (b"connection: close" in answer.lower()) is closed
            if closed:
                while connection.recv(65_536):
                    pass


def test_a_good_answer_leaves_the_connection_open(debug_client: TestClient, bearer: Headers) -> None:
    answer = debug_client.post("/profile?seconds=0.1", headers=bearer(), content=iter([b"x"]))
    assert answer.status_code == 200
    assert "connection" not in answer.headers
