"""Profiles of one request or trace: what only they themselves tell, so that each has to be opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from profkit_storage import ProfileEntry, ProfileStorage, Status

_MOST_REMEMBERED = 20_000
_AT_ONCE = 64


class RequestIds:
    """The request id and trace id of each profile that was opened, so that it is opened once. Used from any thread."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, storage: ProfileStorage, entries: list[ProfileEntry]) -> list[tuple[str, str] | None]:
        """Return the ids of each; None of one that cannot be read."""
        with self._lock:
            known = {entry.id: self._ids[entry.id] for entry in entries if entry.id in self._ids}
        unknown = [entry for entry in entries if entry.id not in known]
        for entry, profile in storage.load_many(unknown, on_problem=_pass_over):
            known[entry.id] = profile.request_id, profile.trace_id
        with self._lock:
            for entry in unknown:
                if entry.id in known and entry.status is not Status.RUNNING:
                    self._ids[entry.id] = known[entry.id]
            while len(self._ids) > _MOST_REMEMBERED:
                self._ids.popitem(last=False)
        return [known.get(entry.id) for entry in entries]


@dataclass(frozen=True)
class RequestSearch:
    """Profiles of a request, of a trace, or of both; with `either`, of one of the two."""

    request_id: str | None = None
    trace_id: str | None = None
    either: bool = False
    ids: RequestIds = field(default_factory=RequestIds, compare=False)

    def among(self, storage: ProfileStorage, entries: Iterable[ProfileEntry]) -> Iterator[ProfileEntry]:
        """Yield those of the entries that are wanted, in their order."""
        iterator = iter(entries)
        while some := list(islice(iterator, _AT_ONCE)):
            for entry, ids in zip(some, self.ids.read(storage, some), strict=True):
                if ids is not None and self._wants(*ids):
                    yield entry

    def _wants(self, request_id: str, trace_id: str) -> bool:
        asked = [
            found == wanted
            for found, wanted in ((request_id, self.request_id), (trace_id, self.trace_id))
            if wanted is not None
        ]
        return any(asked) if self.either else all(asked)


def _pass_over(_key: str, _reason: str) -> None:
    """Say nothing: the listing tells of what is no profile."""
