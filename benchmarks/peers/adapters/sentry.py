"""sentry-sdk: a transaction around each operation, with the transaction profiler or the continuous one."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import import_module
from typing import Any, ClassVar

from starlette.types import ASGIApp

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.stacks import Stack, shares


class SentryTransactions(Peer):
    """Every transaction traced and profiled; requests by the integration that is on by default."""

    options: ClassVar[dict[str, object]] = {"profiles_sample_rate": 1.0}

    def start(self) -> None:
        self._sdk = import_module("sentry_sdk")
        address = self.around.sink.replace("http://", "http://key@") + "/1"
        self._sdk.init(dsn=address, traces_sample_rate=1.0, **self.options)

    def stop(self) -> None:
        self._sdk.flush(10)

    def operation(self) -> AbstractContextManager[object]:
        transaction: AbstractContextManager[object] = self._sdk.start_transaction(
            name="operation", op="function"
        )
        return transaction

    def middleware(self, app: ASGIApp) -> ASGIApp:
        return app

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        (item,) = self.items("profile")
        samples = [(float(one["elapsed_since_start_ns"]), one) for one in item["profile"]["samples"]]
        thread = item["transactions"][0]["active_thread_id"]
        return shares(_stacks(item["profile"], samples, thread), names)

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return all items of a kind that have been sent, decoded."""
        found: list[dict[str, Any]] = []
        for file in sorted(self.around.received.glob("*.envelope")):
            lines = gzip.decompress(file.read_bytes()).split(b"\n")[1:]
            for head, payload in zip(lines[::2], lines[1::2], strict=False):
                if head and json.loads(head)["type"] == kind:
                    found.append(json.loads(payload))
        return found


class SentryContinuous(SentryTransactions):
    """The same transactions, with the profiler running all the time."""

    options: ClassVar[dict[str, object]] = {"profile_session_sample_rate": 1.0, "profile_lifecycle": "manual"}

    def start(self) -> None:
        super().start()
        self._sdk.profiler.start_profiler()

    def stop(self) -> None:
        self._sdk.profiler.stop_profiler()
        super().stop()

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        (transaction,) = self.items("transaction")
        started, ended = (
            datetime.fromisoformat(transaction[moment]).timestamp()
            for moment in ("start_timestamp", "timestamp")
        )
        thread = transaction["contexts"]["trace"]["data"]["thread.id"]
        stacks: list[Stack] = []
        for chunk in self.items("profile_chunk"):
            samples = [(one["timestamp"], one) for one in chunk["profile"]["samples"]]
            within = [(moment, one) for moment, one in samples if started <= moment <= ended]
            stacks += _stacks(chunk["profile"], within, thread)
        return shares(stacks, names)


def _stacks(
    profile: dict[str, Any], samples: list[tuple[float, dict[str, Any]]], thread: str
) -> Iterator[Stack]:
    """Yield the stacks of one thread, each with the time to the next sample, as Sentry counts it."""
    of_thread = [(moment, one) for moment, one in samples if one["thread_id"] == thread]
    for (moment, sample), (after, _) in itertools.pairwise(of_thread):
        frames = profile["stacks"][sample["stack_id"]]
        yield [profile["frames"][frame]["function"] for frame in frames], after - moment
