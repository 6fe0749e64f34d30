"""Which requests are sent when: mostly ordinary ones, and now and then one that runs into a planted slow path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from shop.database import WHOLESALER
from shop.settings import Plant

ORDINARY = (
    "Where are my orders?",
    "How do I care for oiled oak?",
    "When can you deliver my parcel?",
    "Can I return a chair after a month?",
)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `due` seconds after the start. `alone`: sent only once no other request is under way."""

    due: float
    customer: int
    text: str
    limit: int = 10
    plant: Plant | None = None

    @property
    def alone(self) -> bool:
        """A long encode holds the event loop: whoever is under way then would be slow as well."""
        return self.plant is Plant.JSON_ENCODE


def slow_call(plant: Plant, due: float, sizes: dict[Plant, int]) -> Call:
    """The request that is slow as long as `plant` is in."""
    text = {
        Plant.N_PLUS_ONE: "All our orders, please",
        Plant.LLM_RETRY: "Plan a living room around an oak table",
        Plant.JSON_ENCODE: "Export the catalogue",
        Plant.SERIAL_TOOLS: "When can you deliver a wardrobe by freight?",
    }[plant]
    return Call(due, WHOLESALER, text, sizes.get(plant, 10), plant)


def make_plan(requests: int, seconds: float, rounds: int, sizes: dict[Plant, int]) -> list[Call]:
    """`requests` calls over `seconds`, with `rounds` slow ones of each plant spread evenly among them."""
    plants = itertools.cycle(Plant)
    every = requests // (rounds * len(Plant))
    calls = list(_ordinary(requests, seconds))
    for index in range(every // 2, every * rounds * len(Plant), every):
        calls[index] = slow_call(next(plants), calls[index].due, sizes)
    return calls


def _ordinary(requests: int, seconds: float) -> Iterator[Call]:
    for number in range(requests):
        yield Call(number * seconds / requests, 2 + number % 1000, ORDINARY[number % len(ORDINARY)])
