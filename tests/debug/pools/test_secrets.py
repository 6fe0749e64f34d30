"""No password of a pool is in any byte of the answer, whatever library has it and however it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aio_pika
import aiohttp
import asyncpg
import httpx
import psycopg_pool
import pymongo
import pytest
import redis
import redis.asyncio
import requests
import sqlalchemy
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.testclient import TestClient

from profkit.debug import DiagnosticEndpoints, TokenAuth

Headers = Callable[..., dict[str, str]]
PASSWORDS = st.text(
    "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789!$*+-_.~%", min_size=12, max_size=24
)


def failing(error: Exception) -> sqlalchemy.Engine:
    class Failing(sqlalchemy.QueuePool):
        def checkedout(self) -> int:
            raise error

    return sqlalchemy.create_engine("sqlite:///none.db", poolclass=Failing)


async def pools_with(password: str) -> dict[str, Any]:
    """One pool of each kind that has a password, none connected."""
    host, quoted = "127.0.0.1:1", quote(password, safe="")
    proxy = f"http://me:{quoted}@{host}"
    with_auth = requests.Session()
    with_auth.auth, with_auth.proxies = ("me", password), {"http": proxy}
    with_auth.headers["Authorization"] = f"Bearer {password}"
    with_auth.get_adapter("http://x").proxy_manager_for(proxy)
    return {
        "sync": sqlalchemy.create_engine(f"postgresql+psycopg://me:{quoted}@{host}/shop"),
        "arguments": sqlalchemy.create_engine(
            "postgresql+psycopg://h/d", connect_args={"password": password}
        ),
        "async": create_async_engine(f"postgresql+asyncpg://me:{quoted}@{host}/shop"),
        "asyncpg": asyncpg.create_pool(f"postgresql://me:{quoted}@{host}/shop"),
        "psycopg": psycopg_pool.ConnectionPool(
            f"postgresql://me:{quoted}@{host}/shop", kwargs={"password": password}, open=False
        ),
        "redis": redis.Redis.from_url(f"redis://me:{quoted}@{host}/0"),
        "redis arguments": redis.BlockingConnectionPool(password=password, username="me"),
        "redis async": redis.asyncio.Redis(password=password),
        "mongo": pymongo.MongoClient(f"mongodb://me:{quoted}@{host}/", connect=False),
        "httpx": httpx.Client(
            auth=("me", password), proxy=proxy, headers={"X-API-Key": password}, verify=False
        ),
        "requests": with_auth,
        "urllib3": urllib3.ProxyManager(proxy, headers=urllib3.make_headers(basic_auth=f"me:{password}")),
        "aiohttp": aiohttp.ClientSession(headers={"Authorization": f"Bearer {password}"}),
        "aio-pika": aio_pika.RobustConnection(
            aio_pika.connection.make_url(host="h", login="me", password=password)
        ),
        "fails": failing(RuntimeError(f"cannot connect to postgresql://me:{quoted}@{host}/shop")),
        "fails too": failing(RuntimeError(f"host=h password={password} dbname=shop is not there")),
        f"password={password}": failing(KeyError(f"redis://:{quoted}@{host}")),
    }


async def close(pools: dict[str, Any]) -> None:
    await pools["aiohttp"].close()
    await pools["redis async"].aclose()
    await pools["aio-pika"].close()
    for name in ("redis", "mongo", "httpx", "requests"):
        pools[name].close()


@pytest.mark.parametrize("given_by_name", [True, False])
def test_no_password_is_in_any_byte(token_auth: TokenAuth, bearer: Headers, given_by_name: bool) -> None:
    @settings(max_examples=3, deadline=None)
    @given(PASSWORDS)
    def check(password: str) -> None:
        async def main() -> None:
            pools = await pools_with(password)
            endpoints = DiagnosticEndpoints(auth=token_auth, pools=pools if given_by_name else {})
            endpoints.context.pool_reader._search.run()
            client = TestClient(endpoints)
            for accept in ("application/json", "text/html"):
                answer = await asyncio.to_thread(
                    client.get, "/connections", headers={**bearer(), "accept": accept}
                )
                assert answer.status_code == 200
                for form in (password, quote(password, safe="")):
                    assert form not in answer.text
                if accept == "application/json" and given_by_name:
                    shown = [one for one in answer.json()["pools"] if one["found"] == "given"]
                    assert len(shown) == len(pools)
                    assert [one["name"] for one in shown if not one["supported"]] == []
                elif accept == "application/json":
                    kinds = {one["kind"].partition(".")[0] for one in answer.json()["pools"]}
                    assert {"redis", "httpx", "aiohttp", "sqlalchemy", "psycopg_pool", "pymongo"} <= kinds
            await close(pools)

        asyncio.run(main())

    check()
