"""No secret comes out of `Masker`, and what is none stays readable."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import pprint
import secrets
import statistics
import subprocess
import sys
import time
import types
import uuid
from collections.abc import Callable

import httpx
import orjson
import pydantic
import pytest
import sqlalchemy
import starlette.datastructures
from hypothesis import given, settings
from hypothesis import strategies as st

from profkit.masking import MASK, MAX_TEXT, Masker, masker
from profkit_storage.errors import ConfigurationError

RANDOM = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----"


def text_of(value: object) -> str:
    return orjson.dumps(value).decode()


@pytest.mark.parametrize(
    "key",
    [
        "APIKEY", "api_key", "api-key", "apiKey", "X-Api-Key", "DB_PASSWD", "DB_PASS", "dbpass", "PGPASSWORD",
        "AUTHORIZATION", "proxy-authorization", "aws_credentials", "aws_secret_access_key", "AWS_ACCESS_KEY_ID",
        "clientSecret", "CLIENT%5FSECRET", "pass%2577ord", "\uff50\uff41\uff53\uff53word", "pass\u200bword",
        "session.id",
        "sessionid",
        "JSESSIONID", "connect.sid", "Cookie", "Set-Cookie", "csrf_token", "token", "mytoken", "refreshToken",
        "STRIPE_KEY", "encryption_key", "privateKey", "db.password", "password2", "PaSsWoRd", "jwt", "otp", "pin",
        "passphrase", "salt", "PWD", "x-signature", "oauth", "bearer", "smtp_pwd", "DATABASE_DSN",
    ],
)  # fmt: skip
def test_a_secret_key_hides_its_value(key: str) -> None:
    assert masker.mask({key: "hunter2"}) == {key: MASK}
    assert masker.mask("hunter2", key) == MASK
    assert "hunter2" not in text_of(masker.mask({"a": [{"b": ({key: ["hunter2"]},)}]}))


@pytest.mark.parametrize("number", [1234, 12.5])
def test_a_number_under_a_secret_key_is_hidden(number: float) -> None:
    assert masker.mask({"password": number, "pin": number}) == {"password": MASK, "pin": MASK}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokens", 812), ("time_to_first_token", 0.8), ("max_tokens", "4096"), ("prompt_tokens", 12),
        ("token_count", 3), ("password_min_length", 8),
        ("token_ttl", "60s"), ("token_url", "https://login.example/oauth"), ("SECRET_FILE", "/run/secrets/db"),
        ("PWD", "/srv/app"), ("SSH_AUTH_SOCK", "/tmp/agent.sock"), ("cache_key", "user:1"), ("primary_key", "id"),
        ("author", "Jane"), ("bypass", "yes"), ("compass", "north"), ("monkey", "chimp"), ("tokenizer", "bpe"),
        ("keyboard", "qwerty"), ("password", None), ("password", ""), ("password_required", True), ("secrets", {}),
        ("commit", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"), ("git_sha", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), ("version", "1.2.3+g9f86d08"),
        ("route", "GET /users/{id}"), ("model", "gpt-4o-mini-2024-07-18"), ("host", "db.internal:5432"),
        ("at", "2026-11-21T09:53:40.123456+00:00"), ("id", "123e4567-e89b-12d3-a456-426614174000"),
        ("profile", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("file", "/usr/lib/python3.11/site-packages/sqlalchemy/pool/impl.py"),
        ("relative", "profkit/storage/profkit_storage/formats/pyinstrument.py:120"),
        ("name", "orders.AbstractServiceLocatorFactoryBean.getInstance"), ("pod", "orders-api-7d9f8b6c5d-x2k4q"),
        ("parent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("layer", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("url", "https://h:8080/@scope/pkg?page=2&size=10#top"), ("mail", "ask bob@example.com"),
        ("message", "basic usage of it"), ("header", "Basic Authentication required"), ("ratio", "3:4"),
        ("error", "unsupported operand type(s) for +: 'int' and 'str'"), ("text", "naïve café ☕"),
        ("percent", "100% of 50%25"), ("sql", "SELECT id FROM orders WHERE id = :id AND total > 10"),
    ],
)  # fmt: skip
def test_what_is_no_secret_is_shown_as_it_is(key: str, value: object) -> None:
    assert masker.mask({key: value}) == {key: value}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p4ss@h/db", "postgresql://u:***@h/db"),
        ("postgresql+psycopg://u:p4ss@h:5432/db?sslmode=on", "postgresql+psycopg://u:***@h:5432/db?sslmode=on"),
        ("postgresql://u:p4ss/q@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:p4@ss/q@h/db", "postgresql://u:***@h/db"),
        ("redis://:p4ss@h:6379/0", "redis://:***@h:6379/0"),
        ("https://p4ss@sentry.example/42", "https://***@sentry.example/42"),
        ("https://u:p4ss@sentry.example/42", "https://***@sentry.example/42"),
        ("mongodb://u:p4ss@h1,h2/db?x=a", "mongodb://u:***@h1,h2/db?x=a"),
        ("ssh://git@host/repo", "ssh://git@host/repo"),
        ("u:p4ss@host:5432/db", "u:***@host:5432/db"),
        ("https://x.example/a?access_token=p4ss&b=1", "https://x.example/a?access_token=***&b=1"),
        ("https://x.example/a?b=1&key=p4ss", "https://x.example/a?b=1&key=***"),
        ("https://x.example/cb?code=p4ss#id_token=p4ss", "https://x.example/cb?code=***#id_token=***"),
        ("https://x.example/a?X-Amz-Signature=p4ss", "https://x.example/a?X-Amz-Signature=***"),
        ("https%3A%2F%2Fu%3Ap4ss%40h%2Fdb", "https://***@h/db"),
        ("next=https%253A%252F%252Fu%253Ap4ss%2540h", "next=https://***@h"),
        ("redis://:p4%20%22%2F%40ss@cache:6379/0", "redis://:***@cache:6379/0"),
        ('x {"Cookie": "p4\\"/&ss", "b": 1} y', 'x {"Cookie": ***, "b": 1} y'),
        ("x {'Authorization': 'p4\\'ss', 'b': 1} y", "x {'Authorization': ***, 'b': 1} y"),
        ("host=h password=p4ss user=x", "host=h password=*** user=x"),
        ("host=h password='p4ss p4ss' user=x", "host=h password=*** user=x"),
        ("Server=h;Password=p4ss;Database=x", "Server=h;Password=***;Database=x"),
        ("Server=h;Password=p4;ss;Database=x", "Server=h;Password=***;Database=x"),
        ("AccountName=x;AccountKey=p4ss+/==;EndpointSuffix=y", "AccountName=x;AccountKey=***;EndpointSuffix=y"),
        ("Bearer p4ss", "Bearer ***"), ("bearer  p4ss", "bearer  ***"), ("Basic p4ss", "Basic ***"),
        ("sent Basic dTpwNHNz to it", "sent Basic *** to it"),
        ("Authorization: Bearer p4ss", "Authorization: ***"),
        ("Cookie: a=p4ss; b=p4ss\nHost: h", "Cookie: ***\nHost: h"),
        ("{'password': 'p4ss x', 'b': 1}", "{'password': ***, 'b': 1}"),
        ('x {"api_key": "p4\\"ss"} y', 'x {"api_key": ***} y'),
        ("tokens=['p4ss', 'p4ss'] x", "tokens=*** x"),
        ("run --password p4ss --port 80", "run --password *** --port 80"),
        ("['run', '--token', 'p4ss']", "['run', '--token', ***]"),
        ("--token=p4ss", "--token=***"),
        ("DB_PASSWD=p4ss", "DB_PASSWD=***"), ("a.password => p4ss", "a.password => ***"),
        (f"key {PEM} end", "key *** end"), (PEM[:60], MASK),
        ("<db><password>p4ss</password><n>1</n></db>", "<db><password>***</password><n>1</n></db>"),
        ("jdbc:oracle:thin:scott/p4ss@h:1521/x", "jdbc:oracle:thin:scott/***@h:1521/x"),
        ("jdbc:postgresql://h/db?user=u&password=p4ss", "jdbc:postgresql://h/db?user=u&password=***"),
        ("https://hooks.slack.com/services/T0/B0/p4ss", "https://hooks.slack.com/***"),
    ],
)  # fmt: skip
def test_secrets_within_text(text: str, shown: str) -> None:
    assert masker.mask_text(text) == shown
    assert masker.mask_text(shown) == shown


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "token",
    [
        "sk-abcdefghijklmnop", "sk-proj-abcdefghijklmnop", "sk-ant-api03-abcdefghijkl", "sk_live_abcdefghijkl",
        "ghp_abcdefghijklmnopqrst", "github_pat_abcdefghijklmnopqrst", "xoxb-123456789012", "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE", "glpat-abcdefghijklmnopqrst", "npm_abcdefghijklmnopqrst", "hf_abcdefghijklmnopqrst",
        "AIzaSyabcdefghijklmnopqrstuvwxyz", "whsec_abcdefghijkl", "hvs.abcdefghijklmnopqrst", JWT, RANDOM,
        "dckr_pat_abcdefghijklmnopqr", "SG.abcdefghijkl.abcdefghijkl", "d41d8cd98f00b204e9800998ecf8427e",
        "/HWAztFwE+DTGwcTS8i+Gl/vb8qx3iJPiTbt7lohyVY+XHtg",
        "123456789:abcdefghijklmnopqrstuvwxyzabcdefghi", base64.b64encode(bytes(range(7, 247, 5))).decode(),
    ],
)  # fmt: skip
def test_known_and_random_tokens_are_hidden_anywhere(token: str) -> None:
    texts = [token, f"see {token} there", f"x={token}", f'"{token}"', f"({token})"]
    if "/" not in token:  # in a URL, that is a path
        texts.append(f"https://h/{token}/x")
    for text in texts:
        assert token not in masker.mask_text(text), text
    shown = masker.mask({"note": token, token: 1, "list": [token], "bytes": token.encode()})
    assert token not in text_of(shown)


def test_hexadecimal_in_text_is_hidden_though_a_commit_under_its_key_is_not() -> None:
    commit = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
    assert masker.mask({"revision": commit, "note": commit}) == {"revision": commit, "note": MASK}


def test_json_inside_text_is_parsed_and_masked() -> None:
    inner = json.dumps({"db": {"pa\u0073sword": "hunter2", "n": 1}, "list": [{"name": "x"}]})
    shown = masker.mask({"SETTINGS": inner})
    assert shown == {"SETTINGS": '{"db":{"password":"***","n":1},"list":[{"name":"x"}]}'}
    assert masker.mask({"SETTINGS": '{"a":  1}'}) == {"SETTINGS": '{"a":  1}'}
    escaped = '{"pass\\u0077ord": "hunter2"}'
    assert "hunter2" not in masker.mask_text(escaped)
    assert "hunter2" not in masker.mask_text(json.dumps({"outer": escaped}))
    assert masker.mask_text("[" * 50_000) is not None


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("never called")


def test_plain_types_become_json() -> None:
    value = {
        "text": Word("x"),
        "enum": Color.RED,
        "int": Level.HIGH,
        "when": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        "day": dt.date(2026, 1, 2),
        "took": dt.timedelta(seconds=90),
        "path": pathlib.PurePosixPath("/srv/app"),
        "id": uuid.UUID(int=5),
        "money": decimal.Decimal("1.50"),
        "raw": b"abc",
        "binary": b"\xff\x00",
        "set": {1},
        "deque": collections.deque([1, 2]),
        "space": types.SimpleNamespace(a=1, password="x"),
        "big": 2**70,
        "huge": 10**5000,
        "nan": float("nan"),
        "lone": "a\udc80b",
        "class": Color,
        "function": test_plain_types_become_json,
        5: None,
        None: True,
    }
    shown = masker.mask(value)
    assert orjson.loads(orjson.dumps(shown)) == shown
    assert shown == {
        "text": "x", "enum": "red", "int": 3, "when": "2026-01-02 00:00:00+00:00", "day": "2026-01-02", "took": 90.0,
        "path": "/srv/app", "id": "00000000-0000-0000-0000-000000000005", "money": "1.50", "raw": "abc",
        "binary": "<2 bytes>", "set": [1], "deque": [1, 2], "space": {"a": 1, "password": MASK}, "big": str(2**70),
        "huge": f"<integer of {(10**5000).bit_length()} bits>", "nan": "nan", "lone": "a\\udc80b",
        "class": f"<class {__name__}.Color>", "function": f"<function {__name__}.test_plain_types_become_json>",
        "5": None, "None": True,
    }  # fmt: skip


def test_settings_of_every_usual_kind() -> None:
    class Model(pydantic.BaseModel):
        url: pydantic.PostgresDsn = pydantic.PostgresDsn("postgresql://u:hunter2@h/db")
        cache: pydantic.RedisDsn = pydantic.RedisDsn("redis://:hunter2@h:6379/0")
        key: pydantic.SecretStr = pydantic.SecretStr("hunter2")
        quiet: str = pydantic.Field("hunter2", repr=False)

    @dataclasses.dataclass
    class Plain:
        dsn: str = "postgresql://u:hunter2@h/db"
        hidden: str = dataclasses.field(default="hunter2", repr=False)
        model: object = dataclasses.field(default_factory=Model)

    Pair = collections.namedtuple("Pair", "user password")  # noqa: PYI024 - the untyped kind, too
    shown = masker.mask(
        {
            "plain": Plain(),
            "pair": Pair("u", "hunter2"),
            "httpx": httpx.URL("https://u:hunter2@h/p?token=hunter2"),
            "starlette": starlette.datastructures.URL("https://u:hunter2@h/p"),
            "secret": starlette.datastructures.Secret("hunter2"),
            "sqlalchemy": sqlalchemy.make_url("postgresql://u:hunter2@h/db?password=hunter2"),
            "redis": {"connection_kwargs": {"host": "h", "password": "hunter2"}},
            "headers": [("authorization", "hunter2"), (b"cookie", b"hunter2"), ("accept", "*/*")],
            "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "A", "value": "1"}],
            "tokens": {"alice": "hunter2", "count": 3},
            "conninfo": "host=h user=u password=hunter2",
        }
    )
    assert "hunter2" not in text_of(shown)
    assert shown == {
        "plain": {
            "dsn": "postgresql://u:***@h/db",
            "hidden": MASK,
            "model": {
                "url": "postgresql://u:***@h/db",
                "cache": "redis://:***@h:6379/0",
                "key": MASK,
                "quiet": MASK,
            },
        },
        "pair": {"user": "u", "password": MASK},
        "httpx": "https://***@h/p?token=***",
        "starlette": "https://***@h/p",
        "secret": MASK,
        "sqlalchemy": "postgresql://u:***@h/db?password=***",
        "redis": {"connection_kwargs": {"host": "h", "password": MASK}},
        "headers": [["authorization", MASK], ["cookie", MASK], ["accept", "*/*"]],
        "env": [{"name": "DB_PASSWORD", "value": MASK}, {"name": "A", "value": "1"}],
        "tokens": {"alice": MASK, "count": 3},
        "conninfo": "host=h user=u password=***",
    }


class Hostile:
    """Every way of looking at it fails the test."""

    def _fail(self, *_: object) -> str:
        raise AssertionError("code of an unknown type was run")

    __repr__ = __str__ = __format__ = __bool__ = __len__ = __iter__ = __eq__ = _fail
    __hash__ = object.__hash__


class Broken(collections.UserDict):  # type: ignore[type-arg]
    def __iter__(self):
        raise RuntimeError("hunter2")


def test_an_unknown_object_is_its_type_and_runs_nothing() -> None:
    name = f"<{__name__}.Hostile>"
    assert masker.mask([Hostile(), {"a": Hostile(), Hostile(): 1}]) == [name, {"a": name, name: 1}]
    assert masker.mask({"password": Hostile()}) == {"password": MASK}
    assert masker.mask(Broken()) == f"<unreadable {__name__}.Broken>"
    assert masker.mask(iter([1])) == "<list_iterator>"


def test_cycles_depth_and_size_are_bounded() -> None:
    cycle: dict[str, object] = {}
    cycle["self"] = [cycle]
    assert masker.mask(cycle) == {"self": ["<cycle>"]}
    shared = ["x"]
    assert masker.mask([shared, shared]) == [["x"], ["x"]]
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert "<deeper>" in text_of(masker.mask(deep))
    while deep:
        deep = deep.pop()  # type: ignore[assignment]  # taken apart by hand: freeing it recursively is slow
    assert len(text_of(masker.mask({str(n): n for n in range(5000)}))) < 20_000
    wide = [[n] * 1000 for n in range(1000)]
    started = time.process_time()
    assert len(text_of(masker.mask(wide))) < 200_000
    assert time.process_time() - started < 2
    long = masker.mask_text("word " * 50_000)
    assert len(long) < MAX_TEXT + 100
    assert long.endswith("more characters)")


def test_a_secret_across_the_cut_does_not_show_its_first_half() -> None:
    secret = secrets.token_urlsafe(48)
    for before in range(MAX_TEXT - 70, MAX_TEXT + 5):
        shown = masker.mask_text("x" * 10 + " " * (before - 10) + secret + " tail" * 100)
        assert secret[:12] not in shown


def test_keys_that_become_equal_are_both_shown() -> None:
    first, second = "ghp_abcdefghijklmnopqrst", "ghp_bbcdefghijklmnopqrst"
    assert masker.mask({first: 1, second: 2, "***": 3}) == {"***": 1, "*** (2)": 2, "*** (3)": 3}


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000, "a:" * 50_000, "a=" * 50_000, "password=" * 11_000, "a@" * 50_000, "a://" * 25_000,
        "u:p@" * 25_000, "%25" * 33_000, 'password="' * 10_000, "[" * 100_000, '{"a":' * 20_000, " " * 100_000,
        "-----BEGIN PRIVATE KEY-----" * 3_700, "bearer " * 14_000, "aB3/" * 25_000, "eyJaaaaaaa." * 9_000,
        "password=;a" * 9_000, "password=" + ",a" * 50_000, "https://h/?" + "a=b&" * 25_000, "a%:=@ " * 16_000,
        "--token " * 12_500, "https://" + "@" * 100_000, "0" * 100_000, "\\" * 100_000, "password=" + "\\" * 100_000,
        "12345678:" * 11_000, "sk-" * 33_000, "a[" * 50_000, "é" * 100_000, "\n" * 100_000, "<a></" * 20_000,
        "jdbc:oracle:a:" * 7_000, "<a " * 33_000, "password=(" * 10_000, "dsn=(a=b" * 12_000, "password=a " * 9_000,
        "password:\n" * 10_000, "password:\n- " * 8_000, "password: |\n  a\n" * 6_000, "password:" + "\n" * 90_000,
        "max_tokens:\n  1\n" * 6_000, "('password', " * 8_000, "['password', '" * 8_000, "name='a', value=" * 7_000,
        "value='" * 14_000, "value='a' name=" * 7_000, "name" * 25_000, "a/b@" * 25_000, "<a><![CDATA[" * 9_000,
        "input_value=" * 9_000, "input_value=a, input_type=" * 4_000, "password=a\t, " * 8_000, "x://a:b" * 15_000,
        "mysql -p " * 11_000,
        "password=" + "a " * 50_000, "password=[" + "'a]" * 33_000, "password=" + " " * 90_000, "dsn=[[" * 16_000,
    ],
)  # fmt: skip
def test_hostile_text_takes_linear_time(text: str) -> None:
    from profkit.masking.text import scrub

    started = time.process_time()
    scrub(text, masker.kind)  # beyond the cut that mask_text makes first
    masker.mask({"value": text, text: "value"})
    assert time.process_time() - started < 1.5  # about 0.1 s; quadratic takes a minute


def test_further_words_and_rules() -> None:
    own = Masker(words=("tenant ref",), rules=(r"ACME-\d+",))
    assert own.mask({"tenantRef": "x", "TENANT_REF_2": "x", "note": "see ACME-12 now"}) == {
        "tenantRef": MASK,
        "TENANT_REF_2": MASK,
        "note": "see *** now",
    }
    assert masker.mask({"tenantRef": "x", "note": "ACME-12"}) == {"tenantRef": "x", "note": "ACME-12"}
    assert own == Masker(words=("tenant ref",), rules=(r"ACME-\d+",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        own.words = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"words": ("--",)}, "words: '--'"), ({"words": "password"}, "words: str"), ({"words": (1,)}, "words: "),
        ({"rules": ("(",)}, r"rules: '\('"), ({"rules": ("x*",)}, r"rules: 'x\*'"), ({"rules": None}, "rules: None"),
    ],
)  # fmt: skip
def test_bad_words_and_rules_are_refused(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Masker(**arguments)  # type: ignore[arg-type]


def test_errors_are_a_type_and_a_masked_line() -> None:
    assert masker.mask_error(ValueError("no\n  password=hunter2")) == "ValueError: no password=***"
    assert masker.mask_error(KeyError()) == "KeyError"

    class Bad(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert masker.mask_error(Bad()) == "Bad"


secret_keys = st.sampled_from(
    ["password", "DB_PASSWD", "apiKey", "AUTHORIZATION", "client-secret", "aws_credentials", "Cookie", "pass%77ord",
     "x-access-token", "STRIPE_KEY", "session_id", "private_key"]
)  # fmt: skip
plain_keys = st.sampled_from(["a", "name", "value", "config", "id", "url", "tokens", "host", "items", "key"])
planted = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=4, max_size=30).map(
    lambda text: f"Zq{text}9"
)


def nested(leaf: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    def grow(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        mapping = st.dictionaries(plain_keys, inner, min_size=1, max_size=3)
        as_json = mapping.map(lambda value: json.dumps(value, default=str))
        return st.one_of(
            st.lists(inner, min_size=1, max_size=3), inner.map(lambda one: (one, 1)), mapping, as_json
        )

    return st.recursive(leaf, grow, max_leaves=4)


@settings(max_examples=60)
@given(st.data(), planted, secret_keys)
def test_a_planted_secret_never_comes_out(data: st.DataObject, secret: str, key: str) -> None:
    leaf = st.sampled_from(
        [{key: secret}, {key: [secret]}, {key: {"x": secret}}, {key: secret.encode()}, (key, secret)]
    )
    shown = masker.mask(data.draw(nested(leaf)))
    text = text_of(shown)
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert orjson.loads(text) == shown


awkward = st.text("ab 9-'\"]})([{,;:=\\\n", min_size=1, max_size=12).map(lambda text: f"Zq{text}Qz")


@settings(max_examples=150)
@given(st.data(), awkward, st.sampled_from(["password", "DB_PASSWD", "api_key", "x-access-token"]))
def test_a_planted_secret_never_comes_out_of_a_printed_structure(
    data: st.DataObject, secret: str, key: str
) -> None:
    leaf = st.sampled_from(
        [
            {key: secret}, {"a": "it's, so", key: [secret, {"x": secret}]}, ("t", (key, secret)), [[key, secret]],
            {"name": key, "value": secret}, {key: {"x": secret}},
        ]
    )  # fmt: skip
    one = data.draw(leaf)
    value = data.draw(nested(st.just(one)))
    for text in (
        repr(value),
        pprint.pformat([one], width=20),
        f"x {value!r} y",
        "x " + json.dumps(value, indent=2),
    ):
        shown = masker.mask_text(text)
        assert "Zq" not in shown, text
        assert "Qz" not in shown, text


@given(
    st.text(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$*+", min_size=6, max_size=30
    ),
    secret_keys,
)
def test_a_planted_password_never_comes_out_of_text(word: str, key: str) -> None:
    secret = f"Zq{word}9"
    for text in (
        f"{key}={secret}", f"{key}: '{secret}'", f'a {{"{key}": "{secret}"}} b', f"redis://u:{secret}@h/0",
        f"https://{secret}@h/", f"x https://h/p?{key}={secret}&a=b", f"Bearer {secret}", f"host=h {key}={secret} a=b",
    ):  # fmt: skip
        shown = masker.mask_text(text)
        assert secret[:5] not in shown, text
        assert secret[-5:] not in shown, text


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner)))  # fmt: skip
def test_anything_becomes_json(value: object) -> None:
    shown = masker.mask(value)
    assert orjson.loads(orjson.dumps(shown)) == shown


def test_it_imports_nothing_but_the_standard_library_orjson_and_storage() -> None:
    code = "import profkit.masking, sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"sqlalchemy", "httpx", "pydantic", "starlette", "boto3"} & set(loaded)


@pytest.mark.guard
def test_five_plain_tags_cost_as_little_as_a_few_times_writing_them_down() -> None:
    """5.4 times `json.dumps` of the same; compared, since a limit in microseconds is another on each machine."""
    tags = {"model": "m-large", "tokens": 812, "route": "/users/{id}", "tenant": "acme", "retry": False}
    masker.mask(tags)

    def seconds(work: Callable[[object], object]) -> float:
        started = time.perf_counter()
        for _ in range(200):
            work(tags)
        return time.perf_counter() - started

    ratios = [seconds(masker.mask) / seconds(json.dumps) for _ in range(25)]
    assert statistics.median(ratios) < 9


@pytest.mark.parametrize(
    "key",
    [
        "passcode", "smtp_passcode", "dbpw", "rootpw", "hmackey", "jwtkey", "signkey", "AESKEY", "FERNETKEY",
        "cryptkey",
        "psk", "wifi_psk", "mnemonic", "seed_phrase", "recovery_code", "backup_codes", "access_code", "invite_code",
        "verification_code", "security_answer", "client_assertion", "SNMP_COMMUNITY", "senha", "KEY", "STRIPE_KEY_2",
        "private_pem", "code_verifier", "SAMLResponse",
    ],
)  # fmt: skip
def test_less_usual_names_of_secrets(key: str) -> None:
    assert masker.mask({key: "hunter2"}) == {key: MASK}
    assert masker.mask_text(f"{key}=hunter2") == f"{key}=***"


@pytest.mark.parametrize(
    "key",
    [
        "primary_key", "foreign_key", "partition_key", "sort_key", "hotkey", "monkey", "keyboard", "turkey", "key",
        "primarykey", "cachekey", "cache_key_2", "sortKeys", "keys", "keyword", "community", "orders_pkey",
        "code", "status_code",
        "country_code", "answer", "access", "recovery", "parameter_key", "number", "serial_number", "backup",
    ],
)  # fmt: skip
def test_names_that_only_resemble_secrets(key: str) -> None:
    assert masker.mask({key: "abc"}) == {key: "abc"}


@pytest.mark.parametrize(
    "key",
    [
        "card_number",
        "credit_card_number",
        "pin_number",
        "ssn_number",
        "user_pin_num",
        "otp_number",
        "cvv_number",
    ],
)
def test_a_number_named_a_secrets_number_is_no_count(key: str) -> None:
    assert masker.mask({key: 1234}) == {key: MASK}
    assert masker.mask({key: "1234"}) == {key: MASK}


def test_counts_stay_visible() -> None:
    counts = {"max_tokens": 4096, "token_count": 3, "tokens": 812, "num_tokens": 5, "number_of_tokens": 6}
    assert masker.mask(counts) == counts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Server=x;Password=hun ter2;Database=y", "Server=x;Password=***;Database=y"),
        ("Server=x;Pwd=hun ter2", "Server=x;Pwd=***"),
        ("jdbc:sqlserver://h;user=sa;password=hun ter2", "jdbc:sqlserver://h;user=sa;password=***"),
        ("password=correct horse battery", "password=***"),
        ("password=correct horse battery user=bob\nhost: h", "password=*** user=bob\nhost: h"),
        ("password: a, hunter2\nnext line", "password: ***\nnext line"),
        ("tokens=5 used by model", "tokens=5 used by model"),
        ("GET /p?token=hunter2 HTTP/1.1", "GET /p?token=*** HTTP/1.1"),
        ("--token=hunter2 --port 80", "--token=*** --port 80"),
        ("run --password -hunter2 x", "run --password *** x"),
        ("WHERE token = :token AND id = :id", "WHERE token = *** AND id = :id"),
        ("password=a\\ hunter2", "password=***"), ("PASSWORD=$(echo hunter2) x", "PASSWORD=*** x"),
        ("pw='it''s hunter2' x", "pw=*** x"), ("password='abc'hunter2 x", "password=*** x"),
        ("'password=hun ter2', 'b'", "'password=***', 'b'"),
        ('secret: {"a": {"b": "x"}, "c": "hunter2"} end', "secret: *** end"),
        ('api_keys = ["a]b", "hunter2"] end', "api_keys = *** end"), ("secret=[a]hunter2 end", "secret=*** end"),
        ("secret: [a, (b, hunter2", "secret: ***"),
        ("password: |\n  hunter2\n  hunter2\nuser: bob", "password: ***\nuser: bob"),
        ("db:\n  password: >-\n    hunter2\n\n    hunter2\n  user: bob", "db:\n  password: ***\n  user: bob"),
        ("password:\n  - hunter2\n  - hunter2\nuser: bob", "password:\n  ***\nuser: bob"),
        ("passwords:\n- hunter2\n- hunter2\nuser: bob", "passwords:\n***\nuser: bob"),
        ("[('x-api-key', 'hunter2')]", "[('x-api-key', ***)]"),
        ("[(b'x-api-key', b'hunter2')]", "[(b'x-api-key', ***)]"),
        ("x ['x-api-key', 'hunter2'] y", "x ['x-api-key', ***] y"),
        ("missing: ['password', 'email', 'name']", "missing: ['password', 'email', 'name']"),
        ("{'name': 'password', 'value': 'hunter2'}", "{'name': 'password', 'value': ***}"),
        ("{'value': 'hunter2', 'name': 'password'}", "{'value': ***, 'name': 'password'}"),
        ('x "{\\"value\\": \\"hun ter2\\", \\"name\\": \\"password\\"}"',
         'x "{\\"value\\": ***, \\"name\\": \\"password\\"}"'),
        ("{'name': 'color', 'value': 'red'}", "{'name': 'color', 'value': 'red'}"),
        ("EnvVar(name='DB_PASSWORD', value='hunter2')", "EnvVar(name='DB_PASSWORD', value=***)"),
        ('<add key="Password" value="hunter2"/>', '<add key="Password" value=***/>'),
        ('<add value="hunter2" key="Password"/>', '<add value=*** key="Password"/>'),
        ("<password><![CDATA[hun<ter2]]></password>", "<password>***</password>"),
        ("<note><![CDATA[hello]]></note>", "<note><![CDATA[hello]]></note>"),
        ("scott/hunter2@orcl", "scott/***@orcl"), ("scott/hunter2@//host:1521/orcl", "scott/***@//host:1521/orcl"),
        ("actions/checkout@v4", "actions/checkout@v4"), ("@scope/pkg@1.2.3", "@scope/pkg@1.2.3"),
        ("postgresql://u:hunter2", "postgresql://u:***"), ("https://u:hunter2/x", "https://u:***/x"),
        ("see http://h:8000, then", "see http://h:8000, then"), ("http://h:{port}/x", "http://h:{port}/x"),
        ("mongodb://h1:27017,h2/db", "mongodb://h1:27017,h2/db"), ("http://[::1]:80/", "http://[::1]:80/"),
        ("ws://h/?code_verifier=hunter2", "ws://h/?code_verifier=***"),
        ("http://h/?SAMLResponse=hunter2", "http://h/?SAMLResponse=***"),
        ("mysql -phunter2 -uroot", "mysql -p*** -uroot"), ("sshpass -p hunter2 ssh h", "sshpass -p *** ssh h"),
        ("curl -u admin:hunter2 http://x/", "curl -u *** http://x/"), ("range -p x", "range -p x"),
        ("x [type=a, input_value='hun, ]ter2', input_type=str]", "x [type=a, input_value=***, input_type=str]"),
    ],
)  # fmt: skip
def test_more_secrets_within_text(text: str, shown: str) -> None:
    assert masker.mask_text(text) == shown
    assert masker.mask_text(shown) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"value": "hunter2", "name": "DB_PASSWORD"}, {"value": MASK, "name": "DB_PASSWORD"}),
        ({"key": "password", "val": "hunter2"}, {"key": "password", "val": MASK}),
        (
            {"ParameterValue": "hunter2", "ParameterKey": "DBPassword"},
            {"ParameterValue": MASK, "ParameterKey": "DBPassword"},
        ),
        ({"name": b"password", "value": ["hunter2"]}, {"name": "password", "value": MASK}),
        ({"value": "red", "name": "color"}, {"value": "red", "name": "color"}),
        (["mysqld", "--password", "hunter2"], ["mysqld", "--password", MASK]),
        (("mysqld", "--password", "-hunter2", "x"), ["mysqld", "--password", MASK, "x"]),
        (["mysql", "-phunter2"], ["mysql", "-p***"]),
        (["--port", "80"], ["--port", "80"]),
        (["-", 5, "--token", None], ["-", 5, "--token", None]),
        (["--token", {"a": "hunter2"}], ["--token", MASK]),
    ],
)
def test_secrets_named_beside_their_values(value: object, shown: object) -> None:
    assert masker.mask(value) == shown


def test_the_characters_of_one_walk_are_bounded() -> None:
    many = {"a": ["a= b:c@  " * 1800] * 1000, "password": "hunter2"}
    started = time.process_time()
    shown = masker.mask(many)
    assert time.process_time() - started < 1.5  # 5.4 s without a bound
    assert isinstance(shown, dict)
    assert shown["a"][0].startswith("a= b:c@  ")
    assert shown["a"][-1] == f"<text of {9 * 1800} characters>"
    assert shown["password"] in (MASK, "<text of 7 characters>")
    long_keys = masker.mask([{f"{n} a= b:c@d {'x' * 10_000}": 1} for n in range(900)])
    assert len(text_of(long_keys)) < 1_300_000
    assert "<text of 1001" in text_of(long_keys)


def test_a_message_is_masked_before_it_is_cut() -> None:
    secret = "Sup3rSecretPassw0rd-that-is-long"
    for words in range(440, 520):
        shown = masker.mask_error(ValueError("x " * words + f"at app:{secret}@db/prod " + "y " * 600))
        assert "Sup3r" not in shown
        assert len(shown) < 1100
    assert masker.mask_error(ValueError("y" * 5000)).startswith("ValueError: y")


class Checked(pydantic.BaseModel):
    db_password: str = pydantic.Field(min_length=12)
    pin: pydantic.SecretStr = pydantic.Field(min_length=12)
    options: dict[str, int]


def test_what_was_wrong_is_shown_of_a_validation_error_but_no_input() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Checked.model_validate(
            {"db_password": "hunter2", "pin": "hunter2", "options": {"api_key": "hunter2"}}
        )
    shown = "db_password (string_too_short), pin (too_short), options.api_key (int_parsing)"
    assert masker.mask_error(caught.value) == f"ValidationError: {shown}"
    wrapped = masker.mask_error(RuntimeError(str(caught.value)))
    assert "hunter2" not in wrapped
    assert "string_too_short" in wrapped

    class Odd(Exception):
        def errors(self) -> object:
            return [("hunter2",)]

    assert masker.mask_error(Odd("bad input='hunter2 x' given")) == "Odd: bad input=***"
