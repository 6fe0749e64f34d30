"""`python -m tests.debug.showcase [SCENE]`: serve it on a free port, say so in JSON, go on until the input ends.

With a terminal as its input it goes on until Ctrl-C: to look at it with a browser of your own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import socket
import sys
import tempfile
import tracemalloc
from pathlib import Path

import uvicorn

from tests.debug.showcase.application import Showcase
from tests.debug.showcase.scene import TOKEN, Scene


async def serve(scene: Scene, directory: Path) -> None:
    """Serve until standard input ends."""
    showcase = Showcase(directory, scene)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(showcase.app, log_config=None, access_log=False, lifespan="off")
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="server")
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        ready = await showcase.prepare(listening.getsockname()[1])
        print(json.dumps(dataclasses.asdict(ready)), flush=True)  # noqa: T201 - for who started it
        if sys.stdin.isatty():
            print(f"http://me:{TOKEN}@127.0.0.1:{ready.port}/debug/", flush=True)  # noqa: T201
            await serving
        else:
            await asyncio.to_thread(sys.stdin.read)


def main(scene: Scene) -> None:
    """Serve, with a log on standard error."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("profkit.audit").setLevel(logging.CRITICAL)
    if scene.tracing:
        tracemalloc.start()
    with tempfile.TemporaryDirectory(prefix="profkit-showcase-") as name:
        asyncio_runner = asyncio.Runner()
        try:
            asyncio_runner.run(serve(scene, Path(name)))
        except KeyboardInterrupt:
            pass
    os._exit(0)  # its threads and tasks never end


if __name__ == "__main__":
    main(Scene.read(sys.argv[1]) if sys.argv[1:] else Scene())
