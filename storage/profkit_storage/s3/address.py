"""`S3Address`: `s3://bucket/prefix?option=value&...`, checked and without a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from profkit_storage.errors import ConfigurationError

SSE = ("AES256", "aws:kms")
ADDRESSING = ("auto", "path", "virtual")
STORAGE_CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "REDUCED_REDUNDANCY",
)
"""Those from which an object can be read at once."""

MAX_PREFIX = 512
"""Bytes: S3's keys have up to 1,024, and ours about 370 below the prefix."""

_BUCKET = re.compile(r"(?!.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LIKE_A_BUCKET = re.compile(r"[A-Za-z0-9._-]{0,80}")
_DIRECTORY_BUCKET = "--x-s3"
_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_KMS_KEY = re.compile(r"[A-Za-z0-9:/_-]{1,256}")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME = re.compile(r"[a-z_]{1,32}")
_MAX_PROFILE = 128
_HIDDEN = "s3://***"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Address:
    """Where in S3, and how it is kept there. An empty option is not given: boto3's own configuration says.

    `sse` is `AES256`, `aws:kms` (with the bucket's key) or `aws:kms:KEY`. Credentials are found by boto3, never here.

    Raises:
        ConfigurationError: a part is not allowed; says what is, and shows no value that may be a secret.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    profile: str = ""
    sse: str = ""
    storage_class: str = ""
    addressing: str = ""

    def __post_init__(self) -> None:
        shown = f"s3://{self.bucket}" if _BUCKET.fullmatch(self.bucket) else _HIDDEN
        for name, allowed in self._wrong():
            raise _refused(shown, f"{name} must be {allowed}")
        if self.bucket.endswith(_DIRECTORY_BUCKET):
            raise _refused(
                shown, "a directory bucket lists its keys in no order; name a general purpose bucket"
            )

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address that a URL says.

        Raises:
            ConfigurationError: as above, or it holds credentials or an option that is not known.
        """
        rest, _, query = url.partition("://")[2].partition("?")
        bucket, _, prefix = rest.partition("/")
        if "@" in url:  # in an endpoint's URL too
            raise _refused(_HIDDEN, "credentials do not belong in an address: boto3 finds them by itself")
        if not _BUCKET.fullmatch(bucket):
            # What has other characters in it may be a key and its secret.
            shown = f"s3://{bucket}" if _LIKE_A_BUCKET.fullmatch(bucket) else _HIDDEN
            raise _refused(shown, f"bucket must be {_BUCKET_ALLOWED}")
        shown = f"s3://{bucket}"
        if "#" in url:
            raise _refused(shown, "takes no fragment; in a prefix, write # as %23")
        return cls(bucket=bucket, prefix=_unquoted(shown, prefix.strip("/")), **_options(shown, query))

    @property
    def url(self) -> str:
        """The address, as `parse` takes it."""
        given = [(name, getattr(self, name)) for name in OPTIONS if getattr(self, name)]
        query = "&".join(f"{name}={quote(value, safe=':/')}" for name, value in given)
        path = f"/{quote(self.prefix)}" if self.prefix else ""
        return f"s3://{self.bucket}{path}{'?' if query else ''}{query}"

    @property
    def root(self) -> str:
        """What every key in the bucket begins with."""
        return f"{self.prefix}/" if self.prefix else ""

    @property
    def kms_key(self) -> str:
        """The key to encrypt with; empty for the bucket's own, and where there is none."""
        return self.sse.removeprefix("aws:kms").removeprefix(":") if self.sse.startswith("aws:kms") else ""

    def _wrong(self) -> list[tuple[str, str]]:
        """Return what is not allowed: its name, and what is."""
        checks = [
            (_BUCKET.fullmatch(self.bucket) is not None, "bucket", _BUCKET_ALLOWED),
            (_is_prefix(self.prefix), "prefix", _PREFIX_ALLOWED),
            (not self.endpoint_url or is_endpoint(self.endpoint_url), "endpoint_url", _ENDPOINT_ALLOWED),
            (not self.region or _REGION.fullmatch(self.region) is not None, "region", _REGION_ALLOWED),
            (_is_line(self.profile), "profile", "the name of a profile in the AWS configuration"),
            (not self.sse or _is_sse(self.sse), "sse", "AES256, aws:kms or aws:kms:KEY"),
            (self.storage_class in {"", *STORAGE_CLASSES}, "storage_class", f"one of {', '.join(STORAGE_CLASSES)}"),
            (self.addressing in {"", *ADDRESSING}, "addressing", f"one of {', '.join(ADDRESSING)}"),
        ]  # fmt: skip
        return [(name, allowed) for fine, name, allowed in checks if not fine]


OPTIONS = tuple(field.name for field in fields(S3Address) if field.name not in {"bucket", "prefix"})
"""The names of options, in the order in which an address has them."""

_BUCKET_ALLOWED = (
    "3 to 63 of a-z, 0-9, '.' and '-', beginning and ending with a letter or digit, and no IP address"
)
_PREFIX_ALLOWED = (
    f"at most {MAX_PREFIX} bytes of printable characters, "
    "with no empty part between slashes and none that is '.' or '..'"
)
_ENDPOINT_ALLOWED = (
    "http:// or https:// and a host, perhaps a port and a path, without user, query or fragment"
)
_REGION_ALLOWED = "letters, digits and '-', as in eu-central-1"


def is_endpoint(url: str) -> bool:
    """Tell whether this is a URL to send requests to, without a secret in it."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and not set(url) & set(' ?#@"<>\\')
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0


def _is_prefix(prefix: str) -> bool:
    if not prefix:
        return True
    try:
        size = len(prefix.encode())
    except UnicodeEncodeError:
        return False
    parts = prefix.split("/")
    return size <= MAX_PREFIX and prefix.isprintable() and not {"", ".", ".."} & set(parts)


def _is_line(name: str) -> bool:
    return len(name) <= _MAX_PROFILE and name.isprintable()


def _is_sse(sse: str) -> bool:
    return sse in SSE or (sse.startswith("aws:kms:") and _KMS_KEY.fullmatch(sse[8:]) is not None)


def _options(shown: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else []:
        name, equals, value = part.partition("=")
        if name not in OPTIONS or not equals:
            named = (
                f"option {name} is not known"
                if equals and _NAME.fullmatch(name)
                else "an option is NAME=VALUE"
            )
            raise _refused(shown, f"{named}; options are {', '.join(OPTIONS)}")
        if name in options:
            raise _refused(shown, f"option {name} is given twice")
        options[name] = _unquoted(shown, value)
    return options


def _unquoted(shown: str, text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise _refused(shown, "% must be followed by two hex digits; in a name, write it as %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _refused(shown, "what is escaped with % must be UTF-8") from None


def _refused(shown: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"storage address {shown!r}: {reason}")
