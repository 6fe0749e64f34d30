"""Slow operations whose seconds are known: what each site took is drawn first, and a profile made of it.

A site has a category because it is said here, and stacks that a capture of such code would show; nothing here asks the
classifier. `Taken` keeps what was drawn, by site, for every call, slow or not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from profkit_storage import Frame, Origin, Profile
from profkit_storage.ulid import new_ulid

THRESHOLD = 1.0
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
DAY_NS = 86_400 * 10**9
START_NS = 1_770_000_000 * 10**9 // DAY_NS * DAY_NS


def app(name: str) -> Frame:
    module, _, qualname = name.partition(":")
    return Frame(qualname, f"/srv/{module.replace('.', '/')}.py", 10, module, "", Origin.APPLICATION)


def lib(name: str, distribution: str) -> Frame:
    module, _, qualname = name.partition(":")
    return Frame(
        qualname, f"/lib/{module.replace('.', '/')}.py", 10, module, distribution, Origin.SITE_PACKAGES
    )


@dataclass(frozen=True)
class Site:
    """Code that takes `mean` seconds an operation, give or take a `spread` (of a log-normal distribution)."""

    key: str
    category: str
    owner: str
    stack: tuple[Frame, ...]
    mean: float
    spread: float = 0.4

    @property
    def function(self) -> str:
        """The application's innermost function."""
        frame = [frame for frame in self.stack if frame.origin is Origin.APPLICATION][-1]
        return f"{frame.module}.{frame.qualname}"

    def times(self, factor: float) -> Site:
        return replace(self, mean=self.mean * factor)


@dataclass(frozen=True)
class Kind:
    """An operation, called so often an hour on average."""

    name: str
    sites: tuple[Site, ...]
    calls: int = 100

    def with_site(self, key: str, factor: float) -> Kind:
        """Return the same with one site that takes `factor` as long."""
        return replace(
            self, sites=tuple(site.times(factor) if site.key == key else site for site in self.sites)
        )

    def with_calls(self, calls: int) -> Kind:
        return replace(self, calls=calls)


@dataclass
class Taken:
    """What the generator's clock says: calls and slow operations by name, slow ones' seconds by (name, site).

    `recoverable` are those that would be saved of what they took over the threshold.
    """

    calls: dict[str, int] = field(default_factory=dict)
    slow: dict[str, int] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    recoverable: dict[tuple[str, str], float] = field(default_factory=dict)

    def per_operation(self, name: str, key: str) -> float:
        return self.seconds[name, key] / self.slow[name]


_HANDLER = app("shop.api:handle")
_BASKET = app("shop.basket:load")
ORDERS = Site(
    "orders",
    "db",
    "psycopg",
    (_HANDLER, app("shop.orders:read"), lib("psycopg.cursor:Cursor.execute", "psycopg")),
    0.6,
)
ANSWER = Site(
    "answer",
    "llm",
    "openai",
    (_HANDLER, app("shop.answer:ask"), lib("openai.resources:create", "openai")),
    0.9,
)
ITEMS = Site(
    "items", "db", "redis", (_HANDLER, _BASKET, app("shop.items:get"), lib("redis.client:get", "redis")), 0.5
)
PRICES = Site(
    "prices", "db", "psycopg",
    (_HANDLER, _BASKET, app("shop.prices:get"), lib("psycopg.cursor:Cursor.execute", "psycopg")), 0.5,
)  # fmt: skip
ENCODE = Site(
    "encode", "serialization", "msgpack",
    (_HANDLER, app("shop.answer:pack"), lib("msgpack.fallback:Packer.pack", "msgpack")), 0.3,
)  # fmt: skip
CHECKOUT = Kind("checkout", (ORDERS, ITEMS, PRICES, ENCODE))
CHAT = Kind("chat", (ANSWER, ORDERS.times(0.5), ENCODE))
KINDS = (CHECKOUT, CHAT)


def generate(
    build: Callable[..., Profile],
    kinds: Sequence[Kind],
    seed: int,
    *,
    hours: int = 1,
    start_ns: int = START_NS,
    version: str = "1.0",
    taken: Taken | None = None,
) -> Iterator[Profile]:
    """Yield the profiles of the calls that took over the threshold, in order of start."""
    source = random.Random(seed)
    note = Taken() if taken is None else taken
    models = {kind.name: _model(build, kind) for kind in kinds}
    for hour in range(hours):
        calls = [kind for kind in kinds for _ in range(kind.calls)]
        source.shuffle(calls)
        for number, kind in enumerate(calls):
            spent = [(site, _drawn(source, site)) for site in kind.sites]
            wall = sum(seconds for _, seconds in spent)
            note.calls[kind.name] = note.calls.get(kind.name, 0) + 1
            if wall <= THRESHOLD:
                continue
            note.slow[kind.name] = note.slow.get(kind.name, 0) + 1
            for site, seconds in spent:
                at = kind.name, site.key
                note.seconds[at] = note.seconds.get(at, 0.0) + seconds
                saved = min(seconds, wall - THRESHOLD)
                note.recoverable[at] = note.recoverable.get(at, 0.0) + saved
            started = start_ns + hour * 3_600 * 10**9 + number * (3_600 * 10**9 // len(calls))
            yield replace(
                models[kind.name],
                id=_id(source, started),
                start_ns=started,
                wall=wall,
                version=version,
                samples=tuple(
                    sample._replace(wall=seconds)
                    for sample, (_, seconds) in zip(models[kind.name].samples, spent, strict=True)
                ),
            )


def _model(build: Callable[..., Profile], kind: Kind) -> Profile:
    """Return a profile with one sample for each site."""
    stacks = [(site.stack, site.mean) for site in kind.sites]
    return build(operation=kind.name, category="", threshold=THRESHOLD, stacks=stacks, children=())


def _id(source: random.Random, start_ns: int) -> str:
    """Return a ULID that is the same for the same seed."""
    return new_ulid(start_ns)[:10] + "".join(source.choices(_LETTERS, k=16))


def _drawn(source: random.Random, site: Site) -> float:
    """Return a log-normal duration whose mean is the site's."""
    return site.mean * source.lognormvariate(-(site.spread**2) / 2, site.spread)


NEXT = (CHECKOUT.with_site("orders", 1.6), CHAT, Kind("basket", (ITEMS.times(3),), 30))
"""What `KINDS` are in the next version: one site slower, one operation new."""


def put_versions(storage, build):
    """Put two days of `KINDS`, the second as `NEXT`, into a store, and return it."""
    for profile in generate(build, KINDS, 1):
        storage.put(profile)
    for profile in generate(build, NEXT, 2, start_ns=START_NS + DAY_NS, version="1.1"):
        storage.put(profile)
    return storage
