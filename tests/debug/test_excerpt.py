"""That the page of a report is never long: what is left out is said, and both ends of a stack stay."""

from __future__ import annotations

import dataclasses
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
        {"values": {f"name {number}": number for number in range(20_000)}},
        {
            "values": {
                f"{one}": {f"{two}": {f"{three}": "on" for three in range(30)} for two in range(30)}
                for one in range(30)
            }
        },
        {"tags": {"k" * 300_000: 1, **{f"{number}" * 500: "<" * 500 for number in range(500)}}},
        {"wide": ["語" * 400 for _ in range(400)]},
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
    ids=["items", "mapping", "mappings", "keys", "wide", "stacks", "texts", "escaped", "nested"],
)
def test_what_is_long_is_cut_until_there_is_room(report: dict[str, Any]) -> None:
    found, shortened = excerpt(report)
    assert shortened
    assert list(found) == list(report)
    assert 1000 < len(html.escape(str(found)).encode()) < BUDGET


def test_what_has_a_form_keeps_it_however_much_there_is() -> None:
    rows = [{f"field {number}": "x" * 2000 for number in range(50)} for _ in range(500)]
    report: dict[str, Any] = {"rows": rows, "values": {f"{n}": "y" * 500 for n in range(5_000)}}
    report |= {f"part {number}": {f"name {other}": other for other in range(30)} for number in range(20)}
    found, shortened = excerpt(report)
    shown: Any = found
    assert shortened
    assert list(shown) == list(report)
    assert list(shown["rows"][0]) == list(rows[0])
    assert all(list(shown[name]) == list(report[name]) for name in report if name.startswith("part"))
    assert 0 < len(shown["values"]) < 5_000


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


def test_figures_of_a_page_that_is_cut_are_those_of_all(
    token_auth: TokenAuth, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    config = {f"group {one}": {f"setting {two}": "x" * 200 for two in range(15)} for one in range(40)}
    features = {
        f"{one}": {f"{two}": {f"{three}": "on" for three in range(12)} for two in range(12)}
        for one in range(12)
    }
    pools: dict[str, object] = {f"{number}" * 300: object() for number in range(120)}
    endpoints = DiagnosticEndpoints(
        auth=token_auth,
        profiler=live_profiler,
        config=config,
        features=features,
        pools=pools,
        find_pools=False,
    )
    client = TestClient(endpoints)
    page = client.get("/config", headers={**bearer(), "accept": "text/html"})
    assert page.status_code == 200
    assert "Not all of it" in page.text
    distributions = len(client.get("/config", headers=bearer()).json()["distributions"])
    assert f"{distributions} distributions" in page.text
    page = client.get("/connections", headers={**bearer(), "accept": "text/html"})
    shown = page.text.count("no pool that is known here")
    assert "120 pools" in page.text
    assert f"and {120 - shown} more." in page.text


def test_sources_are_told_of_all_that_is_shown(
    token_auth: TokenAuth, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    fields = [(f"setting_{number}", str, dataclasses.field(default="x" * 100)) for number in range(700)]
    config = dataclasses.make_dataclass("Shop", fields)()
    endpoints = DiagnosticEndpoints(auth=token_auth, profiler=live_profiler, config=config, find_pools=False)
    page = TestClient(endpoints).get("/config", headers={**bearer(), "accept": "text/html"}).text
    assert "Not all of it" in page
    assert "<td>not known</td>" not in page
    assert page.count(">default</td>") > 100


def test_what_has_no_end_is_cut_too() -> None:
    deep: list[Any] = []
    deep.append(deep)
    found, shortened = excerpt({"deep": deep})
    assert shortened
    assert "…" in str(found)
