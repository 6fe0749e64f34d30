"""For how long an event loop does not come to run what is due."""

from __future__ import annotations

import asyncio
import time
from typing import Self

_EVERY = 0.001


class Stalls:
    """Looks at the running loop every millisecond while its block lasts; `longest` is the longest delay in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look())
        await asyncio.sleep(0.05)
        self.longest = 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_EVERY)
            self.longest = max(self.longest, time.perf_counter() - began - _EVERY)
