"""Reads categories.toml, and files in its form, into checked rules."""

from __future__ import annotations

import enum
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from profkit_storage.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_FUNCTION = re.compile(rf"{_DOTTED.pattern}:{_DOTTED.pattern}\*?")
_METHOD = re.compile(r"\w+\*?")
_WORD = re.compile(r"\*?[a-z][a-z0-9]*\*?")
_CATEGORY_KEYS = frozenset({"kind", "parent", "budget_ms", "remote", "packages", "stdlib", "functions"})
_CALL_KEYS = frozenset({"category", "owner", "generic", "unresolved", "methods", "receivers"})


class Kind(enum.StrEnum):
    """Whether a frame owns the time below it, or hands it on to the nearest owner above."""

    OWNER = "owner"
    TRANSPORT = "transport"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Category:
    """A category. `reported` is the one it is counted under; `budget` is seconds an operation of it may take.

    Transport inside an operation of a `remote` category belongs to that category.
    """

    name: str
    reported: str
    kind: Kind = Kind.OWNER
    budget: float | None = None
    remote: bool = False

    @property
    def subcategory(self) -> str:
        """Its own name where it is reported under another, else ""."""
        return "" if self.name == self.reported else self.name


@dataclass(frozen=True, slots=True)
class CallRule:
    """C functions known by the text of their call only; an `unresolved` rule is for methods of unknown modules."""

    category: str
    owner: str
    methods: tuple[str, ...]
    receivers: frozenset[str]
    generic: bool = False
    unresolved: bool = False

    def receiver(self, words: Collection[str]) -> str | None:
        """Return the first of the words that this rule means, "" if it means any; None if there is none."""
        if not self.receivers:
            return ""
        return min(
            (word for word in words if any(_is_meant(word, form) for form in self.receivers)), default=None
        )


def _is_meant(word: str, form: str) -> bool:
    if form.startswith("*"):
        return form.strip("*") in word if form.endswith("*") else word.endswith(form[1:])
    return word.startswith(form[:-1]) if form.endswith("*") else word == form


@dataclass(frozen=True, slots=True)
class Rules:
    """The words of one file: prefixes and functions to the names of their categories."""

    categories: dict[str, Category]
    packages: dict[str, str]
    stdlib: dict[str, str]
    functions: dict[str, dict[str, str]]
    distributions: dict[str, frozenset[str]]
    owners: dict[str, str]
    calls: tuple[CallRule, ...]

    def over(self, base: Rules) -> Rules:
        """Return `base` with these rules laid over it."""
        functions = {module: dict(names) for module, names in base.functions.items()}
        for module, names in self.functions.items():
            functions.setdefault(module, {}).update(names)
        return Rules(
            base.categories | self.categories,
            base.packages | self.packages,
            base.stdlib | self.stdlib,
            functions,
            base.distributions | self.distributions,
            base.owners | self.owners,
            (*self.calls, *base.calls),
        )


def normalised(distribution: str) -> str:
    """Return a distribution's name as indexes compare it: lower case, one hyphen for runs of `-_.`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def parse_rules(text: str, source: str, base: Rules | None = None) -> Rules:
    """Return the rules in `text`, laid over `base` if given; `source` names the file in errors.

    Raises:
        ConfigurationError: not TOML, or not in the form categories.toml tells.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{source}: not valid TOML: {error}") from error
    top = _Section(source, "", document)
    top.allow({"schema", "categories", "distributions", "owners", "calls"})
    if document.get("schema") != 1:
        raise top.wrong("schema", document.get("schema"), "must be 1")
    rules = _rules(top)
    _check_references(source, rules if base is None else rules.over(base), rules)
    return rules if base is None else rules.over(base)


