"""Starts a showcase in a process of its own, and tells which pages it has."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from profkit.debug.endpoints import ROUTES
from profkit.debug.negotiation import HTML
from tests.debug.showcase.scene import TOKEN, Ready, Scene

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Running:
    """A showcase that is served."""

    ready: Ready
    log_file: IO[str]

    @property
    def address(self) -> str:
        """Where the debug routes are, without a slash at the end."""
        return f"http://127.0.0.1:{self.ready.port}/debug"

    def pages(self) -> dict[str, str]:
        """Return the path of every page by its name: each GET route that has one, each made profile, and a refusal."""
        routes = {route.path for route in ROUTES if route.method == "GET" and HTML in route.offers}
        plain = {path.strip("/").replace("/", "-") or "overview": path for path in routes if "{" not in path}
        found = dict(sorted(plain.items()))
        found |= {f"profile-{name}": f"/profile/{id}" for name, id in self.ready.profiles.items()}
        if self.ready.profiles:
            found["profile-of-request"] = "/profile/slow-request-1"
        return {**found, "refused": "/profile?limit=%3Cscript%20data-hostile%3E"}

    def log(self) -> str:
        """Return what its process has logged, warnings and worse."""
        self.log_file.flush()
        return Path(self.log_file.name).read_text(encoding="utf-8")

    def client(self, token: str = TOKEN) -> httpx.Client:
        """Return a client that asks as a program does."""
        headers = {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False)


@contextmanager
def showcase(scene: Scene | None = None) -> Iterator[Running]:
    """Run it."""
    command = [sys.executable, "-m", "tests.debug.showcase", (scene or Scene()).write()]
    with (
        tempfile.NamedTemporaryFile("w+", suffix=".log", encoding="utf-8") as log,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said, Path(log.name).read_text(encoding="utf-8")
            yield Running(Ready(**json.loads(said)), log)
        finally:
            process.stdin.close()  # which ends it
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
