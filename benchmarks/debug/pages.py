"""What the pages cost: bytes, time to a first paint, and how long the event loop stands still while they are made."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import shutil
import statistics
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from benchmarks.debug.stalls import Stalls
from benchmarks.guards.measuring import Measurement
from profkit import PerformanceProfiler, Settings
from profkit.debug import DiagnosticEndpoints, Token, TokenAuth
from profkit_storage import Branch, ChildOperation, Frame, Node, Origin, Profile, Sample, State
from profkit_storage.memory import MemoryStorage
from profkit_storage.ulid import new_ulid

NODES = 5_000
MOST_NODES = 20_000
PAINTS = 9
ANSWERS = 15
PAGES = ("", "profile", "tasks", "threads", "connections", "memory", "health", "config", "profile/settings")
_TOKEN = "benchmark-0123456789abcdefghij"
_HEADERS = {"authorization": f"Bearer {_TOKEN}", "accept": "text/html"}


def profile_of(nodes: int, seed: int = 1) -> Profile:
    """Return a profile with so many places in its tree, 1,000 operations inside it and 100 tasks."""
    draw = random.Random(seed)
    frames = tuple(
        Frame(
            f"Handler{number % 40}.step_{number}",
            f"app/part{number % 20}/module{number % 70}.py",
            draw.randint(1, 900),
            f"app.part{number % 20}.module{number % 70}",
            "" if number % 3 else "SQLAlchemy",
            Origin.APPLICATION if number % 3 else Origin.SITE_PACKAGES,
        )
        for number in range(nodes // 5)
    )
    places = [Node(-1, 0, 11)]
    while len(places) < nodes:
        above = draw.randrange(max(0, len(places) - 300), len(places))
        places.append(Node(above, draw.randrange(len(frames)), draw.randint(1, 900)))
    samples = tuple(
        Sample(
            draw.randrange(nodes),
            draw.expovariate(100),
            0.001,
            state=draw.choices(list(State), (5, 5, 1, 1, 0.2))[0],
            holder=draw.choice((-1, 5, 6, 7)),
        )
        for _ in range(6_000)
    )
    wall = sum(sample.wall for sample in samples)
    begun = sorted(draw.uniform(0, wall) for _ in range(1_000))
    now = time.time_ns()
    return Profile(
        id=new_ulid(now),
        operation="agent.route",
        category="agent",
        start_ns=now,
        wall=wall,
        service="benchmark",
        frames=frames,
        nodes=tuple(places),
        samples=samples,
        children=tuple(
            ChildOperation(f"db.query_{number % 30}", "db", start, min(wall, start + 0.05), {})
            for number, start in enumerate(begun)
        ),
        branches=tuple(Branch(f"task {number}", -1, 0.0, wall) for number in range(100)),
    )


class Pages:
    """Debug routes with a profile of 5,000 places and one of 20,000; `paths` are those of every page."""

    def __init__(self) -> None:
        self.profiler = PerformanceProfiler(Settings(storage=MemoryStorage(), service="benchmark"))
        auth = TokenAuth(all=Token(_TOKEN, "read+profile+memory+manage"))
        self.app = DiagnosticEndpoints(auth=auth, profiler=self.profiler)
        self.paths = {f"/debug/{page}": f"/{page}" for page in PAGES}
        assert self.profiler.storage is not None
        for nodes in (NODES, MOST_NODES):
            made = profile_of(nodes)
            self.profiler.storage.put(made)
            self.paths[f"a profile of {nodes:,} places"] = f"/profile/{made.id}"

    def client(self) -> httpx.AsyncClient:
        """Return a client that asks without a network."""
        transport = httpx.ASGITransport(app=self.app)
        return httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=_HEADERS, timeout=60
        )

    @contextmanager
    def served(self) -> Generator[str]:
        """Serve them by uvicorn on a free port; gives the address."""
        app = Starlette(routes=[Mount("/debug", self.app)])
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/debug"
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def pages() -> Generator[Pages]:
    """Make them, and end the profiler afterwards."""
    made = Pages()
    try:
        yield made
    finally:
        made.profiler.shutdown(5)


def first_paint() -> tuple[Measurement, ...]:
    """Open the page of 5,000 places in a new Chromium profile each time; from the request to the first pixels."""
    with pages() as made, made.served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        path = made.paths[f"a profile of {NODES:,} places"]
        found = [_paint(browser, address + path) for _ in range(PAINTS + 1)][1:]
        browser.close()
    paints, answered, drawn = zip(*found, strict=True)
    return (
        Measurement(
            f"first paint of a page with a flame graph of {NODES:,} places",
            statistics.median(paints),
            1_000.0,
            "ms",
            f"median of {PAINTS}, {min(paints):.0f} to {max(paints):.0f}; the answer began after "
            f"{statistics.median(answered):.0f}, the graph was drawn after {statistics.median(drawn):.0f}",
        ),
    )


def _paint(browser: Browser, address: str) -> tuple[float, float, float]:
    """Return milliseconds from the request to the first paint, the first byte, and the end of all scripts."""
    with browser.new_context(
        viewport={"width": 1280, "height": 900},
        extra_http_headers={"authorization": _HEADERS["authorization"]},
    ) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
        paint, answered, drawn = page.evaluate(
            """() => {
              const [seen] = performance.getEntriesByType("navigation");
              const [paint] = performance.getEntriesByName("first-contentful-paint");
              return [paint.startTime, seen.responseStart, seen.domContentLoadedEventStart];
            }"""
        )
    return paint, answered, drawn


def page_sizes() -> tuple[Measurement, ...]:
    """Add up the bytes of each page and of all that it loads."""
    with pages() as made:
        sizes = asyncio.run(_sizes(made))
    return tuple(
        Measurement(
            f"{name}: the page and all that it loads",
            size / 1e3,
            1_000.0 if "profile of" in name else 300.0,
            "KB",
            f"{alone / 1e3:.0f} without scripts, styles and the icon",
        )
        for name, (size, alone) in sizes.items()
    )


async def _sizes(made: Pages) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    async with made.client() as client:
        for name, path in made.paths.items():
            page = await client.get(path)
            page.raise_for_status()
            loaded = set(re.findall(r'(?:src|href)="[./]*(assets/[^"]+)"', page.text))
            assets = [await client.get(f"/{one}", headers={"accept": "*/*"}) for one in loaded]
            size = sum(len(one.raise_for_status().content) for one in assets)
            found[name] = len(page.content) + size, len(page.content)
    return found


def page_stalls() -> tuple[Measurement, ...]:
    """Ask for each page over and over in one loop, with Python's collector off, then on.

    A collection of all objects stops every thread, for as long as the process has objects; it comes sooner or later,
    with a page or with anything else.
    """
    with pages() as made:
        return asyncio.run(_stalls(made))


async def _stalls(made: Pages) -> tuple[Measurement, ...]:
    rows: list[Measurement] = []
    async with made.client() as client:
        for name, path in made.paths.items():
            await client.get(path)
            gc.disable()
            alone = [await _stall(client, path) for _ in range(ANSWERS)]
            gc.enable()
            collected = [await _stall(client, path) for _ in range(ANSWERS)]
            rows.append(
                Measurement(
                    f"{name}: longest stall of the loop",
                    statistics.median(alone),
                    20.0,
                    "ms",
                    f"median of {ANSWERS}, at most {max(alone):.1f}; with Python's collector on "
                    f"{statistics.median(collected):.1f}, at most {max(collected):.1f}",
                )
            )
    return tuple(rows)


async def _stall(client: httpx.AsyncClient, path: str) -> float:
    async with Stalls() as stalls:
        (await client.get(path)).raise_for_status()
        await asyncio.sleep(0.003)
    return stalls.longest * 1e3
