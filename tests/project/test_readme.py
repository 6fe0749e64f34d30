"""The README says what is: its tables are the code's, its Python runs, its links lead somewhere."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from profkit.config import Settings, variable_name
from profkit.debug.endpoints import ROUTES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def shown(default: object) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return "" if default in (None, "", {}) else str(default).removesuffix(".0")


def test_every_setting_is_in_its_table_with_its_default() -> None:
    for field in dataclasses.fields(Settings):
        row = next(line for line in README.splitlines() if line.startswith(f"| `{field.name}` |"))
        variable, default, purpose = (cell.strip() for cell in row.split("|")[2:5])
        assert variable in (f"`{variable_name(field.name)}`", "")
        assert (variable == "") == (field.name == "on_profile")
        assert purpose == field.metadata["help"]
        assert default == shown(getattr(Settings(), field.name) if field.name != "service" else "")


def test_every_route_is_in_its_table_with_its_scope() -> None:
    rows = set(re.findall(r"^\| `(\w+) /debug(\S*)` \| (\w+) \|", README, re.MULTILINE))
    assert rows == {(route.method, route.path, str(route.scope)) for route in ROUTES if route.listed}


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_its_python_is_python(block: str) -> None:
    shown = re.sub(r"^(@profkit\.profile.*)\n(?=@|with)", r"\1\ndef f(): ...\n", block, flags=re.MULTILINE)
    ast.parse(shown)


def test_its_links_lead_to_files() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)", README):
        assert (ROOT / link).exists(), link
