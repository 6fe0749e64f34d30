"""Type checkers see through the decorator: both are run over `decorated.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECORATED = Path(__file__).with_name("decorated.py")


def run(*arguments: object) -> str:
    """Run a module of this environment; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # more is a checker that could not work
    return done.stdout


def mypy() -> dict[int, str]:
    found = [json.loads(line) for line in run("mypy", "--strict", "--output=json", DECORATED).splitlines()]
    return {one["line"]: one["message"] for one in found if one["severity"] == "error"}


def pyright() -> dict[int, str]:
    printed = run("pyright", "--pythonpath", sys.executable, "--outputjson", DECORATED)
    found = json.loads(printed)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1: one["message"] for one in found}


@pytest.mark.parametrize("check", [mypy, pyright])
def test_a_decorated_function_has_the_type_it_had(check: Callable[[], dict[int, str]]) -> None:
    found = check()
    lines = DECORATED.read_text().splitlines()
    refused = {number for number, line in enumerate(lines, 1) if line.endswith("# refused")}
    assert len(refused) > 25
    unexpected = {number: message for number, message in found.items() if number not in refused}
    assert unexpected == {}
    missed = {number: lines[number - 1] for number in refused - found.keys()}
    assert missed == {}
