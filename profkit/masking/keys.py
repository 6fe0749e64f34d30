"""What a name says about its value: is `DB_PASSWD` a secret, is `max_tokens` one, is `commit`?"""

from __future__ import annotations

import enum
import re
import unicodedata
from urllib.parse import unquote

MAX_KEY = 512
"""Characters of a key that are looked at, at each end."""


class Kind(enum.Enum):
    """What may be shown of a value, by its key."""

    PLAIN = "plain"  # judged by the value alone
    SECRET = "secret"  # noqa: S105 - never shown
    HEADER = "header"  # never shown; in text it reaches to the end of the line
    COUNT = "count"  # `max_tokens`, `password_min_length`: only a number is shown
    PLACE = "place"  # `token_url`, `SECRET_FILE`: only a URL or a path is shown
    ADDRESS = "address"  # a DSN or connection string: shown when it is one, without its secrets
    HASH = "hash"  # an id, commit or digest: hexadecimal is shown


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Found anywhere in a name once separators and case are gone, so that APIKEY and Api-Key are alike.
_PARTS = re.compile(
    "passw|passphrase|motdepasse|contrasena|secret|credential|apikey|accesskey|privatekey|privkey|"
    "encryptionkey|signingkey|masterkey|sharedkey|accountkey|subscriptionkey|sshkey|sessionid|sessionkey|"
    "sessid|authorization|cookie|accesstoken|refreshtoken|idtoken|authtoken|bearertoken|licensekey|pgpass|"
    "keypass|storepass|creditcard|cardnumber|passcode|recoverycode|backupcode|accesscode|verificationcode|"
    "invitecode|unlockcode|onetimecode|codeverifier|securityanswer|seedphrase|mnemonic|clientassertion|"
    "samlresponse|samlassertion|privatepem|r[ow]community|snmp[a-z0-9]{0,16}community"
)
_WORDS = _set(
    "pass pwd pswd psw pw pat token tokens auth oauth authentication jwt jws otp totp mfa pin cvv cvc ssn iban "
    "bearer creds cred salt pepper signature sig csrf xsrf csrftoken xsrftoken sid sas hmac nonce psk senha clave "
    "kennwort parola"
)
_ENDINGS = re.compile("(?:pass|pwd|pw|token|tokens|creds)$")
_NOT_ENDINGS = _set("bypass compass encompass trespass overpass underpass")
_KEY_ENDING = re.compile("(.+)keys?")
_NOT_KEYS = _set(
    "p f mon don tur whis hoc joc lac smo po mic hic ric flun malar off low high latch hot soft shift ctrl control alt "
    "meta arrow enter tab escape sub super multi"
)
_ADDRESSES = _set("dsn conninfo")
_PLAIN_BEFORE_KEY = _set(
    "cache primary partition sort foreign routing public group hash index lookup dict natural row map object "
    "bucket redis idempotency dedup shard order join unique composite field config setting tag metric label "
    "message event kafka storage profile file path name item any the by parameter param option header attribute "
    "property column record entry document search ordering grouping"
)
_COUNT_WORDS = _set(
    "count counts limit limits max min total length len size ttl timeout expiry expires lifetime age "
    "seconds minutes hours days ms time rate budget usage used prompt completion input output cached reasoning per "
    "enabled required retries attempts rotation stdin"
)
_PLACE_WORDS = _set("url uri endpoint host file path dir directory sock socket location")
_HASH_WORDS = _set(
    "revision rev commit sha sha1 sha256 sha512 md5 git digest checksum hash etag integrity version build release "
    "deploy image ref trace traceparent span request id ids uuid ulid guid fingerprint"
)
_QUERY_WORDS = _set("key code sig state assertion ticket samlart")
_SPLIT = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def decode(key: str) -> str:
    """`key` with percent-encoding (up to three layers deep) and look-alike Unicode letters undone."""
    if len(key) > 2 * MAX_KEY:
        key = f"{key[:MAX_KEY]} {key[-MAX_KEY:]}"
    for _ in range(3):
        if "%" not in key:
            break
        key = unquote(key)
    return key if key.isascii() else unicodedata.normalize("NFKC", key)


def classify(key: str, extra: frozenset[str] = frozenset()) -> Kind:
    """What `key` says of its value. `extra` holds further secret words, lower-case letters and digits only."""
    key = decode(key)
    words = [word.lower() for word in _SPLIT.findall(key)]
    compact = "".join(words)
    if key in ("PWD", "OLDPWD"):  # the shell's working directory, not a password
        return Kind.PLACE
    if compact.endswith(("authorization", "cookie")):
        return Kind.HEADER
    # KEY is a setting's or variable's name; in lower case it is any mapping's.
    if key == "KEY" or any(word in compact for word in extra):
        return Kind.SECRET
    if not _is_secret(words, compact):
        return _harmless(words, compact)
    if "tokens" in words or compact == "tokens" or not _COUNT_WORDS.isdisjoint(words):
        return Kind.COUNT
    return Kind.PLACE if words[-1] in _PLACE_WORDS else Kind.SECRET


def is_secret_parameter(name: str, kind: Kind) -> bool:
    """Whether a URL's query parameter is a secret: there, short names such as `key` and `code` are ones too."""
    return kind in (Kind.SECRET, Kind.HEADER) or decode(name).lower() in _QUERY_WORDS


def _is_secret(words: list[str], compact: str) -> bool:
    if not _WORDS.isdisjoint(words) or compact in _WORDS or _PARTS.search(compact):
        return True
    named = [word for word in words if not word.isdigit()]
    if len(named) > 1 and named[-1] in ("key", "keys"):
        return named[-2] not in _PLAIN_BEFORE_KEY
    return any(_has_secret_ending(word) for word in words)


def _has_secret_ending(word: str) -> bool:
    """Whether a word that was not split ends as a secret does: `dbpass`, `rootpw`, `jwtkey`; not `monkey`."""
    if _ENDINGS.search(word):
        return word not in _NOT_ENDINGS
    found = _KEY_ENDING.fullmatch(word)
    return found is not None and found[1] not in _NOT_KEYS and found[1] not in _PLAIN_BEFORE_KEY


def _harmless(words: list[str], compact: str) -> Kind:
    if not _ADDRESSES.isdisjoint(words) or compact.endswith(("connectionstring", "dsn", "conninfo")):
        return Kind.ADDRESS
    return Kind.PLAIN if _HASH_WORDS.isdisjoint(words) else Kind.HASH
