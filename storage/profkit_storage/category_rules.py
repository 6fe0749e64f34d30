"""Reads categories.toml, and files in its form, into checked rules."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from profkit_storage.errors import ConfigurationError
from profkit_storage.sections import Section, parse_toml

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


class Entry(NamedTuple):
    """The category that a word of a file stands for, and the file it is in."""

    category: str
    source: str


@dataclass(frozen=True, slots=True)
class CallRule:
    """C functions known by the text of their call only; an `unresolved` rule is for methods of unknown modules.

    `place` is where it is in the file `source`, as errors name it.
    """

    category: str
    owner: str
    methods: tuple[str, ...]
    receivers: frozenset[str]
    generic: bool = False
    unresolved: bool = False
    place: str = ""
    source: str = ""

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
    """The words of one file, or of several laid over each other: prefixes and functions to their categories."""

    categories: Mapping[str, Category]
    packages: Mapping[str, Entry]
    stdlib: Mapping[str, Entry]
    functions: Mapping[str, Mapping[str, Entry]]
    distributions: Mapping[str, frozenset[str]]
    owners: Mapping[str, str]
    calls: tuple[CallRule, ...]

    def over(self, base: Rules) -> Rules:
        """Return `base` with these rules laid over it; of functions and calls, these are tried first."""
        modules = base.functions.keys() | self.functions.keys()
        return Rules(
            {**base.categories, **self.categories},
            {**base.packages, **self.packages},
            {**base.stdlib, **self.stdlib},
            {
                module: _before(self.functions.get(module, {}), base.functions.get(module, {}))
                for module in modules
            },
            {**base.distributions, **self.distributions},
            {**base.owners, **self.owners},
            (*self.calls, *base.calls),
        )

    @property
    def identity(self) -> str:
        """What they have in common with the same rules only, in any process: the order of sets does not matter.

        That of functions and calls does: the first that fits is taken.
        """
        functions = [(module, list(names.items())) for module, names in sorted(self.functions.items())]
        distributions = [(prefix, sorted(names)) for prefix, names in sorted(self.distributions.items())]
        calls = [(sorted(rule.receivers), replace(rule, receivers=frozenset())) for rule in self.calls]
        by_name = (self.categories, self.packages, self.stdlib, self.owners)
        return repr(([sorted(words.items()) for words in by_name], functions, distributions, calls))


NO_RULES = Rules({}, {}, {}, {}, {}, {}, ())


def _before(first: Mapping[str, Entry], then: Mapping[str, Entry]) -> dict[str, Entry]:
    return {**first, **{name: entry for name, entry in then.items() if name not in first}}


def normalised(distribution: str) -> str:
    """Return a distribution's name as indexes compare it: lower case, one hyphen for runs of `-_.`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def parse_rules(text: str, source: str, base: Rules = NO_RULES) -> Rules:
    """Return the rules in `text`, laid over `base`; `source` names the file, in errors and in explanations.

    What it does not say of a category that `base` has stays as it is there.

    Raises:
        ConfigurationError: not TOML, or not in the form categories.toml tells.
    """
    top = parse_toml(text, source)
    top.allow({"schema", "categories", "distributions", "owners", "calls"})
    top.check_schema(1)
    added = _rules(top, base)
    merged = added.over(base)
    _check_parents(source, merged, added)
    _check_words(top, merged, added)
    return merged


def _rules(top: Section, base: Rules) -> Rules:
    categories: dict[str, Category] = {}
    packages: dict[str, Entry] = {}
    stdlib: dict[str, Entry] = {}
    functions: dict[str, dict[str, Entry]] = {}
    for name in top.section("categories").values:
        section = top.section("categories").section(name)
        categories[name] = _category(name, section, base.categories.get(name))
        _collect(section, "packages", name, packages, base.stdlib)
        _collect(section, "stdlib", name, stdlib, base.packages)
        _functions(section, name, functions)
    sources = top.section("distributions")
    owners = top.section("owners")
    return Rules(
        categories,
        packages,
        stdlib,
        functions,
        {prefix: _distributions(sources, prefix) for prefix in sources.values},
        {word: owners.string(word) for word in owners.values},
        tuple(_call(section) for section in top.sections("calls")),
    )


