"""A server process on a port of its own, which ends with this process whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

HERE = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
STOP_SECONDS = 15.0


class ServerFailed(Exception):
    """A server did not come up, or did not answer as it should; the message holds the end of its log."""


class ServerProcess:
    """`python -m MODULE` on a socket bound here, so that its port is known at once and nobody else can have it.

    The child's stdin is a pipe from this process: a child whose parent has died, even by SIGKILL, sees it close
    and ends. It has a session of its own, so Ctrl-C reaches the parent alone, and the parent stops it in order.
    """

    def __init__(self, module: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.module = module
        self.log = log
        listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with listener, log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(listener.fileno())],
                cwd=HERE,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_up(self) -> None:
        """Wait until the server answers.

        Raises:
            ServerFailed: it ended, or took too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health", timeout=START_SECONDS).is_success:
                    return
            except httpx.TransportError:
                pass
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise ServerFailed(f"{self.module} did not start; {self.end_of_log()}")

    def end_of_log(self) -> str:
        """Return what the server logged last, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(["the end of its log:", *lines[-20:]])

    def stop(self) -> None:
        """Ask the server to finish what it is doing, and wait until it is gone. Calling it twice does nothing."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
