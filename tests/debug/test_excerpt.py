"""That the page of a report is never long: what is left out is said, and both ends of a stack stay."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.excerpt import BUDGET, excerpt

Headers = Callable[..., dict[str, str]]


def test_what_is_short_stays_as_it_is() -> None:
    report: dict[str, Any] = {
        "a": [1, 2.5, None, True],
        "b": {"c": ["x", {"d": "y" * 1000}]},
        "stack": ["f", "g"],
    }
    assert excerpt(report) == (report, False)


@pytest.mark.parametrize(
    "report",
    [
        {"many": ["text"] * 20_000},
        {"names": {f"name {number}": number for number in range(20_000)}},
        {
            "tasks": [
                {"name": str(number), "stack": [f"line {line}" * 8 for line in range(101)]}
                for number in range(1000)
            ]
        },
        {"texts": ["x" * 100_000 for _ in range(300)]},
        {"escaped": ["<" * 500 for _ in range(500)]},
        {"nested": [[[[f"{number}" for number in range(30)]] * 30] * 30]},
    ],
    ids=["items", "mapping", "stacks", "texts", "escaped", "nested"],
)
def test_what_is_long_is_cut_until_there_is_room(report: dict[str, Any]) -> None:
    found, shortened = excerpt(report)
    assert shortened
    assert list(found) == list(report)
    assert 1000 < len(html.escape(str(found))) < BUDGET


def test_of_a_stack_both_ends_stay() -> None:
    lines = [f"function_{number}" for number in range(500)]
    found, shortened = excerpt({"one": {"stack": lines}})
    shown: Any = found["one"]
    assert shortened
    assert shown["stack"][:2] == lines[:2]
    assert shown["stack"][-20:] == lines[-20:]
    assert [line for line in shown["stack"] if "more" in line] == ["… 399 more …"]
    assert len(shown["stack"]) == 102


def test_a_page_that_is_cut_says_so_and_is_no_burden(
    token_auth: TokenAuth, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    for settings, shortened in ((20_000, True), (20, False)):
        config = {f"setting {number}": "<" * 50 for number in range(settings)}
        endpoints = DiagnosticEndpoints(
            auth=token_auth, profiler=live_profiler, config=config, find_pools=False
        )
        page = TestClient(endpoints).get("/config", headers={**bearer(), "accept": "text/html"})
        assert page.status_code == 200
        assert ("Not all of it" in page.text) is shortened
        assert "setting 19" in page.text
        assert len(page.content) < 300_000
        whole = TestClient(endpoints).get("/config", headers=bearer()).json()
        assert len(whole["application"]["values"]) >= (1000 if shortened else 20)


def test_what_has_no_end_is_cut_too() -> None:
    deep: list[Any] = []
    deep.append(deep)
    found, shortened = excerpt({"deep": deep})
    assert shortened
    assert "…" in str(found)
