"""`Cached`: an engine that works only on what is not known from an earlier analysis.

What becomes of a chunk depends on its profiles, on the criteria, and on this code. A digest of these is its key. Stored
profiles do not change, so their entries stand for them: a file that is damaged later, and as long as before, goes
unnoticed as long as its part is kept.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard, cast

import profkit_analyzers
import profkit_storage
from profkit_analyzers.engines.dropped import S
from profkit_analyzers.engines.engine import Engine
from profkit_analyzers.engines.part_files import PartFiles
from profkit_analyzers.engines.parts import Chunk, Part, Question
from profkit_storage import ProfileStorage

FORMAT = 1
"""Of the keys and files; another one for all that a change of code would not tell."""
_BETWEEN = 32
"""Kept parts that wait, at most, while the engine works on what is missing before them."""

_Keyed = tuple[str, Chunk]


@dataclass(frozen=True, slots=True)
class Cached:
    """Hands `engine` those chunks only of which `files` has no part, and keeps what became of them there.

    `identity` says what is asked, as `Criteria.identity` does: it must differ wherever the parts would. The files are
    read and written by the process that asks. What something was skipped in is not kept: it may be readable next time.
    """

    engine: Engine
    files: PartFiles
    identity: str

    def parts(
        self, storage: ProfileStorage, chunks: Iterable[Chunk], question: Question[S]
    ) -> Iterator[Part[S]]:
        """Yield what became of each chunk, in their order; at their end, remove what was not used for long.

        Raises:
            ProfkitError: as the engine does.
        """
        asked = repr((FORMAT, _code(), self.identity))
        left = ((_key(asked, chunk), chunk) for chunk in chunks)
        for key, chunk in left:
            part = self._kept(key, chunk)
            if part is None:
                yield from self._worked(storage, (key, chunk), left, question)
            else:
                yield part
        self.files.tidy()

    def _worked(
        self, storage: ProfileStorage, first: _Keyed, left: Iterator[_Keyed], question: Question[S]
    ) -> Iterator[Part[S]]:
        """Yield what the engine makes of the chunk `first` and others that are missing, and the kept ones between.

        Ends before the end where many are kept, so that these do not all wait in memory.
        """
        # In the order of chunks: parts that are kept, and the keys of those that the engine has.
        waiting: deque[Part[Any] | str] = deque([first[0]])

        def missing() -> Iterator[Chunk]:
            yield first[1]
            between = 0
            for key, chunk in left:
                part = self._kept(key, chunk)
                waiting.append(key if part is None else part)
                if part is None:
                    yield chunk
                    continue
                between += 1
                if between == _BETWEEN:
                    return

        for part in self.engine.parts(storage, missing(), question):
            yield from _leading(waiting)
            self._keep(cast("str", waiting.popleft()), part)
            yield part
        yield from _leading(waiting)

    def _kept(self, key: str, chunk: Chunk) -> Part[Any] | None:
        found = self.files.load(key)
        if _is_part(found) and found.read == len(chunk.entries) and not found.skipping.count:
            return found
        return None

    def _keep(self, key: str, part: Part[Any]) -> None:
        if not part.skipping.count:
            self.files.save(key, part)


def _is_part(found: object) -> TypeGuard[Part[Any]]:
    return isinstance(found, Part)


def _leading(waiting: deque[Part[Any] | str]) -> Iterator[Part[Any]]:
    """Yield the parts that wait for nothing before them."""
    while waiting and isinstance(waiting[0], Part):
        yield cast("Part[Any]", waiting.popleft())


def _key(asked: str, chunk: Chunk) -> str:
    return blake2b(f"{asked} {chunk!r}".encode(), digest_size=20).hexdigest()


@lru_cache(maxsize=1)
def _code() -> tuple[str, ...]:
    """Return what tells this code from any other: its text too, for a version under development has many."""
    digest = blake2b(digest_size=20)
    for room in (Path(profkit_analyzers.__file__).parent, Path(profkit_storage.__file__).parent):
        for path in sorted(room.rglob("*.py")):
            digest.update(repr((path.relative_to(room).parts, path.read_bytes())).encode())
    return version("profkit"), str(sys.implementation.cache_tag), digest.hexdigest()