def _category(name: str, section: Section, known: Category | None) -> Category:
    section.allow(_CATEGORY_KEYS)
    if not _NAME.fullmatch(name):
        raise section.wrong("name", name, "must be lower-case letters, digits and _, a letter first")
    known = known or Category(name, name)
    kind = section.string("kind", known.kind)
    if kind not in list(Kind):
        raise section.wrong("kind", kind, f"must be one of {', '.join(Kind)}")
    return replace(
        known,
        reported=section.string("parent", known.reported),
        kind=Kind(kind),
        budget=section.seconds("budget_ms", known.budget),
        remote=section.flag("remote", default=known.remote),
    )


def _collect(
    section: Section, key: str, category: str, into: dict[str, Entry], elsewhere: Mapping[str, Entry]
) -> None:
    """Add the prefixes of a list; `elsewhere` are those that are known to be of the other kind."""
    for prefix in section.strings(key, _DOTTED, "must be a dotted module name"):
        if prefix in into:
            raise section.wrong(key, prefix, f"is in category {into[prefix].category!r} already")
        if prefix in elsewhere:
            other = "packages" if key == "stdlib" else "stdlib"
            raise section.wrong(
                key, prefix, f"must be in the list {other!r}, as in {elsewhere[prefix].source}"
            )
        into[prefix] = Entry(category, section.source)


def _functions(section: Section, category: str, into: dict[str, dict[str, Entry]]) -> None:
    for function in section.strings("functions", _FUNCTION, "must be module:qualname"):
        module, _, qualname = function.partition(":")
        names = into.setdefault(module, {})
        if qualname in names:
            taken = names[qualname].category
            raise section.wrong("functions", function, f"is in category {taken!r} already")
        names[qualname] = Entry(category, section.source)


def _distributions(section: Section, prefix: str) -> frozenset[str]:
    names = section.strings(prefix, re.compile(r"[A-Za-z0-9._-]+"), "must be a distribution's name")
    return frozenset(map(normalised, names))


def _call(section: Section) -> CallRule:
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
        section.path,
        section.source,
    )
    if not rule.methods or not rule.owner:
        raise section.wrong("methods" if rule.owner else "owner", "", "must be given")
    if rule.owner == "*" and not rule.receivers:
        raise section.wrong("owner", "*", "needs receivers")
    if rule.owner == "*" and any("*" in form for form in rule.receivers):
        raise section.wrong("owner", "*", "needs receivers that are whole words")
    return rule


def _check_parents(source: str, merged: Rules, added: Rules) -> None:
    """Refuse a parent that is none; laying a file over another can also take its parent from a category."""
    for category in merged.categories.values():
        parent = merged.categories.get(category.reported)
        if not category.subcategory or (parent and not parent.subcategory and parent.kind is Kind.OWNER):
            continue
        at, value, allowed = f"{category.name}.parent", category.reported, "must be a category of its own"
        if parent is not None and category.name not in added.categories:
            allowed += f", since {category.name!r} is reported under it"
            at, value = f"{parent.name}.parent", parent.reported
            if not parent.subcategory:
                at, value = f"{parent.name}.kind", str(parent.kind)
                allowed = f"must be 'owner', since {category.name!r} is reported under it"
        raise ConfigurationError(f"{source}: categories.{at}: {value!r}: {allowed}")


def _check_words(top: Section, merged: Rules, added: Rules) -> None:
    """Refuse words about nothing: most likely they are misspelt."""
    for number, rule in enumerate(added.calls, start=1):
        if rule.category not in merged.categories:
            allowed = f"is not a category; there are {', '.join(sorted(merged.categories))}"
            raise top.wrong(f"calls[{number}].category", rule.category, allowed)
    for prefix in added.distributions:
        if prefix not in merged.packages:
            raise top.wrong("distributions", prefix, "must be a prefix in the packages of a category")
    functions = {f"{module}:{name}" for module, names in merged.functions.items() for name in names}
    for word in added.owners:
        if word not in merged.packages and word not in merged.stdlib and word not in functions:
            raise top.wrong("owners", word, "must be a prefix or a function of a category")
