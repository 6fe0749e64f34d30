"""Who may ask: tokens, or the application's own way to know its users."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

from starlette.requests import HTTPConnection

from profkit.debug.scopes import DEFAULT_SCOPES, Scope
from profkit.debug.tokens import MAX_PRESENTED, VARIABLE, Token, read_token_file, read_tokens
from profkit.requests import HEADER_NAME
from profkit_storage import ConfigurationError

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
        """Read tokens from a variable, or from the file that the variable of this name and `_FILE` gives the path of.

        Entries are `[name[:scope+scope[:YYYY-MM-DD]]=]secret` with commas or white space between; a token with a date
        is good until that day is over (UTC). A plain secret has no `:` in it here, so that a name or scope in the
        wrong place is no part of it by mistake.

        `PROFKIT_DEBUG_TOKENS="ops:read+profile=sha256:5e88…, aPlainTokenOf22Characters"`
        """
        return cls(**read_tokens(os.environ if environ is None else environ, name))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> TokenAuth:
        """Read tokens from a file: entries as in the variable, lines that begin with `#` are none."""
        return cls(**read_token_file(path))

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
        if found is None or found[1].has_expired:
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


def _presented(headers: list[str]) -> tuple[bytes, bool] | None:
    """Return the token that was sent, and whether by Basic; None unless there is exactly one, well formed."""
    if len(headers) != 1:
        return None
    scheme, _, credentials = headers[0].partition(" ")
    credentials = credentials.strip()
    if not credentials or len(credentials) > 2 * MAX_PRESENTED:
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
