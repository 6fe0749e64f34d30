"""pyinstrument: a Profiler at its default interval of 1 ms around each operation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import pyinstrument
from pyinstrument.session import Session

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.stacks import shares


class Pyinstrument(Peer):
    """As its documentation has it for web services."""

    def operation(self) -> AbstractContextManager[object]:
        profiler = pyinstrument.Profiler()
        if self.around.keeps:
            self._profiler = profiler
        return profiler

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        session = self._profiler.last_session
        assert isinstance(session, Session)
        stacks = (
            ([frame.partition("\0")[0] for frame in reversed(frames)], seconds)
            for frames, seconds in session.frame_records
        )
        return shares(stacks, names)
