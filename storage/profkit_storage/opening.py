"""`open_storage`: from an address to a store."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

from profkit_storage.base import ProfileStorage
from profkit_storage.errors import ConfigurationError
from profkit_storage.local import LocalStorage
from profkit_storage.memory import MemoryStorage
from profkit_storage.s3 import S3Storage

_ALLOWED = "allowed are a directory's path, file:///directory, memory://, memory://name and s3://bucket/prefix?option=value"
# One letter and a colon are a drive, not a scheme.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")
_MEMORY_NAME = re.compile(r"[A-Za-z0-9._-]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER = re.compile(r"(?<=:).*@", re.DOTALL)


def open_storage(url: str | os.PathLike[str], *, create: bool = True) -> ProfileStorage:
    """Return the store at an address.

    - a directory's path (`~` is the home), or `file:///directory`
    - `memory://name`: the same store every time within a process; `memory://`: a new one
    - `s3://bucket/prefix`, with the options of `S3Address` behind a `?`

    With `create`, a directory is made if it is missing, a bucket is not, and both are tried by writing; without, they
    must exist and need only be readable.

    Raises:
        ConfigurationError: the address is not one of these.
        StorageError: what it names is missing, or cannot be reached, read or written.
    """
    text = os.fspath(url)
    match = None if isinstance(url, os.PathLike) else _SCHEME.match(text)
    if match is None:
        return LocalStorage(_expanded(text), create=create)
    opener = _OPENERS.get(match[1].lower())
    if opener is None or not match[2]:
        raise _refused(text, f"{match[0]} is not known, and a path with a colon begins with ./ or /")
    return opener(text, text[match.end() :], create)


def _open_memory(url: str, name: str, create: bool) -> ProfileStorage:  # noqa: ARG001, FBT001 - as the others
    if not _MEMORY_NAME.fullmatch(name):
        raise _refused(url, "a name in memory holds letters, digits, '.', '_' and '-'")
    return MemoryStorage.named(name) if name else MemoryStorage()


def _open_file(url: str, rest: str, create: bool) -> ProfileStorage:  # noqa: FBT001 - as the others
    host, slash, path = rest.partition("/")
    if host not in {"", "localhost"}:
        raise _refused(url, "file:// takes no host but localhost, and a path begins with a third slash")
    if not slash:
        raise _refused(url, "file:// needs an absolute path")
    if "?" in path or "#" in path:
        raise _refused(url, "file:// takes no options; in a name, write ? as %3F and # as %23")
    if _BAD_ESCAPE.search(path):
        raise _refused(url, "% must be followed by two hex digits; in a name, write it as %25")
    return LocalStorage("/" + os.fsdecode(unquote_to_bytes(path)), create=create)


def _open_s3(url: str, rest: str, create: bool) -> ProfileStorage:  # noqa: ARG001, FBT001 - as the others
    return S3Storage(url, create=create)


def _expanded(path: str) -> str:
    if not path.strip():
        raise _refused(path, "empty")
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise _refused(path, str(error)) from None


def _refused(url: str, reason: str) -> ConfigurationError:
    # What stands before an @ may be a password, and what stands after a ? a key.
    shown = _USER.sub("***@", url).partition("?")[0]
    return ConfigurationError(f"storage address {shown!r}: {reason}; {_ALLOWED}")


_OPENERS = {"file": _open_file, "memory": _open_memory, "s3": _open_s3}
