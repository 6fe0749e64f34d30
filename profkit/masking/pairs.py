"""Names beside their values in text: `key=value`, `"key": {...}`, `--key value`, `('key', 'value')`, YAML, XML.

Where a secret's value ends is guessed generously: at its closing quote or bracket; else at the next `;` or `key=`; else
at the end of the line. Every pattern takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from profkit.masking.keys import Kind
from profkit.masking.shapes import MASK, may_show

Classify = Callable[[str], Kind]

_PAIR = re.compile(r"(?<![\w%.-])([\w%.-]++(?:\[[\w'\"-]*+\])?)\\*+[\"']?\s{0,8}[=:]{1,3}>?")
_OPTION = re.compile(r"(?<![\w-])--([\w-]++)[\"']?,?\s{1,4}(?!--)")
_IS = r"\\{0,4}[\"']?\s{0,4}[:=]\s{0,4}"
_STRING = r"(?:\"(?:[^\"\\\n]|\\++.){1,1024}+\"|'(?:[^'\\\n]|\\++.){1,1024}+')"
_TUPLE = re.compile(r"\(\s*+b?\\*+[\"']([\w.%-]{1,128}+)\\*+[\"'],\s*+(?=[^\s)])")
_TWO = re.compile(
    rf"\[\s*+b?\\*+[\"']([\w.%-]{{1,128}}+)\\*+[\"'],\s*+(?=b?(?:\\++[\"']|{_STRING}(?:\s*+{_STRING}){{0,64}}+\s*+\]))"
)
_NAMED = re.compile(
    rf"(?<!\w)\w++(?:(?<=name)|(?<=key)){_IS}b?\\{{0,4}}[\"']([^\"'\n\\]{{1,128}}+)\\{{0,4}}[\"'],?\s*+"
    rf"\\{{0,4}}[\"']?(?<!\w)\w++(?:(?<=value)|(?<=val)){_IS}(?=\S)",
    re.IGNORECASE,
)
_ESCAPED = r"\\{1,8}\"(?:[^\"\n]|\"(?!\s{0,4}[,}\]])){1,1024}+\""  # JSON within a string
_VALUE_FIRST = re.compile(
    rf"(?<!\w)(\w++(?:(?<=value)|(?<=val)){_IS})b?(?:{_STRING}(?:\s*+{_STRING}){{0,64}}+|{_ESCAPED})"
    rf"(,?\s*+\\{{0,8}}[\"']?(?<!\w)\w++(?:(?<=name)|(?<=key)){_IS}b?\\{{0,8}}[\"']([^\"'\n]{{1,128}}+)[\"'])",
    re.IGNORECASE,
)
_TAG = re.compile(r"<([\w.:-]++)(?:\s[^<>]{0,200})?>([^<>]++)(?=<)")
_CDATA = re.compile(r"<([\w.:-]++)(?:\s[^<>]{0,200})?>\s{0,8}(<!\[CDATA\[.*?(?:\]\]>|\Z))", re.DOTALL)

_NEXT = r"\s{0,4}[\"']?[\w.%-]++[\"']?\s{0,4}[=:]"
_FIRST = re.compile(
    rf"""\s{{0,8}}(?P<value>(?P<quoted>[bru]{{0,2}}\\*+"(?:[^"\\]|\\++.|"")*+"?|[bru]{{0,2}}\\*+'(?:[^'\\]|\\++.|'')*+'?)
    |(?P<bracket>\$?[\[({{])
    |(?:[^\s&;,"']|[&;,](?!{_NEXT})(?=\S)|["'](?=\w))*+)""",
    re.DOTALL | re.VERBOSE,
)
_ADJOINED = re.compile(r"(?=\w)[^\s&;,\"'\])}]++")
_CONTINUED = re.compile(  # as a long string is printed: over several lines
    r"(?:[ \t]*+\n[ \t]++[bru]{0,2}(?:\"(?:[^\"\\]|\\++.)*+\"|'(?:[^'\\]|\\++.)*+')(?!\s{0,4}:))++", re.DOTALL
)
_REST = re.compile(rf"(?:[ \t]++(?![\w.%-]++\s{{0,4}}=)|[&,](?!{_NEXT})|[^\s&;,\"']|[\"'](?=\w))*+")
_LINE = re.compile(
    r"\s{0,8}(?P<value>\\*+\"(?:[^\"\\\r\n]|\\++[^\r\n])*+\"?|'(?:[^'\\\r\n]|\\++[^\r\n])*+'?|[^\r\n\"']*+)"
)
_PLACEHOLDER = re.compile(r"(?:\?|%s|%\(\w{1,64}\)s|:\w{1,64}|\$\d{1,4})[,)]?")
_INNER = re.compile(r"[()\[\]{}]|\"(?:[^\"\\]|\\++.)*+\"?|(?<!\w)'(?:[^'\\]|\\++.)*+'?", re.DOTALL)
_PARTNERS = {")": "(", "]": "[", "}": "{"}
_NEWLINE = re.compile(r"[ \t]*+(?:[|>][+\d-]{0,2})?[ \t]*+(?:#[^\r\n]*+)?\r?\n")
_INDENT = re.compile(r"[ \t]*+")
_SPACE = re.compile(r"\s*+")


def mask_pairs(text: str, classify: Classify) -> str:
    """`text` with the values masked whose names say so."""
    if "=" in text or ":" in text:
        text = _mask(_PAIR, text, classify)
    if "'" in text or '"' in text:
        for pattern in (_TUPLE, _TWO, _NAMED):
            text = _mask(pattern, text, classify)
        text = _VALUE_FIRST.sub(lambda found: _value_first(found, classify), text)
    if "</" in text:
        text = _CDATA.sub(lambda tag: _element(tag, classify), text)
        text = _TAG.sub(lambda tag: _element(tag, classify), text)
    return _mask(_OPTION, text, classify) if "--" in text else text


def _mask(pattern: re.Pattern[str], text: str, classify: Classify) -> str:
    kept: list[str] = []
    done = 0
    for found in pattern.finditer(text):
        if found.start() < done:
            continue
        kind = classify(found[1])
        if kind is Kind.PLAIN or kind is Kind.HASH:
            continue
        span = _span(text, found, kind, to_the_end=pattern is _PAIR)
        if span is not None:
            kept.append(text[done : span[0]] + MASK)
            done = span[1]
    return "".join([*kept, text[done:]]) if kept else text


def _span(text: str, name: re.Match[str], kind: Kind, *, to_the_end: bool) -> tuple[int, int] | None:
    """Where the value after `name` starts and ends; `None` if it may be shown, or is not there."""
    if kind is Kind.HEADER:
        line = _LINE.match(text, name.end())
        return line.span("value") if line and line["value"] and not may_show(kind, line["value"]) else None
    if kind in (Kind.SECRET, Kind.COUNT) and (newline := _NEWLINE.match(text, name.end())):
        start, end = _SPACE.match(text, name.end()).end(), _block_end(text, name.start(), newline.end())  # type: ignore[union-attr]  # it matches anything
        if end > newline.end():
            return None if may_show(kind, text[start:end]) else (start, end)
    value = _FIRST.match(text, name.end())
    if value is None or not value["value"] or may_show(kind, value["value"]):
        return None
    start, end = value.span("value")
    if value["bracket"]:
        end = _closing(text, end - 1)
    if value["bracket"] or value["quoted"]:
        adjoined = _ADJOINED.match(text, end) or _CONTINUED.match(text, end)
        return start, adjoined.end() if adjoined else end
    if to_the_end and "\n" not in text[name.end() : start] and _may_hold_spaces(text, name, value["value"]):
        end = _REST.match(text, end).end()  # type: ignore[union-attr]  # it matches anything
    return start, end


def _may_hold_spaces(text: str, name: re.Match[str], value: str) -> bool:
    """Not so in a command's option, in a URL's query, and where SQL has a placeholder."""
    option = name[1].startswith("-") or text[max(0, name.start() - 1) : name.start()] in ("?", "&")
    return not option and _PLACEHOLDER.fullmatch(value) is None


def _closing(text: str, at: int) -> int:
    """Behind the bracket that closes the one at `at`, brackets within quotes aside; or the end of the text."""
    open_: list[str] = []
    for found in _INNER.finditer(text, at):
        mark = found[0]
        if mark in "([{":
            open_.append(mark)
        elif open_[-1] == _PARTNERS.get(mark):
            open_.pop()
            if not open_:
                return found.end()
    return len(text)


def _block_end(text: str, name_at: int, at: int) -> int:
    """Behind the lines from `at` on that belong to the name: those deeper than its line, and a list's items."""
    depth = _depth(text, text.rfind("\n", 0, name_at) + 1)
    end = at
    while at < len(text):
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        deep = _depth(text, at)
        if text[at + deep : stop].strip():
            if deep < depth or (deep == depth and not text.startswith("- ", at + deep)):
                break
            end = stop
        at = stop + 1
    return end


def _depth(text: str, at: int) -> int:
    found = _INDENT.match(text, at)
    return found.end() - at if found else 0


def _value_first(found: re.Match[str], classify: Classify) -> str:
    hidden = classify(found[3]) not in (Kind.PLAIN, Kind.HASH)
    return f"{found[1]}{MASK}{found[2]}" if hidden else found[0]


def _element(tag: re.Match[str], classify: Classify) -> str:
    kind = classify(tag[1])
    if kind is Kind.PLAIN or kind is Kind.HASH or may_show(kind, tag[2]):
        return tag[0]
    return f"<{tag[1]}>{MASK}"
