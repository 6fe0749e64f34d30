"""The boxes of a flame graph as JSON for the page's scripts."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from profkit_storage.formats.boxes import CATEGORIES, UNOBSERVED, Box
from profkit_storage.formats.names import legible
from profkit_storage.profile import State

LABELS = {"own": "own code", "unknown": "not known"}
"""What categories are called where it is not by their names."""

STATES = (*map(str, State), UNOBSERVED)
_HOLDERS = 5
"""Names of what held the event loop that are told of one box."""


def data(boxes: Sequence[Box]) -> str:
    """Return the boxes as JSON, which may stand in a script element.

    `texts` are all strings; what follows points into them. `boxes` are columns: `parent`, `name`, `module`, `file`,
    `line`, `category` (into `categories`). `own` are columns of box, state (into `states`) and seconds, `held` of box,
    name and seconds, `marks` of box, name, category, calls and seconds. `smaller` are [box, how many it stands for].
    """
    texts: dict[str, int] = {}
    known: dict[str, int] = {}

    def at(text: str) -> int:
        place = known.get(text)
        if place is None:
            place = known[text] = texts.setdefault(legible(text), len(texts))
        return place

    columns = {
        "parent": [box.parent for box in boxes],
        "name": [at(box.frame.qualname) for box in boxes],
        "module": [at(box.frame.module) for box in boxes],
        "file": [at(box.frame.filename) for box in boxes],
        "line": [box.line for box in boxes],
        "category": [CATEGORIES.index(box.category) for box in boxes],
    }
    numbers = {state: number for number, state in enumerate(STATES)}
    own, held, marks = _Columns(3), _Columns(3), _Columns(5)
    for index, box in enumerate(boxes):
        for state, seconds in box.own.items():
            own.add(index, numbers[state], round(seconds, 6))
        if box.held_by:
            for name, seconds in sorted(box.held_by.items(), key=lambda item: -item[1])[:_HOLDERS]:
                held.add(index, at(name), round(seconds, 6))
        for mark in box.marks:
            marks.add(index, at(mark.name), at(mark.category), round(mark.calls, 2), round(mark.seconds, 6))
    document = {
        "texts": list(texts),
        "categories": [*CATEGORIES],
        "labels": [LABELS.get(name, name) for name in CATEGORIES],
        "states": STATES,
        "boxes": columns,
        "own": own.columns,
        "held": held.columns,
        "marks": marks.columns,
        "smaller": [[index, box.count] for index, box in enumerate(boxes) if box.count > 1],
    }
    # orjson, since no other thread runs while a document is written, and it is ten times as quick.
    return orjson.dumps(document).decode().replace("<", "\\u003c")


class _Columns:
    """A table by its columns: of many rows each would be an object that Python's collector has to look at."""

    def __init__(self, count: int) -> None:
        self.columns: list[list[float]] = [[] for _ in range(count)]

    def add(self, *row: float) -> None:
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)
