"""What a route answers when it cannot do as asked. Messages are profkit's own words: never a path or an inner error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import TypedDict

from profkit.debug.scopes import Scope


class ErrorDetail(TypedDict):
    """Why a request is not answered as it asks."""

    status: int
    message: str


class ErrorAnswer(TypedDict):
    """The answer to what cannot be done."""

    error: ErrorDetail


class Problem(Exception):
    """An answer with this status; `message` is for the caller's eyes, any of `scopes` is what the caller lacks."""

    def __init__(
        self,
        status: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        scopes: Iterable[Scope] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        given = set(scopes)
        self.scopes = tuple(one for one in Scope if one in given)


def not_found(what: str = "There is nothing here.") -> Problem:
    """404."""
    return Problem(404, what)


def missing(scopes: Iterable[Scope]) -> Problem:
    """403: any of the scopes would do, and the caller has none of them."""
    needed = sorted(scopes)
    return Problem(403, f"This needs the scope {' or '.join(needed)}.", scopes=needed)


def busy(what: str, retry_after: float = 1.0) -> Problem:
    """409, with the seconds after which to ask again."""
    return Problem(409, what, {"retry-after": str(max(1, ceil(retry_after)))})


def overloaded(what: str) -> Problem:
    """503: too much is being asked at once, or it takes too long."""
    return Problem(503, what, {"retry-after": "1"})


def bad_parameter(name: str, value: str, allowed: str) -> Problem:
    """422, naming the parameter, its value (cut) and what is allowed."""
    return Problem(422, f"{name}={value[:100]!r} is not allowed: give {allowed}.")
