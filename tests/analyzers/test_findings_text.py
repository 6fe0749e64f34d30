"""What findings look like in a terminal of any width, and that nothing stored can drive the terminal."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from profkit_analyzers.findings import Evidence, Finding, Unit, summary
from profkit_analyzers.findings.finding import TITLES
from profkit_analyzers.findings.outliers import _ADVICE
from profkit_analyzers.reporters import findings
from profkit_analyzers.reporters.terminal import Screen, written

HOSTILE = "evil\x1b]0;owned\x07\x1b[2J\r\n\u202eright"
LONG = "a.very.deep.package.of.the.application.itself.Class.method_with_a_rather_long_name (line 13)"


def finding(**fields: object) -> Finding:
    given = {
        "pattern": "n_plus_one_query", "operation": "POST /agent", "place": LONG, "seconds": 12.35,
        "operations": 7.0, "advice": "Fetch them with one query: a join, an IN list, or eager loading. " * 2,
        "evidence": (
            Evidence("queries in an operation, at least", 34.0, Unit.COUNT),
            Evidence("of the time of these operations", 0.423, Unit.SHARE),
            Evidence("by chance", 0.0001, Unit.SHARE),
            Evidence("as long", 2.25, Unit.TIMES),
            Evidence("the longest", 0.5, Unit.SECONDS),
            Evidence("by", "sqlalchemy", Unit.NAME),
            Evidence("answers in an operation", 1.5, Unit.COUNT),
        ),
        "exemplars": ("01M80V94EJB7S3AWYN374SP5H9",),
    }  # fmt: skip
    return Finding(**(given | fields))


def page(found: list[Finding], width: int | None = None, top: int | None = None) -> str:
    screen = Screen(width)
    return written(findings.lines(found, screen, top), screen)


@pytest.mark.parametrize("width", [40, 72, 80, 139, 140, 200, None])
def test_all_of_it_is_there_and_no_line_is_wider_than_the_terminal(width):
    shown = page([finding(), finding(place="app.f (line 3)", operation="订单.查询" * 10)], width)
    if width is not None:
        assert max(map(cell_len, shown.split("\n"))) <= width
    told = " ".join(shown.split())
    for wanted in (
        "12.35 s", "N+1 queries", "7 operations;", "long_name (line 13)",
        "queries in an operation, at least: 34", "of the time of these operations: 42.3 %", "by chance: under 0.1 %",
        "as long: 2.2 times", "the longest: 0.50 s", "by: sqlalchemy", "answers in an operation: 1.5",
        "Fetch them with one query", "01M80V94EJB7S3AWYN374SP5H9",
    ):  # fmt: skip
        assert wanted in told, wanted


def test_the_first_ones_and_how_many_are_left():
    found = [finding(operation=f"op {number}") for number in range(5)]
    shown = page(found, 100, top=2)
    assert "op 1" in shown
    assert "op 2" not in shown
    assert "and 3 smaller findings" in shown
    assert "smaller" not in page(found, 100)
    assert page([]) == ""


@pytest.mark.parametrize("width", [80, 160, None])
def test_nothing_stored_drives_the_terminal(width):
    hostile = finding(
        operation=HOSTILE, place=HOSTILE, exemplars=(HOSTILE,), evidence=(Evidence("by", HOSTILE, Unit.NAME),)
    )
    shown = page([hostile], width)
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


def test_a_finding_without_a_place_says_so():
    assert "[no application code seen]" in page([finding(place="")], 80)


def test_every_pattern_has_a_title():
    assert set(TITLES) == {*(pattern.name for pattern in summary.PATTERNS), *_ADVICE}
