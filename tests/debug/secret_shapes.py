"""Secrets of realistic shapes, what they are written in, and how to find one in whatever was sent."""

from __future__ import annotations

import base64
import gzip
import html
import json
import random
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, unquote_plus

_ALPHANUMERIC = string.ascii_letters + string.digits
_AWKWARD = "@:/?#&=%;,'\"\\ <>()[]{}!$*+~^|\u00e9\u2028\U0001f511"
SECRET_KEYS = (
    "password", "DB_PASSWD", "apiKey", "AUTHORIZATION", "client-secret", "aws_credentials", "Cookie",
    "x-access-token", "STRIPE_KEY", "session_id", "private_key", "db.password", "smtp_pwd", "otp",
)  # fmt: skip
ENCODED_KEYS = ("pass%77ord", "client%5Fsecret", "api%255Fkey", "\uff50\uff41\uff53\uff53word")


class Secret(NamedTuple):
    """A text, and those pieces of it that must be nowhere: letters and digits, which no encoding changes much."""

    text: str
    pieces: tuple[str, ...]


class Maker:
    """Makes secrets, and remembers them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.made: dict[str, str] = {}

    def piece(self, size: int = 12, letters: str = _ALPHANUMERIC) -> str:
        """Random letters and digits, both."""
        while True:
            made = "".join(self.random.choices(letters, k=size))
            if not made.isalpha() and not made.isdigit():
                return made

    def any(self, where: str) -> Secret:
        """A text of any kind: words, quotes, brackets."""
        first, last = self.piece(), self.piece()
        between = "".join(self.random.choices(_AWKWARD + "abc", k=self.random.randrange(6)))
        return self._made(where, first + between + last, (first, last))

    def plain(self, where: str) -> Secret:
        """Letters, digits and a few marks: what fits into an option or a header."""
        first, last = self.piece(), self.piece()
        return self._made(where, f"{first}{self.random.choice('-_.~+')}{last}", (first, last))

    def token(self, where: str) -> Secret:
        """What is known by its own form, wherever it is: a vendor's prefix, a JWT, randomness."""
        kind = self.random.randrange(4)
        if kind == 0:
            body = base64.b64encode(self.random.randbytes(48)).decode()
            return self._made(where, body, (body[:12], body[-12:]))
        if kind == 1:
            parts = [base64.urlsafe_b64encode(self.random.randbytes(24)).decode().rstrip("=") for _ in "12"]
            return self._made(where, ".".join(["eyJhbGciOiJIUzI1NiJ9", *parts]), tuple(parts))
        body = self.piece(36)
        prefix = self.random.choice([
            "sk-", "sk-proj-", "sk-ant-api03-", "ghp_", "gho_", "github_pat_", "xoxb-", "glpat-", "npm_", "hf_", "AIza",
            "dop_v1_", "sk_live_", "whsec_", "gsk_", "tskey-", "PMAK-", "hvs.", "lin_api_",
        ])  # fmt: skip
        return self._made(where, prefix + body, (body[:12], body[-12:]))

    def text(self, where: str, *, lines: bool = False) -> str:
        """A line of text, as somebody would log it, with a secret in it; with `lines` there may be several."""
        key = self.random.choice(SECRET_KEYS)
        shapes: list[Callable[[], str]] = [
            lambda: self.token(where).text,
            lambda: f"see {self.token(where).text} there",
            lambda: f"postgresql://app:{self.plain(where).text}@db.internal:5432/shop",
            lambda: f"redis://:{quote(self.any(where).text, safe='')}@cache:6379/0",
            lambda: f"cannot reach https://{self.plain(where).text}@sentry.example/42, giving up",
            lambda: f"GET https://api.example/v1?page=2&access_token={self.plain(where).text}&x=y failed",
            lambda: quote(f"https://u:{self.plain(where).text}@h/p", safe=""),
            lambda: f"login failed for host=db user=app {key}={self.plain(where).text}",
            lambda: f"sent Authorization: Bearer {self.plain(where).text}",
            lambda: f"bad settings {json.dumps({'a': 1, key: self.any(where).text})} here",
            lambda: f"bad settings { ({key: self.any(where).text, 'b': 2})!r}",
            lambda: f"headers [({key!r}, {self.any(where).text!r}), ('accept', '*/*')]",
            lambda: json.dumps({"outer": json.dumps({key: self.any(where).text})}),
            lambda: f"{key}={quote(self.any(where).text, safe='')}&page=2",
            lambda: f"mysql -h db -p{self.plain(where).text} shop",
            lambda: f"curl -u admin:{self.plain(where).text} https://api.example/",
            lambda: (
                f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={self.plain(where).text};EndpointSuffix=y"
            ),
            lambda: f"mssql://?odbc_connect={quote('Server=h;UID=u;PWD=' + self.plain(where).text, safe='')}",
            lambda: f"<db><password>{self.plain(where).text}</password><n>1</n></db>",
            lambda: f"POST https://hooks.slack.com/services/T0/B0/{self.plain(where).text} 404",
            lambda: json.dumps({"db": {key: self.any(where).text}, "n": [1, 2]}),
            lambda: f"run --retry 3 --token {self.plain(where).text} --port 80",
        ]
        if lines:
            shapes += [
                lambda: f"config:\n  {key}: {self.plain(where).text}\n  port: 80",
                lambda: (
                    f"-----BEGIN RSA PRIVATE KEY-----\n{self.any(where).text}\n-----END RSA PRIVATE KEY-----"
                ),
            ]
        return self.random.choice(shapes)()

    def _made(self, where: str, text: str, pieces: tuple[str, ...]) -> Secret:
        self.made.update(dict.fromkeys(pieces, where))
        return Secret(text, pieces)


def found_in(content: bytes, pieces: Mapping[str, str]) -> set[str]:
    """Where those secrets were planted of which a piece is in what was sent, however it is encoded."""
    return {pieces[piece] for text in _decoded(content) for piece in pieces if piece in text}


def _decoded(content: bytes) -> Iterator[str]:
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    text = content.decode("utf-8", "replace")
    yield text
    yield content.decode("utf-16-le", "ignore")
    yield html.unescape(text)
    for _ in range(3):
        text = unquote(text)
        yield text
    yield unquote_plus(text)
    try:
        document = json.loads(content)
    except ValueError:
        return
    for one in _texts(document):
        yield one
        yield unquote(unquote(one))


def _texts(document: Any) -> Iterable[str]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from _texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)
    elif isinstance(document, str):
        yield document
        if document[:1] in ("{", "["):  # JSON within a text
            try:
                yield from _texts(json.loads(document))
            except ValueError:
                pass
