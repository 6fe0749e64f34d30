"""Tokens: which are taken, how they are compared, and that none of them is ever shown."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from profkit.debug import Auth, CallableAuth, Principal, Scope, Token, TokenAuth
from profkit_analyzers.cli import main
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
        (f"read:{PLAIN}", "[name[:scope+scope[:YYYY-MM-DD]]=]secret"),
        (f"{OTHER} ops:read+profile:{PLAIN}", "entry 2: a ':' without a '='"),
        (f"{PLAIN}:read==", "entry 1: a ':' without a '='"),
        (f"ops={PLAIN}:read", "entry 1: a ':' behind the '='"),
        (f"ops:read=read:{PLAIN}", "[name[:scope+scope[:YYYY-MM-DD]]=]secret"),
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


def test_a_token_is_good_until_its_day_is_over() -> None:
    today = datetime.now(UTC).date()
    auth = TokenAuth(
        old=Token(PLAIN, expires=today - timedelta(days=1)),
        new=Token(OTHER, expires=today),
    )
    assert who(auth, b"Bearer " + PLAIN.encode()) is None
    assert who(auth, basic(f"me:{PLAIN}")) is None
    found = who(auth, b"Bearer " + OTHER.encode())
    assert found is not None
    assert found.name == "new"


def test_a_token_may_end_while_the_process_runs() -> None:
    auth = TokenAuth(Token(PLAIN, expires=datetime.now(UTC) + timedelta(seconds=0.3)))
    assert who(auth, b"Bearer " + PLAIN.encode()) is not None
    time.sleep(0.35)
    assert who(auth, b"Bearer " + PLAIN.encode()) is None
    with pytest.raises(ConfigurationError, match="time zone"):
        Token(PLAIN, expires=datetime(2030, 1, 1))  # noqa: DTZ001 - that is the mistake


def test_an_entry_may_say_when_it_ends() -> None:
    text = f"old:read:2020-01-31={PLAIN} new:read:2999-12-31={OTHER}"
    auth = TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS": text})
    assert who(auth, b"Bearer " + PLAIN.encode()) is None
    assert who(auth, b"Bearer " + OTHER.encode()) == Principal("new", frozenset({Scope.READ}))
    for wrong in ("2020-13-01", "tomorrow", "", "20200131"):
        with pytest.raises(ConfigurationError, match="entry 1") as caught:
            TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS": f"a:read:{wrong}={PLAIN}"})
        assert PLAIN not in str(caught.value)


def test_tokens_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who may look\nops:read={PLAIN}\n\n  # more\n{OTHER}\n")
    for auth in (TokenAuth.from_file(file), TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS_FILE": str(file)})):
        assert who(auth, b"Bearer " + PLAIN.encode()) == Principal("ops", frozenset({Scope.READ}))
        assert who(auth, b"Bearer " + OTHER.encode()) is not None


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    gone, binary, long = (tmp_path / name for name in ("gone", "binary", "long"))
    binary.write_bytes(b"\xff" * 40)
    long.write_text("x" * 70_000)
    for path, says in (
        (gone, "No such file"),
        (tmp_path, "directory"),
        (binary, "no text"),
        (long, "longer"),
    ):
        with pytest.raises(ConfigurationError, match=says) as caught:
            TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS_FILE": str(path)})
        assert "PROFKIT_DEBUG_TOKENS_FILE" in str(caught.value)
    with pytest.raises(ConfigurationError, match="both set"):
        TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS_FILE": str(long), "PROFKIT_DEBUG_TOKENS": PLAIN})


def test_what_the_command_makes_is_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["token", "--name", "ann@example.org", "--scopes", "read+manage", "--expires", "2999-01-31"])
        == 0
    )
    secret, entry = capsys.readouterr().out.split()
    assert len(secret) >= 43
    assert secret not in entry
    auth = TokenAuth.from_env({"PROFKIT_DEBUG_TOKENS": entry})
    found = who(auth, b"Bearer " + secret.encode())
    assert found == Principal("ann@example.org", frozenset({Scope.READ, Scope.MANAGE}))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--name", "a b"], "name='a b'"),
        (["--scopes", "all"], "scopes='all'"),
        (["--expires", "soon"], "expires='soon'"),
        (["--expires", ""], "expires=''"),
    ],
)
def test_the_command_says_what_is_not_allowed(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["token", *arguments]) == 2
    assert says in capsys.readouterr().err
