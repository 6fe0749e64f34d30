"""The processes that measure, as the command sees them."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.peers.environment import ROOT
from benchmarks.peers.rows import ROWS
from benchmarks.peers.rows.base import How
from benchmarks.peers.sink import Sink

Shares = Mapping[str, float]
PATIENCE = 60.0
"""Seconds that one measurement may take."""


class NoFigure(Exception):
    """A peer gave no figure; the text is what the table's cell says."""


@dataclass(frozen=True)
class Places:
    """What every process is started with: the peers' interpreter and the server for what they send."""

    interpreter: Path
    sink: Sink


class Measuring:
    """A process that measures one row with one peer, again and again, until it is closed."""

    def __init__(self, places: Places, row: str, peer: str) -> None:
        self._peer = peer
        self._scratch = tempfile.TemporaryDirectory(prefix="peers-")
        directory = Path(self._scratch.name)
        received, files = directory / "received", directory / "files"
        received.mkdir()
        files.mkdir()
        self._sink = places.sink
        self._sink.keeps_in = received if ROWS[row].how is How.SHARES else None
        self._errors = (directory / "stderr").open("w+")
        self._process = subprocess.Popen(
            [
                *(str(places.interpreter), "-m", "benchmarks.peers.child"),
                *(row, peer, places.sink.address, str(received), str(files)),
            ],
            cwd=ROOT,
            env=_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process: by asking, and after a while by force."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(20)
        except (subprocess.TimeoutExpired, OSError):
            self._process.kill()
            self._process.wait()
        self._sink.keeps_in = None
        self._errors.close()
        self._scratch.cleanup()

    def measure(self, peer: str) -> float:
        """Return one more figure of the row, with the peer or with `BARE`.

        Raises:
            NoFigure: the peer cannot run here, or failed; says why.
        """
        return float(self._answer(peer)["value"])

    def measure_shares(self) -> tuple[Shares, Shares]:
        """Return the clock's shares and the peer's, of an operation; once in a process.

        Raises:
            NoFigure: as `measure`.
        """
        answer = self._answer(self._peer)
        return answer["truth"], answer["shares"]

    def _answer(self, peer: str) -> dict[str, Any]:
        answer = self._ask(peer)
        if "unable" in answer:
            raise NoFigure(f"- ({answer['unable']})")
        if "failed" in answer:
            raise NoFigure(_short(f"failed: {answer['failed']}"))
        return answer

    def _ask(self, peer: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{peer}\n")
        except OSError:  # it has ended: it may have said why
            pass
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                self._process.kill()
                return {"failed": f"over {PATIENCE:.0f} s"}
        line = self._process.stdout.readline()
        if not line:
            return {"failed": self._last_words()}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return f"ended with {code}: {lines[-1] if lines else 'no word'}"


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would send anything elsewhere, or set a peer or profkit otherwise."""
    unwanted = ("DD_", "OTEL_", "SENTRY_", "PYROSCOPE_", "PROFKIT_", "PYTHON")
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(unwanted) and not name.lower().endswith("_proxy")
    }
    return kept | {"NO_PROXY": "*", "PYTHONHASHSEED": "0"}


def _short(reason: str) -> str:
    line = " ".join(reason.split()).replace("|", "/")
    return line if len(line) <= 70 else line[:67] + "..."
