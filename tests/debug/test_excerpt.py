"""That the page of a report is never long: what is left out is said, and both ends of a stack stay."""

from __future__ import annotations

from typing import Any

import pytest

from profkit.debug.excerpt import BUDGET, excerpt


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
        {"nested": [[[[f"{number}" for number in range(30)]] * 30] * 30]},
    ],
    ids=["items", "mapping", "stacks", "texts", "nested"],
)
def test_what_is_long_is_cut_until_there_is_room(report: dict[str, Any]) -> None:
    found, shortened = excerpt(report)
    assert shortened
    assert list(found) == list(report)
    assert 1000 < len(str(found)) < BUDGET


def test_of_a_stack_both_ends_stay() -> None:
    lines = [f"function_{number}" for number in range(500)]
    found, shortened = excerpt({"one": {"stack": lines}})
    shown: Any = found["one"]
    assert shortened
    assert shown["stack"][:2] == lines[:2]
    assert shown["stack"][-20:] == lines[-20:]
    assert [line for line in shown["stack"] if "more" in line] == ["… 399 more …"]
    assert len(shown["stack"]) == 102


def test_what_has_no_end_is_cut_too() -> None:
    deep: list[Any] = []
    deep.append(deep)
    found, shortened = excerpt({"deep": deep})
    assert shortened
    assert "…" in str(found)
