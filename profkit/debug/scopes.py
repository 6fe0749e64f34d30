"""What a caller may do."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from profkit_storage import ConfigurationError


class Scope(enum.StrEnum):
    """What a caller may do."""

    READ = "read"  # look: every page, pyinstrument's view of a profile too
    PROFILE = "profile"  # capture, and download a profile as a file
    MEMORY = "memory"  # trace allocations
    MANAGE = "manage"  # delete, change settings live


DEFAULT_SCOPES = frozenset({Scope.READ, Scope.PROFILE, Scope.MEMORY})


def parse_scopes(scopes: str | Iterable[str]) -> frozenset[Scope]:
    """Return scopes given by name; raise `ConfigurationError` for none, and for a word that is no scope."""
    words = scopes.split("+") if isinstance(scopes, str) else list(scopes)
    try:
        found = frozenset(Scope(word) for word in words)
    except ValueError:
        found = frozenset[Scope]()
    if not found:
        raise ConfigurationError(
            f"scopes={'+'.join(map(str, words))!r} is not allowed: give any of {', '.join(Scope)}"
        )
    return found
