"""`PartFiles`: parts of analyses in a directory, each a file that only a whole, known and harmless one is read from.

bytes   what
0-15    BLAKE2b, 16 bytes, of everything after it, keyed with the file's name
16-     a pickle, compressed with zstd

Pickles can run any code, so these are read by a reader that knows the classes of a part and no others, and only from
files that nobody but this user may write.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import zstandard

from profkit_storage import ConfigurationError, files
from profkit_storage.base import logger

KEEP_SECONDS = 30 * 86_400.0
KEEP_BYTES = 1 << 30
"""What `tidy` leaves: files used of late, the latest first, until they are that large together."""

_MOST = 1 << 28
"""Bytes of a part, compressed or not; a larger one is not kept. Usual are some hundred thousand."""
_CHECKSUM = 16
_ENDING = ".part"
_NAME = re.compile(r"[0-9a-f]{40}\.part")
_TEMPORARY = re.compile(r"[0-9]+-[0-9a-f]{16}")
_KNOWN = frozenset(
    {
        ("array", "_array_reconstructor"),
        ("array", "array"),
        ("collections", "OrderedDict"),
        ("profkit_analyzers.attribution.blame", "Blame"),
        ("profkit_analyzers.attribution.blame", "CallSite"),
        ("profkit_analyzers.engines.dropped", "Undecided"),
        ("profkit_analyzers.engines.dropped", "_Around"),
        ("profkit_analyzers.engines.dropped", "_Inner"),
        ("profkit_analyzers.engines.dropped", "_StandIn"),
        ("profkit_analyzers.findings.outliers", "Outliers"),
        ("profkit_analyzers.findings.outliers", "_Group"),
        ("profkit_analyzers.findings.summary", "Findings"),
        ("profkit_analyzers.findings.summary", "_Key"),
        ("profkit_analyzers.findings.tally", "Bounded"),
        ("profkit_analyzers.findings.tally", "Example"),
        ("profkit_analyzers.findings.tally", "Tally"),
        ("profkit_analyzers.pictures.history", "HistorySums"),
        ("profkit_analyzers.pictures.history", "_Sums"),
        ("profkit_analyzers.engines.nesting", "OuterSpans"),
        ("profkit_analyzers.engines.parts", "Part"),
        ("profkit_analyzers.ranking.quantiles", "DurationSketch"),
        ("profkit_analyzers.ranking.summary", "Cost"),
        ("profkit_analyzers.ranking.summary", "Example"),
        ("profkit_analyzers.ranking.summary", "OperationSummary"),
        ("profkit_analyzers.ranking.summary", "Summary"),
        ("profkit_analyzers.skipping", "Skipping"),
        ("profkit_analyzers.pictures.trees", "Leaf"),
        ("profkit_analyzers.pictures.trees", "TreeSums"),
        ("profkit_storage.profile", "Frame"),
        ("profkit_storage.profile", "Origin"),
        ("profkit_storage.profile", "State"),
    }
)
"""All that a part is made of, by module and name; what else a pickle names is not looked for."""


class PartFiles:
    """Parts by key in `directory`, which is made if it is missing, private to its user, and tried by writing to it.

    Several processes may use it at once.

    Raises:
        ConfigurationError: it is no directory, or cannot be made or written.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        text = os.fspath(directory)
        if not text or "\0" in text:
            raise ConfigurationError(f"cache {text!r}: must be the path of a directory")
        self._directory = Path(text)
        try:
            if self._directory.exists() and not self._directory.is_dir():
                raise ConfigurationError(f"cache {text!r}: is no directory")
            files.remove(files.write_temporary(self._directory, b"profkit tries whether it can write here"))
        except OSError as error:
            raise ConfigurationError(
                f"cache {text!r}: cannot be written: {error.strerror or error}"
            ) from error
        self._full = False

    def load(self, key: str) -> object | None:
        """Return what was saved under `key`; None if there is nothing, or nothing that can be read and trusted."""
        path = self._path(key)
        try:
            data = files.read_regular(path, _MOST, own=True)
            found = None if data is None else _unpacked(key, data)
        except Exception:  # noqa: BLE001 - what is no pickle can raise anything; whatever it is, it is made anew
            return None
        if found is not None:
            with suppress(OSError):
                os.utime(path)  # what was used of late stays
        return found

    def save(self, key: str, part: object) -> None:
        """Keep `part` under `key`. Where that fails it is told in a warning, once, and nothing more is kept."""
        data = None if self._full else _packed(key, part)
        if data is None:
            return
        try:
            files.move_into_place(files.write_temporary(self._directory, data), self._path(key))
        except OSError as error:
            self._full = True
            reason = error.strerror or error
            logger.warning("cache %s: cannot be written, the rest is not kept: %s", self._directory, reason)

    def tidy(self) -> None:
        """Remove what was not used for 30 days, the oldest of more than 1 GiB, and what killed writers left."""
        now, kept = time.time(), 0
        with suppress(OSError):
            found = sorted(_stamped(self._directory), reverse=True)
            for used, size, path in found:
                if _TEMPORARY.fullmatch(path.name):
                    stale = now - used > files.STALE_SECONDS
                else:
                    kept += size
                    stale = now - used > KEEP_SECONDS or kept > KEEP_BYTES
                if stale:
                    files.remove(path)

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}{_ENDING}"


def _stamped(directory: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each of our files was last used (seconds since the epoch), and its bytes; others' are left alone."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) or _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):  # another process was faster to remove it
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)


def _packed(key: str, part: object) -> bytes | None:
    raw = pickle.dumps(part, protocol=5)
    if len(raw) > _MOST:
        return None
    body = zstandard.ZstdCompressor(level=3).compress(raw)
    return _checksum(key, body) + body


def _unpacked(key: str, data: bytes) -> object | None:
    """Return what was packed; None if it is not that, as far as that can be told without a look into the pickle."""
    body = data[_CHECKSUM:]
    # Of an unknown size zstd says that it is huge.
    if data[:_CHECKSUM] != _checksum(key, body) or zstandard.get_frame_parameters(body).content_size > _MOST:
        return None
    raw = zstandard.ZstdDecompressor(max_window_size=_MOST).decompress(body, allow_extra_data=False)
    found: object = _Reader(io.BytesIO(raw)).load()
    return found


def _checksum(key: str, body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM, key=key.encode("ascii")).digest()


class _Reader(pickle.Unpickler):
    """Reads pickles that name nothing but what is known."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Return what a pickle names.

        Raises:
            UnpicklingError: it is not known.
        """
        if (module_name, global_name) not in _KNOWN:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is in no part")
        return super().find_class(module_name, global_name)
