"""Who may ask: tokens, or the application's own way to know its users."""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import inspect
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from starlette.requests import HTTPConnection

from profkit.requests import HEADER_NAME
from profkit_storage import ConfigurationError

VARIABLE = "PROFKIT_DEBUG_TOKENS"
MIN_TOKEN = 22
"""Characters of a plain token: 22 of base64 hold 128 random bits."""

SYNTAX = "[name[:scope+scope]=]secret"
MAKE_TOKEN = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'  # noqa: S105 - makes one
_EXAMPLE = "ops:read+profile=SECRET"
_MAX_PRESENTED = 1024
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}"
_ENTRY = re.compile(rf"(?P<name>{_NAME})(?::(?P<scopes>[A-Za-z+]*))?=(?P<secret>[^=].*)")
_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_PLAIN = re.compile(rf"[!-~]{{{MIN_TOKEN},{_MAX_PRESENTED}}}")


class Scope(enum.StrEnum):
    """What a caller may do."""

    READ = "read"  # look: every page, pyinstrument's view of a profile too
    PROFILE = "profile"  # capture, and download a profile as a file
    MEMORY = "memory"  # trace allocations
    MANAGE = "manage"  # delete, change settings live


DEFAULT_SCOPES = frozenset({Scope.READ, Scope.PROFILE, Scope.MEMORY})
CREDENTIALS = ("authorization",)


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credentials are good.

    `form_token` is what a form of theirs must send back with a POST; None where the browser does not send the
    credentials by itself (a bearer header), so that no other site's form can use them.
    """

    name: str
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    form_token: str | None = None


@runtime_checkable
class Auth(Protocol):
    """Tells who is asking.

    `unguessable` says that no number of attempts finds a credential: then a caller after too many failures of his
    address (a proxy's, perhaps, with others behind it) is still let in with the right one.

    `credentials` are the headers, in lower case, in which somebody may guess: a request with one of them is an
    attempt, which counts if it fails. Other requests (a visitor's, with whatever cookies) do not.
    """

    unguessable: bool
    credentials: tuple[str, ...]

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """Return who it is, None if the credentials are missing or wrong. May raise: that counts as wrong."""
        ...


class Token:
    """One token, of which only the SHA-256 is kept.

    Args:
        secret: the token, at least 22 printable characters without a space (`secrets.token_urlsafe(16)` makes one),
            or `sha256:` and the 64 hexadecimal digits of its hash.
        scopes: what its bearer may do; `read`, `profile` and `memory` by default. As text, joined by `+`.
    """

    __slots__ = ("digest", "scopes")

    def __init__(self, secret: str, scopes: str | Iterable[str] = DEFAULT_SCOPES) -> None:
        self.digest = _digest_of(secret)
        self.scopes = parse_scopes(scopes)

    def __repr__(self) -> str:
        return f"Token(scopes={'+'.join(sorted(self.scopes))!r})"


class TokenAuth:
    """Tokens, as `Authorization: Bearer` or as the password of HTTP Basic, whose user name does not matter.

        TokenAuth("one-token-with-all-but-manage")
        TokenAuth(grafana=Token("sha256:5e88…", scopes="read"), ops=Token("…", scopes="read+profile+memory+manage"))

    Raises:
        ConfigurationError: no token, two with one name, or one that is not allowed. A token is never in the message.
    """

    unguessable = True
    credentials = CREDENTIALS

    def __init__(self, /, *tokens: str | Token, **named: str | Token) -> None:
        names = [f"token{number}" for number in range(1, len(tokens) + 1)]
        taken = set(names) & set(named)
        if taken:
            raise ConfigurationError(f"two tokens are named {taken.pop()!r}: give each a name of its own")
        every = [*zip(names, tokens, strict=True), *named.items()]
        if not every:
            raise ConfigurationError("TokenAuth() without a token lets nobody in: give at least one")
        self._tokens = tuple((name, _as_token(name, token)) for name, token in every)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, name: str = VARIABLE) -> TokenAuth:
        """Read tokens from a variable: entries `[name[:scope+scope]=]secret` with commas or white space between.

        A plain secret has no `:` in it here, so that a name or scope in the wrong place is no part of it by mistake.

        `PROFKIT_DEBUG_TOKENS="ops:read+profile=sha256:5e88…, aPlainTokenOf22Characters"`
        """
        text = (os.environ if environ is None else environ).get(name, "")
        entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
        if not entries:
            raise ConfigurationError(
                f"{name} is empty: give {SYNTAX}, for example {name}={_EXAMPLE}. A secret has at least "
                f"{MIN_TOKEN} characters (or is sha256: and the hash of one); this makes one: {MAKE_TOKEN}"
            )
        tokens: dict[str, str | Token] = {}
        for number, entry in enumerate(entries, 1):
            try:
                label, token = _parse_entry(number, entry)
            except ConfigurationError as error:
                raise ConfigurationError(f"{name}, entry {number}: {error}") from None
            if label in tokens:
                raise ConfigurationError(f"{name}, entry {number}: another entry is named {label!r} already")
            tokens[label] = token
        return cls(**tokens)

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """Compare with every token, in the same time whichever it is."""
        presented = _presented(connection.headers.getlist("authorization"))
        if presented is None:
            return None
        secret, basic = presented
        digest = hashlib.sha256(secret).digest()
        found: tuple[str, Token] | None = None
        for name, token in self._tokens:
            if hmac.compare_digest(digest, token.digest):
                found = name, token
        if found is None:
            return None
        form_token = _form_token(secret) if basic else None
        return Principal(found[0], found[1].scopes, form_token)


class CallableAuth:
    """The application's own: a function, `async` or not, from a Starlette `HTTPConnection` to a `Principal` or None.

    A browser may send the application's credentials (a cookie) by itself, so a POST needs the form token
    unless there is a bearer header. Give `secret`, the same in every worker, if the application has several.

    What can be guessed (a password, a PIN) is limited by `FailureLimits`: a request with one of the `credentials` in
    its headers is an attempt, and beyond the limit of its address (a proxy's: of all behind it) the function is not
    asked any more. A request with none of them is always asked about and never counted: every browser sends some
    cookie, and if those of strangers counted, they could lock the operators out. So a session cookie has to be random
    enough that nobody guesses it; if it is not, or if the function reads another header, name it in `credentials`.
    """

    unguessable = False

    def __init__(
        self,
        function: Callable[[HTTPConnection], Principal | Awaitable[Principal | None] | None],
        *,
        secret: str | None = None,
        credentials: Iterable[str] = CREDENTIALS,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(
                f"CallableAuth({function!r}) is not allowed: give a function of a connection"
            )
        self.credentials = _header_names(credentials)
        self._function = function
        self._secret = secret.encode() if secret else secrets.token_bytes(32)

    async def authenticate(self, connection: HTTPConnection) -> Principal | None:
        """Ask the function."""
        found = self._function(connection)
        principal = await found if inspect.isawaitable(found) else found
        if principal is None:
            return None
        if not isinstance(cast("object", principal), Principal):
            raise ConfigurationError(
                f"CallableAuth: the function returned {type(principal).__name__}, not a Principal"
            )
        if connection.headers.get("authorization", "").lower().startswith("bearer "):
            return principal
        return Principal(
            principal.name, principal.scopes, _form_token(self._secret + principal.name.encode())
        )


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


def _parse_entry(number: int, entry: str) -> tuple[str, Token]:
    match = _ENTRY.fullmatch(entry)
    secret = match["secret"] if match else entry
    if ":" in secret and not secret.startswith(
        "sha256:"
    ):  # else a name or scopes put wrongly would be part of it
        where = "behind the '='" if match else "without a '='"
        raise ConfigurationError(f"a ':' {where} is not allowed: give {SYNTAX}, for example {_EXAMPLE}")
    if match is None:
        return f"token{number}", Token(secret)
    scopes = match["scopes"]
    return match["name"], Token(secret, DEFAULT_SCOPES if scopes is None else scopes)


def _header_names(names: Iterable[str]) -> tuple[str, ...]:
    given: list[object] = [names] if isinstance(names, str) else list(names)
    found = tuple(name.lower() for name in given if isinstance(name, str) and HEADER_NAME.fullmatch(name))
    if isinstance(names, str) or not found or len(found) < len(given):
        raise ConfigurationError(
            f"credentials={names!r} is not allowed: give a tuple of names of headers, such as ('x-pin',)"
        )
    return found


def _as_token(name: str, token: str | Token) -> Token:
    try:
        return token if isinstance(token, Token) else Token(token)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from None


def _digest_of(secret: object) -> bytes:
    if not isinstance(secret, str):
        raise ConfigurationError(f"a token of type {type(secret).__name__} is not allowed: give text")
    hashed = _HASH.fullmatch(secret)
    if hashed:
        return bytes.fromhex(hashed[1])
    if not _PLAIN.fullmatch(secret) or secret.startswith("sha256:"):
        raise ConfigurationError(
            f"a token of {len(secret)} characters is not allowed (it is not shown): give {MIN_TOKEN} to "
            f"{_MAX_PRESENTED} printable ones without a space, or sha256: and 64 hexadecimal digits"
        )
    return hashlib.sha256(secret.encode("ascii")).digest()


def _presented(headers: list[str]) -> tuple[bytes, bool] | None:
    """Return the token that was sent, and whether by Basic; None unless there is exactly one, well formed."""
    if len(headers) != 1:
        return None
    scheme, _, credentials = headers[0].partition(" ")
    credentials = credentials.strip()
    if not credentials or len(credentials) > 2 * _MAX_PRESENTED:
        return None
    if scheme.lower() == "bearer":
        return credentials.encode("latin-1", "replace"), False
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, password = base64.b64decode(credentials, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (password, True) if colon and password else None


def _form_token(key: bytes) -> str:
    """Return what only those who know `key` can make: the same in every worker, and nothing to store."""
    return hmac.new(key, b"profkit debug form", hashlib.sha256).hexdigest()
