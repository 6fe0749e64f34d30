"""Parameters, declared as data: what is parsed, listed and documented is made from it. Anything else is 422."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from starlette.datastructures import QueryParams

from profkit.debug.problems import Problem, bad_parameter

T = TypeVar("T")
D = TypeVar("D")
W = TypeVar("W", bound=str)
N = TypeVar("N", int, float)
MAX_LENGTH = 256
_MAX_SHOWN = 60
_WHOLE = re.compile(r"([0-9]{1,9})(?:\.0{1,9})?")
"""2.0 is whole too: so JSON Schema has it, and so some clients write it."""
_NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)

_AGE = re.compile(r"([0-9]{1,5})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True, eq=False)
class Parameter(Generic[T]):
    """One parameter: `default` is its value where it is not given, `read` makes one of a text or raises `ValueError`.

    `allowed` says in words what may be given, `schema` says it in JSON Schema. One that is `required` has no default.
    """

    name: str
    description: str
    default: T
    allowed: str
    schema: Mapping[str, object]
    read: Callable[[str], T]
    required: bool = False


class Parameters:
    """What a query and the `fields` of a form give: of the `declared` parameters each once and not too long."""

    def __init__(
        self, query: QueryParams, declared: Sequence[Parameter[Any]], fields: Sequence[tuple[str, str]] = ()
    ) -> None:
        known = {one.name: one for one in declared}
        pairs = [*query.multi_items(), *fields]
        for name, value in pairs:
            if name not in known:
                allowed = f"any of {', '.join(sorted(known))}" if known else "none"
                raise Problem(422, f"There is no parameter {name[:_MAX_SHOWN]!r}: give {allowed}.")
            if len(value) > MAX_LENGTH:
                raise bad_parameter(name, value, f"at most {MAX_LENGTH} characters")
        given = dict(pairs)
        if len(given) != len(pairs):
            raise Problem(422, "A parameter is there twice: give each once.")
        self.texts: Mapping[str, str] = {name: given.get(name, "") for name in known}
        """Every parameter as it was sent, empty where it was not."""
        self._values = {name: _value(one, self.texts[name]) for name, one in known.items()}

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """Return the value of a parameter that the route declares."""
        return cast("T", self._values[parameter.name])


def _value(parameter: Parameter[T], text: str) -> T:
    if not text:  # an empty field of a form is one that was not filled in
        if parameter.required:
            raise Problem(422, f"The parameter {parameter.name} is missing: give {parameter.allowed}.")
        return parameter.default
    try:
        return parameter.read(text)
    except ValueError:
        raise bad_parameter(parameter.name, text, parameter.allowed) from None


def text(name: str, description: str) -> Parameter[str | None]:
    """Return a parameter that may be any text."""
    allowed = f"at most {MAX_LENGTH} characters"
    return Parameter(name, description, None, allowed, {"type": "string", "maxLength": MAX_LENGTH}, str)


def required(parameter: Parameter[T | None]) -> Parameter[T]:
    """Return a parameter that has to be given."""
    return cast("Parameter[T]", replace(parameter, required=True))


def number(name: str, description: str, *, low: float, high: float, default: D) -> Parameter[float | D]:
    """Return one that is a finite number from `low` to `high`."""

    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text):  # float() takes 1_0, nan and digits of any script too
            raise ValueError
        return _within(float(text), low, high)

    schema = {"type": "number", "minimum": low, "maximum": high}
    return Parameter(name, description, default, f"a number from {low:g} to {high:.10g}", schema, read)


def whole(name: str, description: str, *, low: int, high: int, default: int) -> Parameter[int]:
    """Return one that is a whole number from `low`, 0 or more, to `high`."""

    def read(text: str) -> int:
        found = _WHOLE.fullmatch(text)
        if found is None:
            raise ValueError
        return _within(int(found[1]), low, high)

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Parameter(name, description, default, f"a whole number from {low} to {high}", schema, read)


def choice(name: str, description: str, words: Collection[W]) -> Parameter[W | None]:
    """Return one that is one of some words."""
    by_text = {str(word): word for word in words}

    def read(text: str) -> W:
        if text not in by_text:
            raise ValueError
        return by_text[text]

    schema = {"type": "string", "enum": list(by_text)}
    return Parameter(name, description, None, f"one of {', '.join(by_text)}", schema, read)


def flag(name: str, description: str) -> Parameter[bool | None]:
    """Return one that is true or false."""
    word = choice(name, description, ("true", "false"))
    return Parameter(
        name, description, None, word.allowed, {"type": "boolean"}, lambda text: word.read(text) == "true"
    )


def moment(name: str, description: str) -> Parameter[datetime | None]:
    """Return one that is a date, a date and time of ISO 8601 (UTC unless it says otherwise), or how long ago."""

    def read(text: str) -> datetime:
        age = _AGE.fullmatch(text)
        if age is not None:
            return datetime.now(UTC) - int(age[1]) * _UNITS[age[2]]
        found = datetime.fromisoformat(text)
        try:
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except OverflowError:
            raise ValueError from None

    forms = [{"format": "date"}, {"format": "date-time"}, {"pattern": f"^{_AGE.pattern}$"}]
    schema = {"type": "string", "anyOf": forms}
    allowed = "a date as 2026-03-14 or 2026-03-14T15:00, or how long ago as 90m, 24h or 7d"
    return Parameter(name, description, None, allowed, schema, read)


def or_word(parameter: Parameter[T], word: W) -> Parameter[T | W]:
    """Return a parameter that may also be a `word`."""
    schema = {"anyOf": [parameter.schema, {"const": word}]}

    def read(text: str) -> T | W:
        return word if text == word else parameter.read(text)

    return Parameter(
        parameter.name,
        parameter.description,
        parameter.default,
        f"{parameter.allowed}, or {word}",
        schema,
        read,
    )


def _within(value: N, low: N, high: N) -> N:
    if not low <= value <= high:
        raise ValueError
    return value
