"""The installed distributions, by the first lines of what installers write down of them."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import re
import threading
import types
from collections.abc import Mapping

MAX_DISTRIBUTIONS = 2000
_HEAD = 16_384
_FIELD = re.compile(r"^(name|version):[ \t]*([^\r\n]{1,256}?)[ \t]*$", re.IGNORECASE | re.MULTILINE)


def distributions() -> Mapping[str, str]:
    """The installed distributions' names and versions, in order; read once a process, about 0.1 ms for each.

    Not by their `name` and `version`: for each of these the whole file, with its description, is parsed as a mail.
    """
    reader = _readers[-1] if _readers else None
    if reader is not None and reader is not threading.current_thread():
        reader.join(_PATIENCE)  # what is being read is not read twice
    return _read()


def read_distributions_soon() -> None:
    """Read them in a thread, so that no answer waits for them."""
    thread = threading.Thread(target=distributions, name="profkit-debug", daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread can be started: they are read when they are asked for
        thread.start()
        _readers[:] = [thread]


_readers: list[threading.Thread] = []
_PATIENCE = 1.0


@functools.cache
def _read() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        name, version = _described(one)
        if name and len(found) < MAX_DISTRIBUTIONS:
            found.setdefault(name, version)  # the first on sys.path is the one that is imported
    return types.MappingProxyType(dict(sorted(found.items(), key=lambda item: item[0].lower())))


def _described(one: importlib.metadata.Distribution) -> tuple[str, str]:
    """A distribution's name and version, each "" if it has none."""
    try:
        text = one.read_text("METADATA") or one.read_text("PKG-INFO") or ""
    except (OSError, ValueError):  # a broken installation
        return "", ""
    fields = {name.lower(): value for name, value in reversed(_FIELD.findall(_head(text)))}
    return fields.get("name", ""), fields.get("version", "")


def _head(text: str) -> str:
    """The fields, without the description that may follow them."""
    return text[:_HEAD].replace("\r\n", "\n").partition("\n\n")[0]
