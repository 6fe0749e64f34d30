"""The application of the showcase: Starlette, with routes to ask for, all that `live` runs, and the debug routes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from profkit import PerformanceProfiler, Settings
from profkit.asgi import ProfilingMiddleware
from profkit.debug import DiagnosticEndpoints, FailureLimits, Token, TokenAuth
from profkit_storage import (
    LocalStorage,
    MemoryStorage,
    Profile,
    ProfileEntry,
    ProfileStorage,
    StoreUnavailable,
)
from tests.debug.showcase import live
from tests.debug.showcase.checks import checks
from tests.debug.showcase.hostile import SCRIPT
from tests.debug.showcase.made import made
from tests.debug.showcase.pools import FOREVER, Pools
from tests.debug.showcase.recorded import SLOW, Recorded, burn
from tests.debug.showcase.scene import READER, TOKEN, Ready, Scene
from tests.debug.showcase.settings import features, settings

SERVICE = "orders & <b data-hostile>returns</b>"


class GoneStorage(MemoryStorage):
    """A store that was there when the process started, and cannot be reached any more."""

    def scan(self, *_arguments: object, **_options: object) -> Iterator[ProfileEntry]:
        raise StoreUnavailable(f"{SCRIPT} does not answer")

    def load(self, id: str) -> Profile:
        raise StoreUnavailable(f"{SCRIPT} does not answer")


class Showcase:
    """The application, and what is done before and while it is looked at."""

    def __init__(self, directory: Path, scene: Scene) -> None:
        self._scene = scene
        self.profiler = PerformanceProfiler(
            Settings(
                storage=store(scene, directory),
                service=SERVICE,
                version="2026.11.1",
                threshold=SLOW,
                thresholds={"llm": 5.0, "agent.plan": 0.01, SERVICE: 1.0},
                keep_errors=True,
                spool="off",
            )
        )
        self._pools = Pools(directory, scene)
        self._running: list[asyncio.Task[None]] = []
        debug = DiagnosticEndpoints(
            auth=TokenAuth(
                everything=Token(TOKEN, "read+profile+memory+manage"), reader=Token(READER, "read")
            ),
            profiler=self.profiler,
            config=settings(scene),
            pools=self._pools.named,
            environment=True,
            features=features,
            revision="5f2c9e1 <b data-hostile>",
            checks=checks(scene),
            limits=FailureLimits(delay=0, per_peer=10**6, total=10**6),
        )
        routes = [
            Route("/never", never),
            Route("/slow", slow),
            Route("/carrier/rates", slow),
            Route("/orders/{name:path}", slow),
            Mount("/debug", debug),
        ]
        self.app = ProfilingMiddleware(Starlette(routes=routes), self.profiler)

    async def prepare(self, port: int) -> Ready:
        """Fill the store, then start what goes on; it has to be served already."""
        found: dict[str, str] = {}
        if self._scene.store == "filled":
            await Recorded(self.profiler, self._pools.half, port).run()
            await asyncio.to_thread(self.profiler.flush, 10)
            storage = self.profiler.storage
            assert storage is not None
            for name, one in made(self._scene).items():
                await asyncio.to_thread(storage.put, one)
                found[name] = one.id
        self._start(port)
        return Ready(port=port, profiles=found)

    def _start(self, port: int) -> None:
        live.start_threads(self.profiler, self._scene)
        named = {f"pool-user-{index}": user for index, user in enumerate(self._pools.users(port))}
        named |= {
            f"operation-{index}": one for index, one in enumerate(live.operations(self.profiler, self._scene))
        }
        named |= live.tasks(self._scene)
        self._running = [asyncio.create_task(work, name=name) for name, work in named.items()]


def store(scene: Scene, directory: Path) -> ProfileStorage | None:
    """Return the store of a scene."""
    if scene.store == "none":
        return None
    return GoneStorage() if scene.store == "gone" else LocalStorage(directory / "profiles")


async def slow(_request: Request) -> Response:
    """Answer after a while, of which a part is work."""
    burn(0.03)
    await asyncio.sleep(0.06)
    return PlainTextResponse("done")


async def never(_request: Request) -> Response:
    """Do not answer."""
    await asyncio.sleep(FOREVER)
    return PlainTextResponse("done")
