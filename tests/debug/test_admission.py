"""Where a request may come from, before any credential is looked at."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.admission import Admission
from profkit_storage import ConfigurationError
from tests.debug.conftest import NO_DELAY, TOKENS

HEADERS = {"Authorization": f"Bearer {TOKENS['all']}"}


def connection(*hosts: str, client: tuple[str, int] | None = ("10.1.2.3", 4000)) -> HTTPConnection:
    headers = [(b"host", host.encode()) for host in hosts]
    headers.append((b"x-forwarded-host", b"debug.example.org"))
    return HTTPConnection({"type": "http", "headers": headers, "client": client})


@pytest.mark.parametrize(
    ("hosts", "admitted"),
    [
        (["debug.example.org"], True),
        (["DEBUG.example.org:8080"], True),
        (["debug.example.org."], True),
        (["a.internal"], True),
        (["a.b.internal:1"], True),
        (["[::1]:8000"], True),
        (["internal"], False),
        (["notinternal"], False),
        (["debug.example.org.evil.com"], False),
        (["evil.com"], False),
        (["127.0.0.1"], False),
        ([""], False),
        ([], False),
        (["debug.example.org", "debug.example.org"], False),
        (["debug.example.org@evil.com"], False),
    ],
)
def test_only_these_names(hosts: list[str], admitted: bool) -> None:
    admission = Admission(["debug.example.org", "*.internal", "[::1]"], None)
    assert admission.admits(connection(*hosts)) is admitted
    assert Admission(None, None).admits(connection(*hosts))


@pytest.mark.parametrize(
    ("client", "admitted"),
    [
        (("10.1.2.3", 4000), True),
        (("::ffff:10.1.2.3", 4000), True),
        (("fd00::1", 4000), True),
        (("fd00::1%eth0", 4000), True),
        (("127.0.0.1", 4000), False),
        (("11.0.0.1", 4000), False),
        (("10.1.2.3", 0), True),
        (("testclient", 4000), False),
        (("", 0), False),
        (None, False),
    ],
)
def test_only_from_these_networks(client: tuple[str, int] | None, admitted: bool) -> None:
    assert Admission(None, ["10.0.0.0/8", "fd00::/8"]).admits(connection("x", client=client)) is admitted


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_an_address_that_a_header_told_the_server_opens_nothing(header: str, token_auth: TokenAuth) -> None:
    endpoints = DiagnosticEndpoints(auth=token_auth, limits=NO_DELAY, allowed_networks=["10.0.0.0/8"])
    believing = ProxyHeadersMiddleware(endpoints, "192.0.2.1")
    client = TestClient(believing, client=("192.0.2.1", 5000))
    told = {header: "10.0.0.5:1234" if header == "X-Forwarded-For" else "for=10.0.0.5"}
    assert client.get("/config", headers={**HEADERS, **told}).status_code == 403
    assert (
        TestClient(endpoints, client=("10.0.0.5", 1)).get("/config", headers={**HEADERS, **told}).status_code
        == 403
    )


def test_a_socket_of_the_file_system_has_a_name_of_its_own() -> None:
    admission = Admission(None, ["unix"])
    assert admission.admits(connection("x", client=None))
    assert admission.admits(connection("x", client=("", 0)))
    assert not admission.admits(connection("x"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"allowed_hosts": "example.org"}, "allowed_hosts='example.org'"),
        ({"allowed_hosts": []}, "at least one"),
        ({"allowed_hosts": ["example.org:80"]}, "without a port"),
        ({"allowed_hosts": ["http://example.org"]}, "without a port"),
        ({"allowed_hosts": ["*"]}, "example.org"),
        ({"allowed_hosts": [3]}, "texts"),
        ({"allowed_networks": ["10.0.0.1/8"]}, "host bits"),
        ({"allowed_networks": ["example.org"]}, "'example.org'"),
        ({"allowed_networks": []}, "at least one"),
    ],
)
def test_what_is_not_allowed_is_named(token_auth: TokenAuth, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DiagnosticEndpoints(auth=token_auth, **arguments)
    assert says in str(caught.value)


def test_nothing_is_told_and_no_token_is_tried(
    token_auth: TokenAuth, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = DiagnosticEndpoints(
        auth=token_auth, limits=NO_DELAY, allowed_hosts=["debug.example.org"], allowed_networks=["10.0.0.0/8"]
    )
    inside = TestClient(endpoints, base_url="http://debug.example.org", client=("10.0.0.7", 5000))
    outside = TestClient(endpoints, base_url="http://debug.example.org", client=("192.0.2.1", 5000))
    rebound = TestClient(endpoints, base_url="http://evil.example", client=("10.0.0.7", 5000))
    assert inside.get("/config", headers=HEADERS).status_code == 200
    with caplog.at_level(logging.INFO, "profkit.audit"):
        for client in (outside, rebound):
            for path in ("/config", "/nowhere"):
                for headers in ({}, HEADERS, {"Authorization": "Bearer wrong"}):
                    answer = client.get(path, headers=headers)
                    assert answer.status_code == 403
                    assert "x-profkit-process" not in answer.headers
                    assert answer.headers["cache-control"] == "no-store"
                    assert set(answer.json()) == {"error"}
    assert len(caplog.records) == 12
    assert all(record.levelno == logging.WARNING for record in caplog.records)
