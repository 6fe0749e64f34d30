"""Secrets out of settings, tags, names and messages, before anything leaves the process.

`Masker.mask` turns any value into a JSON-able copy without secrets, `Masker.mask_text` does so for text. A value is
hidden by its key's words (`keys`), and by what it looks like (`text`, `entropy`); in doubt, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar, cast

import orjson

from profkit.masking.keys import Kind, classify
from profkit.masking.shapes import MASK, is_address, is_number, is_place
from profkit.masking.text import is_suspect, scrub
from profkit.masking.validation import invalid_parts, without_input
from profkit.masking.values import Walk
from profkit_storage.errors import ConfigurationError

__all__ = ["MASK", "MAX_TEXT", "Masker", "masker"]

MAX_TEXT = 16_384
"""Characters of one string that are shown; the rest is cut, at a space so that no half secret remains."""

MAX_ERROR = 1024
"""Characters of an exception's message that are shown."""

_MAX_JSON = 65_536
_MAX_REMEMBERED = 2048
_MAX_REMEMBERED_KEY = 128

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Masker:
    """Hides secrets. Immutable and safe to share between threads.

    `words` are further words that make a key a secret, in any spelling (`"tenant pin"`, `tenantPin`); `rules` are
    regular expressions: what one matches in any text is hidden. Raises `ConfigurationError` for a word without a
    letter or digit, and for a rule that is no regular expression or matches the empty text.
    """

    words: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    _words: frozenset[str] = field(init=False, repr=False, compare=False)
    _rules: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _kinds: dict[str, Kind] = field(init=False, repr=False, compare=False, default_factory=dict[str, Kind])
    _names: dict[str, str] = field(init=False, repr=False, compare=False, default_factory=dict[str, str])

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", _strings("words", self.words))
        object.__setattr__(self, "rules", _strings("rules", self.rules))
        object.__setattr__(self, "_words", frozenset(map(_word, self.words)))
        object.__setattr__(self, "_rules", tuple(map(_rule, self.rules)))

    def mask(self, value: object, key: str = "") -> object:
        """A JSON-able copy of `value` (as if under `key`) without secrets; bounded in depth and size.

        Never raises, and never calls the `repr` or `str` of a type it does not know: such a value becomes its type's
        name. Attributes of plain objects are not looked at.
        """
        return Walk(self.mask_text_under, self.name, self.kind).value(
            value, self.kind(key) if key else Kind.PLAIN
        )

    def mask_text(self, text: str) -> str:
        """`text` without secrets, at most `MAX_TEXT` characters; for names, messages, tags and URLs."""
        return self.mask_text_under(text, Kind.PLAIN)

    def mask_error(self, error: BaseException) -> str:
        """An exception's type and its masked message, on one line: `ValueError: no such pool`.

        Of a validation error, only where it is and of what kind: `ValidationError: port (int_parsing)`.
        """
        name = type(error).__name__
        try:
            invalid = invalid_parts(error)
            message = without_input(str(error)) if invalid is None else ""
        except Exception:  # noqa: BLE001 - the exception's own code is broken
            return name
        if invalid is None:
            message = " ".join(self.mask_text(message).split())
        else:
            message = ", ".join(f"{self.name(place)} ({self.name(kind)})".lstrip() for place, kind in invalid)
        return f"{name}: {_shorten(message)}" if message else name

    def is_secret(self, key: str) -> bool:
        """Whether a value under `key` is hidden whatever it is."""
        return self.kind(key) in (Kind.SECRET, Kind.HEADER)

    def kind(self, key: str) -> Kind:
        """What `key` says of its value; remembered, since tags come by with the same few keys."""
        found = self._kinds.get(key)
        if found is None:
            found = classify(key, self._words)
            _remember(self._kinds, key, found)
        return found

    def name(self, key: str) -> str:
        """`key` as it may be shown: keys can hold secrets too."""
        found = self._names.get(key)
        if found is None:
            found = self.mask_text_under(key, Kind.PLAIN)
            _remember(self._names, key, found)
        return found

    def mask_text_under(self, text: str, kind: Kind) -> str:
        """`text` without secrets, where its key is of `kind`."""
        if kind is not Kind.PLAIN and kind is not Kind.HASH:
            if not text:
                return ""
            shown = (
                (kind is Kind.COUNT and is_number(text))
                or (kind is Kind.PLACE and is_place(text))
                or (kind is Kind.ADDRESS and is_address(text))
            )
            if not shown:
                return MASK
        elif len(text) <= MAX_TEXT and not self._rules and not is_suspect(text):
            return text if text.isascii() else _encodable(text)
        json = self._json(text)
        if json is not None:
            return _cut(json)[0]
        text, cut = _cut(text)
        text = scrub(_encodable(text), self.kind, self._rules, hashes=kind is Kind.HASH)
        return f"{text}... ({cut} more characters)" if cut else text

    def _json(self, text: str) -> str | None:
        """The masked JSON in `text`, `None` if there is none or nothing in it is secret."""
        if text[:1] not in ("{", "[") or len(text) > _MAX_JSON:
            return None
        try:
            value: object = orjson.loads(text)
            masked = self.mask(value)
            return orjson.dumps(masked).decode() if masked != value else None
        except (ValueError, TypeError):  # not JSON: the rules for text see to it
            return None


def _remember(memory: dict[str, _Found], key: str, found: _Found) -> None:
    if len(key) <= _MAX_REMEMBERED_KEY:
        if len(memory) >= _MAX_REMEMBERED:
            memory.clear()
        memory[key] = found


def _cut(text: str) -> tuple[str, int]:
    """At most `MAX_TEXT` characters of `text`, without the word that the cut would halve, and how many are left out."""
    if len(text) <= MAX_TEXT:
        return text, 0
    head = text[:MAX_TEXT]
    place = max(head.rfind(mark) for mark in " \n\t")
    return head[: place + 1], len(text) - place - 1


def _shorten(message: str) -> str:
    """At most `MAX_ERROR` characters of a message that is masked already."""
    if len(message) <= MAX_ERROR:
        return message
    return f"{message[:MAX_ERROR].rpartition(' ')[0] or message[:MAX_ERROR]}..."


def _encodable(text: str) -> str:
    """`text` without lone surrogates (undecodable bytes in an environment variable), which no JSON can carry."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _strings(name: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, list | tuple | set | frozenset):
        raise ConfigurationError(f"{name}: {type(values).__name__} given; allowed is a tuple of strings")
    found = tuple(cast("Iterable[object]", values))
    if not all(isinstance(value, str) for value in found):
        raise ConfigurationError(f"{name}: holds something else than strings; allowed is a tuple of strings")
    return cast("tuple[str, ...]", found)


def _word(word: str) -> str:
    plain = "".join(char for char in word.lower() if char.isascii() and char.isalnum())
    if not plain:
        raise ConfigurationError(
            f"words: {word!r} holds no letter or digit; allowed is a word of a key, such as 'tenant_pin'"
        )
    return plain


def _rule(rule: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ConfigurationError(f"rules: {rule!r} is not a regular expression: {error}") from None
    if pattern.search("") is not None:
        raise ConfigurationError(
            f"rules: {rule!r} matches the empty text; allowed is one that matches a secret only"
        )
    return pattern


masker = Masker()
"""The one used where no other is given."""
