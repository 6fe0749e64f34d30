"""Tokens: made, kept as hashes, and read from a variable or a file."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from profkit.debug.scopes import DEFAULT_SCOPES, Scope, parse_scopes
from profkit_storage import ConfigurationError

VARIABLE = "PROFKIT_DEBUG_TOKENS"
MIN_TOKEN = 22
"""Characters of a plain token: 22 of base64 hold 128 random bits."""
MAX_PRESENTED = 1024

SYNTAX = "[name[:scope+scope[:YYYY-MM-DD]]=]secret"
MAKE_TOKEN = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'  # noqa: S105 - makes one
_EXAMPLE = "ops:read+profile=SECRET"
_MAX_FILE = 65_536
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}"
_ENTRY = re.compile(
    rf"(?P<name>{_NAME})(?::(?P<scopes>[A-Za-z+]*)(?::(?P<expires>[0-9-]*))?)?=(?P<secret>[^=].*)"
)
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_PLAIN = re.compile(rf"[!-~]{{{MIN_TOKEN},{MAX_PRESENTED}}}")


class Token:
    """One token, of which only the SHA-256 is kept.

    Args:
        secret: the token, at least 22 printable characters without a space (`secrets.token_urlsafe(16)` makes one),
            or `sha256:` and the 64 hexadecimal digits of its hash.
        scopes: what its bearer may do; `read`, `profile` and `memory` by default. As text, joined by `+`.
        expires: from when it is good no more: a moment with its time zone, or a date, whose last second (UTC) it is
            still good in.
    """

    __slots__ = ("digest", "expires", "scopes")

    def __init__(
        self,
        secret: str,
        scopes: str | Iterable[str] = DEFAULT_SCOPES,
        *,
        expires: datetime | date | None = None,
    ) -> None:
        self.digest = _digest_of(secret)
        self.scopes = parse_scopes(scopes)
        self.expires = _end_of(expires)

    @property
    def has_expired(self) -> bool:
        """Whether it is good no more."""
        return self.expires is not None and datetime.now(UTC) >= self.expires

    def __repr__(self) -> str:
        until = f", expires={self.expires.isoformat()}" if self.expires else ""
        return f"Token(scopes={'+'.join(sorted(self.scopes))!r}{until})"


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def entry_of(secret: str, *, name: str, scopes: str, expires: str | None) -> str:
    """Return the entry, with the token's hash, that `read_tokens` reads as this token.

    Raises:
        ConfigurationError: a name, scope or date that is not allowed.
    """
    if re.fullmatch(_NAME, name) is None:
        raise ConfigurationError(f"name={name!r} is not allowed: give up to 64 letters, digits and _.@-")
    if expires is not None:
        _parse_date(expires)
    words = f"{name}:{scopes}" + (f":{expires}" if expires else "")
    entry = f"{words}=sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
    _parse_entry(1, entry)
    return entry


def token_command(name: str, scopes: Iterable[Scope], more: Scope) -> str:
    """Return the command that makes a token of this name, with one scope more than it has."""
    held = {*scopes, more}
    words = "+".join(scope for scope in Scope if scope in held)
    named = f" --name {name}" if re.fullmatch(_NAME, name) else ""
    return f"profkit token{named} --scopes {words}"


def read_tokens(environ: Mapping[str, str], name: str) -> dict[str, Token]:
    """Return tokens by name from the variable `name`, or from the file that `name`_FILE names.

    Entries are as `SYNTAX` says, with commas or white space between; in a file, a line that begins with `#` is none.

    Raises:
        ConfigurationError: neither or both are there, or an entry is not allowed. No secret is in the message.
    """
    path = environ.get(f"{name}_FILE", "")
    text = environ.get(name, "")
    if path:
        if text:
            raise ConfigurationError(f"{name} and {name}_FILE are both set: give one of them")
        return parse_tokens(_read(path, f"{name}_FILE"), f"{name}_FILE")
    return parse_tokens(text, name)


def parse_tokens(text: str, source: str) -> dict[str, Token]:
    """Return tokens by name; `source` is said where an entry is not allowed."""
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if not entries:
        raise ConfigurationError(
            f"{source} is empty: give {SYNTAX}, for example {source}={_EXAMPLE}. A secret has at least "
            f"{MIN_TOKEN} characters (or is sha256: and the hash of one); this makes one: {MAKE_TOKEN}"
        )
    tokens: dict[str, Token] = {}
    for number, entry in enumerate(entries, 1):
        try:
            label, token = _parse_entry(number, entry)
        except ConfigurationError as error:
            raise ConfigurationError(f"{source}, entry {number}: {error}") from None
        if label in tokens:
            raise ConfigurationError(f"{source}, entry {number}: another entry is named {label!r} already")
        tokens[label] = token
    return tokens


def read_token_file(path: str | os.PathLike[str]) -> dict[str, Token]:
    """Return the tokens of a file."""
    return parse_tokens(_read(path, "the file of tokens"), "the file of tokens")


def _read(path: str | os.PathLike[str], source: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigurationError(f"{source}: {os.fspath(path)!r} cannot be read: {reason}") from None
    if len(text) > _MAX_FILE:
        raise ConfigurationError(f"{source}: {os.fspath(path)!r} is longer than {_MAX_FILE} characters")
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def _parse_entry(number: int, entry: str) -> tuple[str, Token]:
    match = _ENTRY.fullmatch(entry)
    secret = match["secret"] if match else entry
    # Else a name or scopes put wrongly would be part of it.
    if ":" in secret and not secret.startswith("sha256:"):
        where = "behind the '='" if match else "without a '='"
        raise ConfigurationError(f"a ':' {where} is not allowed: give {SYNTAX}, for example {_EXAMPLE}")
    if match is None:
        return f"token{number}", Token(secret)
    scopes, expires = match["scopes"], match["expires"]
    return match["name"], Token(
        secret,
        DEFAULT_SCOPES if scopes is None else scopes,
        expires=None if expires is None else _parse_date(expires),
    )


def _parse_date(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise ConfigurationError(f"expires={text!r} is not allowed: give a date as 2026-12-31") from None


def _end_of(expires: datetime | date | None) -> datetime | None:
    if isinstance(expires, datetime):
        if expires.tzinfo is None:
            raise ConfigurationError(
                "expires without a time zone is not allowed: give datetime(..., tzinfo=UTC)"
            )
        return expires
    return None if expires is None else datetime.combine(expires, time(), UTC) + timedelta(days=1)


def _digest_of(secret: object) -> bytes:
    if not isinstance(secret, str):
        raise ConfigurationError(f"a token of type {type(secret).__name__} is not allowed: give text")
    hashed = _HASH.fullmatch(secret)
    if hashed:
        return bytes.fromhex(hashed[1])
    if not _PLAIN.fullmatch(secret) or secret.startswith("sha256:"):
        raise ConfigurationError(
            f"a token of {len(secret)} characters is not allowed (it is not shown): give {MIN_TOKEN} to "
            f"{MAX_PRESENTED} printable ones without a space, or sha256: and 64 hexadecimal digits"
        )
    return hashlib.sha256(secret.encode("ascii")).digest()
