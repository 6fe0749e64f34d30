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
    stream = sys.stdout
    text = text if text.endswith("\n") else text + "\n"
    try:
        stream.flush()
        # With PYTHONUNBUFFERED a text stream takes a write that was cut short for a whole one.
        rest = memoryview(text.encode(stream.encoding or "utf-8", stream.errors or "strict"))
        while rest:
            rest = rest[stream.buffer.write(rest) :]
        stream.buffer.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error
