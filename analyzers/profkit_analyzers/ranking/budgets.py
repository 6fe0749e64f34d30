"""What an operation may take before its seconds count as too many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from profkit_storage import ConfigurationError
from profkit_storage.categories import CategoryTable
from profkit_storage.sections import Section, parse_toml, read_text

_LONGEST = 1e9


@dataclass(frozen=True, slots=True)
class Budgets:
    """Seconds by operation, then by category, then `default`; where none applies, the threshold it was captured under.

    Names of operations may be patterns (`checkout.*`); a name that is one exactly goes first, then the first pattern.
    """

    operations: Mapping[str, float] = field(default_factory=dict[str, float])
    categories: Mapping[str, float] = field(default_factory=dict[str, float])
    default: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no number of seconds."""
        if self.default is not None and not (math.isfinite(self.default) and self.default >= 0):
            raise ConfigurationError(f"budget {self.default!r}: must be a finite number of seconds from 0")

    def seconds(self, operation: str, category: str, threshold: float) -> float:
        """Return the budget of an operation of that name and category, captured under `threshold`, all in seconds."""
        found = self.operations.get(operation)
        if found is None:
            found = next(
                (budget for pattern, budget in self.operations.items() if fnmatchcase(operation, pattern)),
                None,
            )
        if found is None:
            found = self.categories.get(category, self.default)
        return threshold if found is None else found


def load_budgets(path: str | Path, table: CategoryTable) -> Budgets:
    """Return the budgets in a TOML file, laid over those of the categories in `table`.

    The file has seconds: `default = 3.0`, and the tables `[operations]` and `[categories]`, such as
    `"checkout.*" = 1.5` and `db = 0.1`.

    Raises:
        ConfigurationError: the file cannot be read or is not in that form; names the place and the value.
    """
    top = parse_toml(read_text(path, "budgets"), str(path))
    top.allow({"default", "operations", "categories"})
    of_categories = {
        name: category.budget for name, category in table.categories.items() if category.budget is not None
    }
    return Budgets(
        operations=_seconds(top.section("operations")),
        categories=of_categories | _seconds(top.section("categories")),
        default=_second(top, "default") if "default" in top.values else None,
    )


def _seconds(section: Section) -> dict[str, float]:
    return {name: _second(section, name) for name in section.values}


def _second(section: Section, key: str) -> float:
    value = section.values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LONGEST:
        raise section.wrong(key, value, "must be seconds from 0")
    return float(value)
