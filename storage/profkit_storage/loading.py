"""Many loads at once, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_AHEAD = 2
"""Items begun for each worker: none waits for the one whose turn it is."""


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int) -> Generator[R]:
    """Yield what `work` returns for each item, in their order, from so many threads; one is the caller's own.

    No more than twice as many items are begun as there are workers. What is begun is waited for when the caller stops.
    """
    if workers == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="profkit-load") as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) >= _AHEAD * workers:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
