"""One look at each debug route, with the token and without it. The index tells which routes there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from demo.sights import look


@dataclass(frozen=True, slots=True)
class Stop:
    """What one route answered: the status without the token and with it, and one line of what was seen."""

    route: str
    refused: int
    status: int
    seen: str


def take_tour(url: str, token: str) -> list[Stop]:
    """Ask every debug route of the service at `url` that changes nothing."""
    with httpx.Client(base_url=f"{url}/debug", timeout=60) as client:
        bearer = {"authorization": f"Bearer {token}"}
        index = client.get("/", headers=bearer).raise_for_status().json()
        stored = client.get("/profile", headers=bearer).raise_for_status().json()["stored"]["profiles"]
        routes = [
            route for route in index["routes"] if route["allowed"] and route["method"] in ("GET", "POST")
        ]
        return [
            _visit(client, bearer, route, stored[0]["id"])
            for route in routes
            if stored or "{id}" not in route["path"]
        ]


def _visit(client: httpx.Client, bearer: dict[str, str], route: dict[str, Any], id: str) -> Stop:
    method, path = route["method"], route["path"]
    parameters = (
        {"seconds": "1", "type": "shop.resources.Resources"} if method == "POST" else {"format": "html"}
    )
    known = {parameter["name"] for parameter in route["parameters"]}
    params = {name: value for name, value in parameters.items() if name in known}
    there = path.replace("{id}", id)
    refused = client.request(method, there, params=params)
    answer = client.request(method, there, params=params, headers=bearer)
    seen = look(method, path, answer) if answer.is_success else answer.text[:80]
    query = f"?{httpx.QueryParams(params)}" if params else ""
    return Stop(f"{method} /debug{path}{query}", refused.status_code, answer.status_code, seen)
