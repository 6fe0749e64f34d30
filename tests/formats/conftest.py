"""Fixtures for the formats: every renderer of pyinstrument at once, and a reader of pprof."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page
from pyinstrument.renderers import (
    ConsoleRenderer,
    HTMLRenderer,
    JSONRenderer,
    PstatsRenderer,
    SpeedscopeRenderer,
)
from pyinstrument.session import Session

RENDERERS = {
    "console": ConsoleRenderer,
    "html": HTMLRenderer,
    "json": JSONRenderer,
    "speedscope": SpeedscopeRenderer,
    "pstats": PstatsRenderer,
}


def outputs(session: Session) -> dict[str, str]:
    """Return what each of pyinstrument's renderers makes of `session`, by name."""
    return {name: renderer().render(session) for name, renderer in RENDERERS.items()}


@pytest.fixture(scope="session")
def render_all() -> Callable[[Session], dict[str, str]]:
    return outputs


class Function(NamedTuple):
    """One entry of a pprof stack."""

    name: str
    system_name: str
    filename: str
    start_line: int
    line: int
    mapping: str


# Reads pprof files without protobuf: the wire format by hand, so that it shares nothing with what wrote them.
Fields = dict[int, list["int | bytes"]]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data: bytes) -> Fields:
    """Return a message's fields by number; only varints and lengths are known, all that profiles use."""
    found: Fields = defaultdict(list)
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            found[tag >> 3].append(data[at : at + value])
            at += value
        else:
            assert tag & 7 == 0, f"wire type {tag & 7}"
            found[tag >> 3].append(value)
    return found


def numbers(values: list[int | bytes]) -> list[int]:
    """Return a repeated number, packed or not."""
    found: list[int] = []
    for value in values:
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = varint(value, at)
            found.append(number)
    return found


class PprofReader:
    """A pprof file that was read; `stacks` yields (functions from the leaf, values, labels)."""

    def __init__(self, data: bytes) -> None:
        self.top = fields(gzip.decompress(data))
        self.strings = [bytes(text).decode() for text in self.top[6]]
        self.mappings = {one[1][0]: self._text(one, 5) for one in map(fields, self.top[3])}
        self.all_told = all(
            [one[flag] for flag in (7, 8, 9, 10)] == [[1]] * 4 for one in map(fields, self.top[3])
        )
        functions = {one[1][0]: one for one in map(fields, self.top[5])}
        self.locations: dict[object, Function] = {}
        for location in map(fields, self.top[4]):
            (line,) = map(fields, location[4])
            function = functions[line[1][0]]
            self.locations[location[1][0]] = Function(
                self._text(function, 2),
                self._text(function, 3),
                self._text(function, 4),
                self._number(function, 5),
                self._number(line, 2),
                self.mappings[location[2][0]],
            )

    def value_types(self) -> list[tuple[str, str]]:
        return [(self._text(one, 1), self._text(one, 2)) for one in map(fields, self.top[1])]

    def text(self, number: int) -> str:
        return self._text(self.top, number)

    def number(self, number: int) -> int:
        return self._number(self.top, number)

    def stacks(self) -> Iterator[tuple[list[Function], list[int], dict[str, str]]]:
        for sample in map(fields, self.top[2]):
            labels = {self._text(one, 1): self._text(one, 2) for one in map(fields, sample[3])}
            stack = [self.locations[id] for id in numbers(sample[1])]
            yield stack, numbers(sample[2]), labels

    def _text(self, message: Fields, number: int) -> str:
        return self.strings[self._number(message, number)]

    def _number(self, message: Fields, number: int) -> int:
        return int(message[number][0]) if message[number] else 0


@pytest.fixture(scope="session")
def read_pprof() -> type[PprofReader]:
    return PprofReader


@pytest.fixture
def shown(browser: Browser, tmp_path: Path):
    """`shown(text, **options) -> page` of a browser; whatever it asks for or complains of fails the test."""
    contexts, asked, complaints = [], [], []

    def show(text: str, **options: object) -> Page:
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
