"""What the statuses mean that a route may answer with besides its own."""

from __future__ import annotations

from typing import Final, NamedTuple


class Status(NamedTuple):
    """When a status is answered, and a header that comes with it: its name, what it says, its type."""

    meaning: str
    header: tuple[str, str, str] | None = None


_RETRY = ("Retry-After", "seconds after which to ask again", "integer")
STATUSES: Final = {
    303: Status(
        "For a page: where to see what was done.", ("Location", "relative to the path asked for", "string")
    ),
    401: Status(
        "There are no credentials, or wrong ones.", ("WWW-Authenticate", "Bearer, and Basic", "string")
    ),
    403: Status(
        "The scope is missing; or a POST comes from another site's page, or without its form's token; or the address "
        "or the host's name is not allowed."
    ),
    404: Status("There is no profile with this id in this process's store."),
    405: Status("The path has other methods.", ("Allow", "these", "string")),
    406: Status("There is no media type that is accepted."),
    408: Status("The body did not come in time."),
    409: Status(
        "The like is being done already, once at a time; the message says by whom, since when, how long.",
        _RETRY,
    ),
    413: Status("The body is more than 4 KiB."),
    422: Status(
        "A parameter is not known, is there twice, or has a value that is not allowed; or a form cannot be read."
    ),
    429: Status("There were too many wrong credentials, from this address or in total.", _RETRY),
    431: Status("The headers are more than 200, or more than 64 KiB."),
    500: Status("Something went wrong here; the application's log says what."),
    501: Status(
        "This process cannot do it: what it needs is not installed, or its Python does not allow it."
    ),
    503: Status("Too much is being asked at once, or it took too long.", _RETRY),
}
EVERY_ROUTE: Final = frozenset({401, 403, 405, 406, 422, 429, 431, 500, 503})
EVERY_POST: Final = frozenset({408, 413})
