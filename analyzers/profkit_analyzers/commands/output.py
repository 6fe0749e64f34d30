"""Where a report goes: to standard output, whose reader may be gone (`| head`), or to a file, whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from profkit_analyzers.reporters.terminal import Screen
from profkit_storage import ConfigurationError, ProfkitError, StorageError

P = ParamSpec("P")
R = TypeVar("R")


class OutputClosed(ProfkitError):
    """The reader of standard output is gone; nothing is said about it, the exit code is that of a closed pipe."""

    exit_code = 141


def output_option(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command be told a file to write to."""
    return click.option(
        "-o", "--output", metavar="FILE", help="Where to write it; standard output if not given, or -."
    )(command)


@dataclass(frozen=True, slots=True)
class Output:
    """Where a report is written: a file, or None for standard output."""

    file: str | None

    @classmethod
    def of(cls, name: str | None, format: str) -> Output:
        """Return what is meant by `name`, "-" being standard output.

        Raises:
            ConfigurationError: a page would be written to a terminal.
        """
        found = cls(None if name == "-" else name)
        if format == "html" and found.file is None and sys.stdout.isatty():
            raise ConfigurationError("--format html: is no text to read; give it a file (-o FILE) or a pipe")
        return found

    @property
    def screen(self) -> Screen:
        """What text is set for: a file may have lines of any length."""
        return Screen.of_stdout() if self.file is None else Screen()

    def write(self, text: str) -> None:
        """Write `text` and a line end.

        Raises:
            StorageError: the file cannot be written.
            OutputClosed: nobody reads it.
        """
        if self.file is None:
            write(text)
        else:
            write_file(f"{text.rstrip()}\n".encode("utf-8", "replace"), self.file)


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
