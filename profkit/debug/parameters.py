"""Query parameters: known names, one value each, within bounds; anything else is 422."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from profkit.debug.problems import Problem, bad_parameter

MAX_LENGTH = 256
_MAX_SHOWN = 60
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)


class Parameters:
    """The query of one request, of which `known` names are allowed."""

    def __init__(self, query: QueryParams, known: Collection[str]) -> None:
        pairs = query.multi_items()
        for name, value in pairs:
            if name not in known:
                allowed = f"any of {', '.join(sorted(known))}" if known else "none"
                raise Problem(422, f"There is no parameter {name[:_MAX_SHOWN]!r}: give {allowed}.")
            if len(value) > MAX_LENGTH:
                raise bad_parameter(name, value, f"at most {MAX_LENGTH} characters")
        if len(dict(pairs)) != len(pairs):
            raise Problem(422, "A parameter is there twice: give each once.")
        # An empty field of a form is one that was not filled in.
        self._values = {name: value for name, value in pairs if value}

    def text(self, name: str) -> str | None:
        """Return the value, None if it is not given."""
        return self._values.get(name)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """Return a finite number from `low` to `high`."""
        text = self._values.get(name)
        if text is None:
            return default
        value = (
            float(text) if _NUMBER.fullmatch(text) else low - 1
        )  # float() takes 1_0 and digits of any script too
        if not low <= value <= high:
            raise bad_parameter(name, text, f"a number from {low:g} to {high:g}")
        return value

    def count(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        text = self._values.get(name)
        if text is None:
            return default
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else low - 1
        if not low <= value <= high:
            raise bad_parameter(name, text, f"a whole number from {low} to {high}")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        """Return one of the `allowed` words, None if it is not given."""
        text = self._values.get(name)
        if text is not None and text not in allowed:
            raise bad_parameter(name, text, f"one of {', '.join(allowed)}")
        return text

    def moment(self, name: str) -> datetime | None:
        """Return a date or a date and time of ISO 8601, UTC unless it says otherwise."""
        text = self._values.get(name)
        if text is None:
            return None
        try:
            found = datetime.fromisoformat(text)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError):
            raise bad_parameter(name, text, "a date as 2026-03-14 or 2026-03-14T15:00") from None
        return found
