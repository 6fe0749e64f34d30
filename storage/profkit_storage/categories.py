"""The shared vocabulary: which module, function or call belongs to which category. The words are in categories.toml."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from profkit_storage.category_rules import CallRule, Category, Entry, Kind, Rules, normalised, parse_rules
from profkit_storage.profile import Frame, Origin
from profkit_storage.sections import read_text

__all__ = ["Category", "CategoryTable", "Kind", "Match", "Word", "default_categories", "load_categories"]

_MAX_CACHED_FRAMES = 100_000
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ARGUMENTS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")


class Word(NamedTuple):
    """The word of a rules file that a frame fits: `place` is where it is in the file `source`, as errors name it.

    `distribution` is the frame's own, where the word holds for some distributions only; else "".
    """

    place: str
    text: str
    source: str
    distribution: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """What a frame belongs to, and by which word.

    A `generic` owner gives way to a library of the same category that called it.
    """

    category: Category
    owner: str
    word: Word
    generic: bool = False


class CategoryTable:
    """Answers which category a frame belongs to. Safe to use from several threads."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._known: dict[Frame, Match | None] = {}

    @property
    def categories(self) -> dict[str, Category]:
        """Every category that is defined, by name."""
        return dict(self._rules.categories)

    @property
    def identity(self) -> str:
        """A digest of its rules: the same in any process, and another for rules that differ."""
        return blake2b(self._rules.identity.encode(), digest_size=16).hexdigest()

    def category(self, name: str) -> Category:
        """Return the category an operation names; any word is one, "" is `application`."""
        found = self._rules.categories.get(name or "application")
        return found if found is not None and found.kind is Kind.OWNER else Category(name, name)

    def match(self, frame: Frame) -> Match | None:
        """Return what `frame` belongs to; None for application code and for what no rule names."""
        if frame.origin is Origin.APPLICATION or frame.origin is Origin.SYNTHETIC:
            return None
        try:
            return self._known[frame]
        except KeyError:
            if len(self._known) >= _MAX_CACHED_FRAMES:
                self._known.clear()
            found = self._known[frame] = self._find(frame)
            return found

    def _find(self, frame: Frame) -> Match | None:
        found = self._by_function(frame) or self._by_module(frame)
        if found is None and frame.origin is Origin.NATIVE:
            found = self._by_call(frame)
        return found

    def _by_function(self, frame: Frame) -> Match | None:
        for pattern, entry in self._rules.functions.get(frame.module, {}).items():
            native = frame.origin is Origin.NATIVE
            wanted = pattern.rpartition(".")[2] if native else pattern
            name = frame.qualname.rpartition(".")[2] if native else frame.qualname
            if _fits(name, wanted):
                text = f"{frame.module}:{pattern}"
                owner = self._rules.owners.get(text, f"{frame.module}.{pattern.rstrip('*')}")
                return self._match(entry, owner, "functions", text)
        return None

    def _by_module(self, frame: Frame) -> Match | None:
        rules = self._rules
        for prefix in _prefixes(frame.module):
            owner = rules.owners.get(prefix, prefix)
            wanted = rules.distributions.get(prefix)
            entry = rules.packages.get(prefix)
            if entry and frame.origin is not Origin.STDLIB and _confirmed(wanted, frame):
                return self._match(entry, owner, "packages", prefix, frame.distribution if wanted else "")
            entry = rules.stdlib.get(prefix)
            if entry and frame.origin is not Origin.SITE_PACKAGES:
                return self._match(entry, owner, "stdlib", prefix)
        return None

    def _by_call(self, frame: Frame) -> Match | None:
        *receivers, method = _ARGUMENTS.sub("", frame.qualname).split(".")
        words = {word.lower() for part in receivers for word in (part.strip("_"), *_WORDS.findall(part))}
        for rule in self._rules.calls:
            fitting = next((pattern for pattern in rule.methods if _fits(method, pattern)), None)
            if fitting is None:
                continue
            unknown = frame.module in ("", "builtins")
            if rule.unresolved and not (unknown and receivers):
                continue
            meant = rule.receiver(words)
            if meant is None:
                continue
            return self._called(rule, fitting, meant, "" if unknown else frame.module)
        return None

    def _called(self, rule: CallRule, method: str, receiver: str, module: str) -> Match:
        owner = receiver if rule.owner == "*" else rule.owner
        if rule.generic and module:
            owner = module
        word = Word(rule.place, f"{receiver}.{method}" if receiver else method, rule.source)
        return Match(self._rules.categories[rule.category], owner, word, rule.generic)

    def _match(self, entry: Entry, owner: str, kind: str, text: str, distribution: str = "") -> Match:
        word = Word(f"categories.{entry.category}.{kind}", text, entry.source, distribution)
        return Match(self._rules.categories[entry.category], owner, word)


@lru_cache(maxsize=1)
def default_categories() -> CategoryTable:
    """Return the table that comes with profkit."""
    return CategoryTable(_built_in())


def load_categories(path: str | Path) -> CategoryTable:
    """Return profkit's table with the rules file at `path`, in the form of categories.toml, laid over it.

    Raises:
        ConfigurationError: the file cannot be read or is not in that form; names the place and the value.
    """
    return CategoryTable(parse_rules(read_text(path, "rules"), str(path), _built_in()))


@lru_cache(maxsize=1)
def _built_in() -> Rules:
    source = importlib.resources.files("profkit_storage").joinpath("categories.toml")
    return parse_rules(source.read_text(encoding="utf-8"), "categories.toml")


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _prefixes(module: str) -> Iterator[str]:
    """Yield the module's name and those of the packages it is in, longest first."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def _confirmed(distributions: frozenset[str] | None, frame: Frame) -> bool:
    return not distributions or normalised(frame.distribution) in distributions
