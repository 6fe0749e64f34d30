"""That a POST is one the caller means to make."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit.debug import DiagnosticEndpoints, origin

Headers = Callable[..., dict[str, str]]
URL = "/profile?seconds=0.1"


def form_token(client: TestClient, headers: dict[str, str]) -> str:
    page = client.get("/profile", headers={**headers, "accept": "text/html"}).text
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://testserver"},
        {"Origin": "https://TESTSERVER"},
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_bearers_post_needs_no_form_token(
    debug_client: TestClient, bearer: Headers, headers: dict[str, str]
) -> None:
    assert debug_client.post(URL, headers={**bearer(), **headers}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "http://testserver:8080"},
        {"Origin": "http://testserver@evil.example"},
        {"Origin": "ftp://testserver"},
        {"Origin": "http://[::1"},
        {"Origin": "http://testserver:99999"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_post_from_another_site_is_403(
    debug_client: TestClient, bearer: Headers, headers: dict[str, str]
) -> None:
    assert debug_client.post(URL, headers={**bearer(), **headers}).status_code == 403
    assert debug_client.get("/config", headers={**bearer(), **headers}).status_code == 200


def test_under_basic_a_post_needs_the_form_token(debug_client: TestClient, basic: Headers) -> None:
    headers = basic()
    token = form_token(debug_client, headers)
    assert debug_client.post(URL, headers=headers).status_code == 403
    assert debug_client.post(URL, headers={**headers, "X-Profkit-Form-Token": token[:-1]}).status_code == 403
    assert debug_client.post(URL, headers=headers, data={"form_token": "x"}).status_code == 403
    assert debug_client.post(URL, headers=headers, json={"form_token": token}).status_code == 403
    assert debug_client.post(URL + f"&form_token={token}", headers=headers).status_code == 403
    assert debug_client.post(URL, headers={**headers, "X-Profkit-Form-Token": token}).status_code == 200
    assert debug_client.post(URL, headers=headers, data={"form_token": token}).status_code == 200


def test_another_callers_form_token_is_none(debug_client: TestClient, basic: Headers) -> None:
    token = form_token(debug_client, basic())
    answer = debug_client.post(URL, headers={**basic("profiler"), "X-Profkit-Form-Token": token})
    assert answer.status_code == 403


def test_a_bearers_page_shows_no_form_token(debug_client: TestClient, bearer: Headers) -> None:
    page = debug_client.get("/profile", headers={**bearer(), "accept": "text/html"}).text
    assert "form_token" not in page


def test_a_large_body_is_413(debug_client: TestClient, bearer: Headers) -> None:
    assert debug_client.post(URL, headers=bearer(), content=b"x" * 5000).status_code == 413


def test_a_body_that_never_ends_is_408(
    endpoints: DiagnosticEndpoints, bearer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "BODY_TIMEOUT", 0.05)

    async def main() -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", bearer()["Authorization"].encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/profile",
            "query_string": b"",
            "headers": headers,
        }
        await endpoints(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]
        return int(sent[0]["status"])

    assert asyncio.run(main()) == 408
