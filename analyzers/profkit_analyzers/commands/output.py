"""Writing to standard output, whose reader may be gone (`| head`)."""

from __future__ import annotations

import sys

from profkit_storage import ProfkitError


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
