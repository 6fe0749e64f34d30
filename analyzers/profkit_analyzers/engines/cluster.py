"""`DaskCluster`: the work done by the workers of a Dask cluster. Imports distributed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from importlib import import_module
from typing import Any

from profkit_analyzers.engines.dropped import S
from profkit_analyzers.engines.parts import Chunk, Part, Question, work
from profkit_storage import ConfigurationError, ProfileStorage, ProfkitError, open_storage

_AHEAD = 3
"""Chunks a worker thread that are handed out at once, as in a pool of processes."""
_RETRIES = 2
"""How often a chunk is given to another worker where one died while it had it, beyond what Dask does itself."""
_PATIENCE = 10
"""Seconds to wait for the scheduler."""


class ClusterUnavailable(ProfkitError):
    """The scheduler cannot be reached, has no workers, or gave up."""


class DaskCluster:
    """Does the work on the workers of the Dask scheduler at `address`, such as `tcp://10.0.0.5:8786`.

    The workers need profkit (`profkit[analyze]`), and read the store themselves by its `url`, with their own
    credentials: only what is listed goes to them, and only summaries come back. What a worker that dies was at is done
    by another.

    Raises:
        ConfigurationError: distributed is not installed (`profkit[dask]`), or `address` is none.
    """

    def __init__(self, address: str) -> None:
        try:
            self._distributed: Any = import_module("distributed")  # its types say little
        except ModuleNotFoundError:
            raise ConfigurationError("a Dask cluster needs the extra: pip install 'profkit[dask]'") from None
        try:  # early: a client that is refused its address says so again, with a traceback, when it is dropped
            import_module("distributed.comm.addressing").get_address_host_port(address)
        except ValueError as error:
            raise ConfigurationError(
                f"Dask scheduler {address!r}: {error}; such as tcp://10.0.0.5:8786"
            ) from None
        self._address = address

    def parts(
        self, storage: ProfileStorage, chunks: Iterable[Chunk], question: Question[S]
    ) -> Iterator[Part[S]]:
        """Yield what became of each chunk, in their order.

        Raises:
            ConfigurationError: the store has no address that workers could open.
            ClusterUnavailable: the cluster cannot be reached, has no workers, or gave up on a chunk.
        """
        if storage.url.startswith("memory:"):
            raise ConfigurationError(f"{storage.url}: workers cannot read a store in this process's memory")
        with ExitStack() as stack:
            try:
                client = stack.enter_context(
                    self._distributed.Client(self._address, timeout=_PATIENCE, set_as_default=False)
                )
                threads = sum(client.nthreads().values())
                if not threads:
                    raise ClusterUnavailable(f"the Dask scheduler at {self._address!r} has no workers")
                yield from self._in_order(client, storage.url, chunks, question, threads * _AHEAD)
            except (OSError, TimeoutError) as error:
                raise ClusterUnavailable(
                    f"the Dask scheduler at {self._address!r} cannot be used: {error}"
                ) from error
            except self._distributed.KilledWorker as error:
                raise ClusterUnavailable(f"the Dask cluster gave up: {error}") from error

    @staticmethod
    def _in_order(
        client: Any,  # noqa: ANN401 - as above
        url: str,
        chunks: Iterable[Chunk],
        question: Question[S],
        ahead: int,
    ) -> Iterator[Part[S]]:
        shared = client.scatter(question, broadcast=True)
        pending: deque[Any] = deque()
        for chunk in chunks:
            # Not pure: the same chunk may hold something else tomorrow, and no summary is to stay on the cluster.
            pending.append(client.submit(_work, url, shared, chunk, pure=False, retries=_RETRIES))
            if len(pending) >= ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _work(url: str, question: Question[S], chunk: Chunk) -> Part[S]:
    return work(_store(url), chunk, question)


@lru_cache(maxsize=4)
def _store(url: str) -> ProfileStorage:
    """Open a store once in each worker: a block that was read stays in its memory."""
    return open_storage(url, create=False)
