"""Secrets inside text: URLs, `key=value`, headers, well-known tokens, private keys and what looks random.

Every pattern takes time linear in the text: quantifiers are possessive, and a run of characters is entered only at
its start.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote

from profkit.masking.arguments import hide_command
from profkit.masking.entropy import hide_random
from profkit.masking.keys import Kind, is_secret_parameter
from profkit.masking.pairs import mask_pairs
from profkit.masking.shapes import MASK

_SUSPECT = re.compile(r"[:=@%]|--|</|\s-[A-Za-z]|[\"'],|[A-Za-z0-9+/_.-]{12}|(?i:bearer|basic)\s")
_WORDS = re.compile(r"(?!(?:[sr]k|whsec)_)[a-z]{1,15}(?:[._/][a-z]{1,15})*+")
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----.*?(?:-----END [A-Z0-9 ]{0,60}-----|\Z)",
    re.DOTALL,
)
_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*+)://([^\s/?#]*+)([^\s\"'<>]*+)")
_USERINFO = re.compile(r"(?<![\w.+%~-])([\w.+%~-]++):[^\s/]{1,256}@(?=[\w.\[-])")
_SCHEME = re.compile(r"(?<![\w-])(bearer|basic)([ \t]++)((?:token[ \t]++)?[^\s,;\"'<>]++)", re.IGNORECASE)
_ORACLE = re.compile(r"(jdbc:oracle:\w{1,16}:[\w$#]{0,128})/[^\s@]{1,256}@", re.IGNORECASE)
_LOGIN = re.compile(  # `scott/tiger@orcl`; but not `actions/checkout@v4`, `library/redis@sha256:...`
    r"(?<![\w./@:%+~$-])([A-Za-z][\w$#]{0,30}+)/[^\s/@\"'<>]{1,128}+@(?=//|[A-Za-z])"
    r"(?!v?\d|sha256:|[0-9a-f]{7,40}\b|(?:main|master|latest|stable|next|dev|develop|beta|alpha|release)\b)"
)
_INPUT = re.compile(r"\binput_value=(?:[^\n]*(?=, input_type=)|[^\n]*)")
_NO_PORT = re.compile(r"(?!\d{1,5}(?:,|[^\w]{0,3}$))[\w!-][^{}<>]*+$")
_WEB = ("http", "https", "ws", "wss")
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[\w-]{12,}+|[sr]k_(?:live|test)_\w{8,}+|whsec_\w{8,}+|gh[a-z]_\w{16,}+|github_pat_\w{16,}+"
    r"|xox[a-z]-[\w-]{8,}+|xapp-[\w-]{8,}+|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}+|gl[a-z]{2,6}-[\w.-]{16,}+"
    r"|npm_\w{16,}+|pypi-AgE[\w-]{16,}+|AIza[\w-]{20,}+|ya29\.[\w.-]{16,}+|GOCSPX-[\w-]{16,}+|hf_\w{16,}+"
    r"|dckr_(?:pat|oat)_[\w-]{16,}+|SG\.[\w-]{12,}+\.[\w-]{12,}+|(?:dop|doo|dor)_v1_\w{16,}+|shp[a-z]{2}_\w{16,}+"
    r"|lin_api_\w{16,}+|ATATT[\w=-]{16,}+|dapi[0-9a-f]{24,}+|hv[sbr]\.[\w-]{16,}+|sntry[a-z]_[\w=+/-]{16,}+"
    r"|r8_\w{16,}+|gsk_\w{16,}+|xai-\w{16,}+|pplx-\w{16,}+|nvapi-[\w-]{16,}+|tskey-[\w-]{12,}+|PMAK-[\w-]{16,}+"
    r"|NRAK-\w{16,}+|AGE-SECRET-KEY-\w{16,}+|eyJ[\w-]{6,}+(?:\.[\w-]*+){1,4}|\d{8,10}:[\w-]{35}"
    r")"
)
_HOOK = re.compile(
    r"(hooks\.slack\.com/|discord(?:app)?\.com/api/webhooks/|webhook\.office\.com/|api\.telegram\.org/)[^\s\"'<>]++",
    re.IGNORECASE,
)


def is_suspect(text: str) -> bool:
    """Whether `text` could hold a secret at all: one quick pass that lets plain short values go."""
    return _SUSPECT.search(text) is not None and _WORDS.fullmatch(text) is None


def scrub(
    text: str, classify: Callable[[str], Kind], rules: Iterable[re.Pattern[str]] = (), *, hashes: bool = False
) -> str:
    """`text` with each secret in it replaced by `***`; with `hashes`, long hexadecimal is left in."""
    text = _known(text, classify)
    if "%" in text:  # after that: a password may have a space or a quote in it once it is decoded
        text = _decoded(text, classify)
    for rule in rules:
        text = rule.sub(MASK, text)
    return hide_random(text, MASK, hashes=hashes)


def _decoded(text: str, classify: Callable[[str], Kind]) -> str:
    """Percent-decoded and masked if that uncovers a secret, otherwise as it was."""
    plain = text
    for _ in range(3):
        plain = unquote(plain)
        if "%" not in plain:
            break
    masked = _known(plain, classify)
    return masked if masked != plain else text


def _known(text: str, classify: Callable[[str], Kind]) -> str:
    if "-----BEGIN" in text:
        text = _PEM.sub(MASK, text)
    if "://" in text:
        text = _URL.sub(lambda found: _url(found, classify), text)
    if "@" in text:
        text = _ORACLE.sub(rf"\1/{MASK}@", _USERINFO.sub(rf"\1:{MASK}@", text))
        text = _LOGIN.sub(rf"\1/{MASK}@", text)
    if "input_value=" in text:  # pydantic's
        text = _INPUT.sub(f"input_value={MASK}", text)
    if "." in text:
        text = _HOOK.sub(rf"\1{MASK}", text)
    if " " in text or "\t" in text:
        text = _SCHEME.sub(_authorization, text)
    text = mask_pairs(text, classify)
    if " -" in text:
        text = hide_command(text, lambda name: classify(name) in (Kind.SECRET, Kind.HEADER))
    return _TOKENS.sub(MASK, text)


def _url(found: re.Match[str], classify: Callable[[str], Kind]) -> str:
    scheme, authority, tail = found.groups()
    web = scheme.lower().rpartition("+")[2] in _WEB
    rest = authority + tail
    at = _userinfo_end(authority, rest, web=web)
    userinfo, rest = (rest[:at], rest[at:]) if at >= 0 else ("", rest)
    if userinfo:
        # A web address's user is often the token itself (Sentry, `https://TOKEN:x-oauth-basic@...`).
        user, colon, _ = userinfo.partition(":")
        userinfo = MASK if web else (f"{user}:{MASK}" if colon else _TOKENS.sub(MASK, user))
    elif "@" not in rest:
        host, colon, port = authority.rpartition(":")
        if colon and "[" not in authority and _NO_PORT.match(port):  # `postgresql://user:password`, no host
            rest = f"{host}:{MASK}{tail}"
    pieces = re.split(r"([?&;#])", rest)
    for place in range(2, len(pieces), 2):
        if web or pieces[place - 1] != ";":  # `sqlserver://h;password=a b`: as any `key=value`
            pieces[place] = _parameter(pieces[place], classify)
    return f"{scheme}://{userinfo}{''.join(pieces)}"


def _userinfo_end(authority: str, rest: str, *, web: bool) -> int:
    """Where the `@` after the userinfo is, or -1. A password with a raw `/`, `?`, `#` or `@` in it is still one."""
    host, colon, port = authority.rpartition(":")
    if "@" in authority:
        return authority.rfind("@") if web else rest.rfind("@")
    if colon and (not port.isdigit() or not web) and "]" not in host + port:
        return rest.rfind("@")
    return -1


def _parameter(piece: str, classify: Callable[[str], Kind]) -> str:
    name, equals, value = piece.partition("=")
    if equals and value and is_secret_parameter(name, classify(name)):
        return f"{name}={MASK}"
    return piece


def _authorization(found: re.Match[str]) -> str:
    scheme, space, token = found.groups()
    alone = found.span() == (0, len(found.string))
    word = token.isalpha() and (token.islower() or token.istitle())
    if scheme.lower() == "basic" and word and not alone:  # "basic usage", "Basic Authentication"
        return found[0]
    return f"{scheme}{space}{MASK}"
