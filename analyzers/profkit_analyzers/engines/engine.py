"""Where the work is done: in this process, or in several. Whichever, the answer is the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, ClassVar, NoReturn, Protocol

from profkit_analyzers.engines.dropped import S
from profkit_analyzers.engines.parts import Chunk, Part, Question, work
from profkit_storage import ConfigurationError, ProfileStorage, ProfkitError, open_storage

_AHEAD = 3
"""Chunks a process that are handed out at once: enough that none is idle, few enough to bound what waits."""
_MOST = 256


class WorkersDied(ProfkitError):
    """A process of a pool ended before its work did: killed, or out of memory."""


class Engine(Protocol):
    """Works through chunks of a store."""

    def parts(
        self, storage: ProfileStorage, chunks: Iterable[Chunk], question: Question[S]
    ) -> Iterator[Part[S]]:
        """Yield what became of each chunk, in their order."""
        ...


class InProcess:
    """Does the work where it is asked for, one chunk after the other."""

    def parts(
        self, storage: ProfileStorage, chunks: Iterable[Chunk], question: Question[S]
    ) -> Iterator[Part[S]]:
        """Yield what became of each chunk, in their order."""
        return (work(storage, chunk, question) for chunk in chunks)


@dataclass(frozen=True, slots=True)
class ProcessPool:
    """Does the work in `workers` processes, None being one for each core this process may use.

    The processes are started anew and import the main module, so a script that uses it needs `if __name__ ==
    "__main__":`. They read the store themselves, by its `url`: one that cannot be opened by it, and work that is a
    single chunk, is done in this process.

    Raises:
        ConfigurationError: `workers` is not a whole number from 1 to 256.
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no number of processes."""
        if self.workers is not None and (type(self.workers) is not int or not 1 <= self.workers <= _MOST):
            raise ConfigurationError(f"workers {self.workers!r}: must be a whole number from 1 to {_MOST}")

    def parts(
        self, storage: ProfileStorage, chunks: Iterable[Chunk], question: Question[S]
    ) -> Iterator[Part[S]]:
        """Yield what became of each chunk, in their order.

        Raises:
            WorkersDied: a process ended before its work did.
        """
        left = iter(chunks)
        first = list(islice(left, 2))
        workers = self.workers or _cores()
        if workers == 1 or len(first) < 2 or not _can_be_reopened(storage):
            yield from InProcess().parts(storage, chain(first, left), question)
            return
        pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(storage.url, question),
        )
        try:
            yield from _in_order(pool, chain(first, left), workers * _AHEAD)
        except BrokenProcessPool:
            _raise_died()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, chunks: Iterable[Chunk], ahead: int) -> Iterator[Part[Any]]:
    pending: deque[Future[Part[Any]]] = deque()
    for chunk in chunks:
        pending.append(pool.submit(_work, chunk))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _raise_died() -> NoReturn:
    raise WorkersDied(
        "a worker process ended before its work did (killed, or out of memory): --workers 1 does without them"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _can_be_reopened(storage: ProfileStorage) -> bool:
    return not storage.url.startswith("memory:")


class _Worker:
    """What a process of the pool has: the store, and what is asked of its profiles."""

    storage: ClassVar[ProfileStorage]
    question: ClassVar[Question[Any]]


def _begin(url: str, question: Question[Any]) -> None:
    """Set up a process of the pool; a Ctrl-C reaches it as well, and is the caller's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _Worker.storage = open_storage(url, create=False)
    _Worker.question = question


def _end_with_parent() -> None:
    """End this process once the one that started it is gone: killed, it says nothing, and this one would wait on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(chunk: Chunk) -> Part[Any]:
    return work(_Worker.storage, chunk, _Worker.question)
