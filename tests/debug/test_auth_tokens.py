"""Tokens: which are taken, how they are compared, and that none of them is ever shown."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest
from starlette.requests import HTTPConnection

from profkit.debug import Auth, CallableAuth, Principal, Scope, Token, TokenAuth
from profkit_storage import ConfigurationError

PLAIN = "plain-token-0123456789abcd"
OTHER = "other-token-0123456789abcd"


def connection(*values: bytes) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"authorization", value) for value in values]})


def who(auth: Auth, *values: bytes) -> Principal | None:
    return asyncio.run(auth.authenticate(connection(*values)))


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


def test_a_token_lets_its_bearer_in_with_its_name_and_scopes() -> None:
    auth = TokenAuth(ops=Token(PLAIN, "read+manage"), other=OTHER)
    found = who(auth, b"Bearer " + PLAIN.encode())
    assert found == Principal("ops", frozenset({Scope.READ, Scope.MANAGE}), None)
    found = who(auth, b"bearer " + OTHER.encode())
    assert found == Principal("other", frozenset({Scope.READ, Scope.PROFILE, Scope.MEMORY}), None)


def test_a_browser_gives_it_as_the_password_and_gets_a_form_token() -> None:
    one, two = TokenAuth(PLAIN), TokenAuth(Token("sha256:" + hashlib.sha256(PLAIN.encode()).hexdigest()))
    found, elsewhere = who(one, basic(f"anyone:{PLAIN}")), who(two, basic(f":{PLAIN}"))
    assert found is not None
    assert elsewhere is not None
    assert found.form_token == elsewhere.form_token  # any worker takes what another gave
    assert found.form_token
    assert PLAIN not in found.form_token


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer " + PLAIN[:-1].encode(),
        b"Bearer " + PLAIN.encode() + b"x",
        b"Bearer " + PLAIN.upper().encode(),
        b"Bearer sha256:" + hashlib.sha256(PLAIN.encode()).hexdigest().encode(),
        b"Bearer " + hashlib.sha256(PLAIN.encode()).hexdigest().encode(),
        b"Token " + PLAIN.encode(),
        PLAIN.encode(),
        b"Basic " + PLAIN.encode(),
        b"Basic !!!",
        basic(PLAIN),
        basic(f"{PLAIN}:"),
        basic(f"{PLAIN}:x"),
        b"Bearer \xff\xfe\x00",
        b"Bearer " + b"x" * 100_000,
    ],
)
def test_anything_else_is_nobody(value: bytes) -> None:
    assert who(TokenAuth(PLAIN), value) is None


def test_two_headers_are_nobody() -> None:
    good = b"Bearer " + PLAIN.encode()
    assert who(TokenAuth(PLAIN), good, good) is None
    assert who(TokenAuth(PLAIN)) is None


@pytest.mark.parametrize(
    "bad", ["", "short", "x" * 21, "x" * 1025, "has a space 0123456789abcdef", "é" * 30, "a\n" * 20]
)
def test_a_weak_token_is_refused_and_not_shown(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="22") as caught:
        TokenAuth(mine=bad)
    assert "mine" in str(caught.value)
    assert not bad.strip() or bad not in str(caught.value)


def test_a_damaged_hash_is_not_taken_for_a_token() -> None:
    with pytest.raises(ConfigurationError, match="64 hexadecimal"):
        TokenAuth("sha256:" + "0" * 63)


def test_what_is_no_token_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="NoneType"):
        TokenAuth(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="lets nobody in"):
        TokenAuth()
    with pytest.raises(ConfigurationError, match="two tokens"):
        TokenAuth(PLAIN, token1=OTHER)
    with pytest.raises(ConfigurationError, match="give any of read, profile, memory, manage"):
        Token(PLAIN, "read+root")
    with pytest.raises(ConfigurationError, match="scopes="):
        Token(PLAIN, [])


def test_no_token_is_in_a_repr() -> None:
    token = Token(PLAIN)
    assert PLAIN not in repr(token) + repr(TokenAuth(PLAIN)) + repr(vars(TokenAuth(PLAIN)))
    assert token.digest.hex() not in repr(token)


def test_from_env_reads_names_scopes_hashes_and_plain_tokens() -> None:
    hashed = hashlib.sha256(OTHER.encode()).hexdigest()
    padded = "cGxhaW4tdG9rZW4tMDEyMzQ1Njc4OQ=="
    auth = TokenAuth.from_env(
        {"PROFKIT_DEBUG_TOKENS": f" ops:read+manage={PLAIN},\n self=sha256:{hashed} {padded}"}
    )
    ops, named, plain = (who(auth, b"Bearer " + t.encode()) for t in (PLAIN, OTHER, padded))
    assert ops == Principal("ops", frozenset({Scope.READ, Scope.MANAGE}))
    assert named is not None
    assert named.name == "self"
    assert plain is not None
    assert plain.name == "token3"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "PROFKIT_DEBUG_TOKENS is empty"),
        (" , ", "PROFKIT_DEBUG_TOKENS is empty"),
        ("secret1", "entry 1"),
        (f"{PLAIN} ops:read=short", "entry 2"),
        (f"ops:all={PLAIN}", "entry 1: scopes='all'"),
        (f"ops:={PLAIN}", "entry 1: scopes=''"),
        (f"a={PLAIN},a={OTHER}", "named 'a' already"),
        ("", "PROFKIT_DEBUG_TOKENS=ops:read+profile="),
        ("", 'python -c "import secrets; print(secrets.token_urlsafe(32))"'),
        (f"{PLAIN}:read", "entry 1: a ':' without a '='"),
        (f"read:{PLAIN}", "[name[:scope+scope]=]secret"),
        (f"{OTHER} ops:read+profile:{PLAIN}", "entry 2: a ':' without a '='"),
        (f"{PLAIN}:read==", "entry 1: a ':' without a '='"),
        (f"ops={PLAIN}:read", "entry 1: a ':' behind the '='"),
        (f"ops:read=read:{PLAIN}", "[name[:scope+scope]=]secret"),
        ("ops:read=sha256:" + "0" * 63, "64 hexadecimal"),
        ("sha256:" + "0" * 63, "64 hexadecimal"),
    ],
)
def test_from_env_names_the_variable_and_the_entry(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match="PROFKIT_DEBUG_TOKENS") as caught:
        TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS": text})
    assert told in str(caught.value)
    assert PLAIN not in str(caught.value)
    assert "secret1" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_from_env_reads_the_real_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKENS", PLAIN)
    assert who(TokenAuth.from_env(name="MY_TOKENS"), b"Bearer " + PLAIN.encode()) is not None


def test_an_applications_own_auth_may_be_async_or_not() -> None:
    reader = Principal("ann", frozenset({Scope.READ}))

    def decide(conn: HTTPConnection) -> Principal | None:
        return reader if conn.headers.get("authorization") == "Bearer session" else None

    async def decide_later(conn: HTTPConnection) -> Principal | None:
        await asyncio.sleep(0)
        return decide(conn)

    for function in (decide, decide_later):
        assert who(CallableAuth(function), b"Bearer session") == reader
        assert who(CallableAuth(function), b"Bearer other") is None


def test_an_applications_own_auth_needs_the_form_token_unless_it_is_a_bearers() -> None:
    auth = CallableAuth(lambda conn: Principal("ann"), secret="s")
    by_cookie = who(auth)
    assert by_cookie is not None
    assert by_cookie.form_token
    again, other = (
        who(CallableAuth(lambda conn: Principal("ann"), secret="s")),
        who(CallableAuth(lambda conn: Principal("bob"), secret="s")),
    )
    assert again == by_cookie
    assert other is not None
    assert other.form_token != by_cookie.form_token


def test_a_function_that_returns_something_else_lets_nobody_in() -> None:
    with pytest.raises(ConfigurationError, match="returned bool"):
        who(CallableAuth(lambda conn: True))  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="CallableAuth"):
        CallableAuth("no function")  # type: ignore[arg-type]
