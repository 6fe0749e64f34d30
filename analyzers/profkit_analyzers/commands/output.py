"""Writing to standard output, whose reader may be gone (`| head`), and to files, whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from profkit_storage import ProfkitError, StorageError


class OutputClosed(ProfkitError):
    """The reader of standard output is gone; nothing is said about it, the exit code is that of a closed pipe."""

    exit_code = 141


def write(text: str) -> None:
    """Write `text` and a line end to standard output.

    Raises:
        OutputClosed: nobody reads it.
    """
    text = text if text.endswith("\n") else text + "\n"
    write_bytes(text.encode(sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict"))


def write_bytes(data: bytes) -> None:
    """Write `data` to standard output as it is.

    Raises:
        OutputClosed: nobody reads it.
    """
    stream = sys.stdout
    try:
        stream.flush()
        # With PYTHONUNBUFFERED a stream takes a write that was cut short for a whole one.
        rest = memoryview(data)
        while rest:
            rest = rest[stream.buffer.write(rest) :]
        stream.buffer.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error


def write_file(data: bytes, output: str) -> None:
    """Write `data` to the file `output`: whole, or it is as it was before.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path = Path(os.path.realpath(output))
        if path.exists() and not path.is_file():  # a pipe or a device has nothing to be put in the place of
            path.write_bytes(data)
        else:
            _replace(path, data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"{output}: cannot be written: {reason}") from error


def _replace(path: Path, data: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied")
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current