class _Section:
    """One table of the file, which names itself in errors."""

    def __init__(self, source: str, path: str, values: Mapping[str, object]) -> None:
        self.source = source
        self.path = path
        self.values = values

    def wrong(self, key: str, value: object, allowed: str) -> ConfigurationError:
        place = f"{self.path}.{key}" if self.path else key
        return ConfigurationError(f"{self.source}: {place}: {value!r}: {allowed}")

    def allow(self, keys: Collection[str]) -> None:
        for key in self.values:
            if key not in keys:
                raise self.wrong(key, self.values[key], f"not known; allowed are {', '.join(sorted(keys))}")

    def section(self, key: str) -> _Section:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, "must be a table")
        path = f"{self.path}.{key}" if self.path else key
        return _Section(self.source, path, cast("dict[str, object]", value))

    def sections(self, key: str) -> Iterator[_Section]:
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, value, "must be an array of tables")
        for number, item in enumerate(cast("list[object]", value), start=1):
            if not isinstance(item, dict):
                raise self.wrong(key, item, "must be an array of tables")
            yield _Section(self.source, f"{key}[{number}]", cast("dict[str, object]", item))

    def string(self, key: str, default: str = "") -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or (key in self.values and not value.strip()):
            raise self.wrong(key, value, "must be a word")
        return value

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "must be true or false")
        return value

    def seconds(self, key: str) -> float | None:
        """Return a number of milliseconds as seconds."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise self.wrong(key, value, "must be milliseconds above 0")
        return value / 1000

    def strings(self, key: str, form: re.Pattern[str], allowed: str) -> tuple[str, ...]:
        """Return a list of words that each have the `form`, none of them twice."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, value, "must be a list")
        words: list[str] = []
        for item in cast("list[object]", value):
            if not isinstance(item, str) or not form.fullmatch(item):
                raise self.wrong(key, item, allowed)
            if item in words:
                raise self.wrong(key, item, "is there twice")
            words.append(item)
        return tuple(words)


def _rules(top: _Section) -> Rules:
    categories: dict[str, Category] = {}
    packages: dict[str, str] = {}
    stdlib: dict[str, str] = {}
    functions: dict[str, dict[str, str]] = {}
    for name in top.section("categories").values:
        section = top.section("categories").section(name)
        categories[name] = _category(name, section)
        _collect(section, "packages", name, packages)
        _collect(section, "stdlib", name, stdlib)
        for function in section.strings("functions", _FUNCTION, "must be module:qualname"):
            module, _, qualname = function.partition(":")
            functions.setdefault(module, {})[qualname] = name
    sources = top.section("distributions")
    owners = top.section("owners")
    return Rules(
        categories,
        packages,
        stdlib,
        functions,
        {prefix: _distributions(sources, prefix) for prefix in sources.values},
        {prefix: owners.string(prefix) for prefix in owners.values},
        tuple(_call(section) for section in top.sections("calls")),
    )


def _category(name: str, section: _Section) -> Category:
    section.allow(_CATEGORY_KEYS)
    if not _NAME.fullmatch(name):
        raise section.wrong("name", name, "must be lower-case letters, digits and _, a letter first")
    kind = section.string("kind", Kind.OWNER)
    if kind not in list(Kind):
        raise section.wrong("kind", kind, f"must be one of {', '.join(Kind)}")
    parent = section.string("parent", name)
    return Category(name, parent, Kind(kind), section.seconds("budget_ms"), section.flag("remote"))


def _collect(section: _Section, key: str, category: str, into: dict[str, str]) -> None:
    for prefix in section.strings(key, _DOTTED, "must be a dotted module name"):
        if prefix in into:
            raise section.wrong(key, prefix, f"is in category {into[prefix]!r} already")
        into[prefix] = category


def _distributions(section: _Section, prefix: str) -> frozenset[str]:
    names = section.strings(prefix, re.compile(r"[A-Za-z0-9._-]+"), "must be a distribution's name")
    return frozenset(map(normalised, names))


def _call(section: _Section) -> CallRule:
    section.allow(_CALL_KEYS)
    rule = CallRule(
        section.string("category"),
        section.string("owner"),
        section.strings("methods", _METHOD, "must be a name, a trailing * allowed"),
        frozenset(
            section.strings("receivers", _WORD, "must be lower-case letters and digits, * at an end allowed")
        ),
        section.flag("generic"),
        section.flag("unresolved"),
    )
    if not rule.methods or not rule.owner:
        raise section.wrong("methods" if rule.owner else "owner", "", "must be given")
    if rule.owner == "*" and not rule.receivers:
        raise section.wrong("owner", "*", "needs receivers")
    if rule.owner == "*" and any("*" in form for form in rule.receivers):
        raise section.wrong("owner", "*", "needs receivers that are whole words")
    return rule


def _check_references(source: str, merged: Rules, added: Rules) -> None:
    for category in added.categories.values():
        if not category.subcategory:
            continue
        parent = merged.categories.get(category.reported)
        if parent is None or parent.subcategory or parent.kind is not Kind.OWNER:
            place = f"categories.{category.name}.parent"
            raise ConfigurationError(
                f"{source}: {place}: {category.reported!r}: must be a category of its own"
            )
    for number, rule in enumerate(added.calls, start=1):
        if rule.category not in merged.categories:
            place = f"calls[{number}].category"
            raise ConfigurationError(f"{source}: {place}: {rule.category!r}: is not a category")
