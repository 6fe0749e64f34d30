"""Python and the process: versions, command line, uptime."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import TypedDict

import psutil

from profkit.masking import Masker
from profkit.masking.arguments import hide_arguments

MAX_ARGUMENTS = 200


class PythonReport(TypedDict):
    """The interpreter; `gil` says whether it has its lock."""

    version: str
    implementation: str
    platform: str
    gil: bool


class ProcessReport(TypedDict):
    """The process; `uptime` in seconds, None where the system refuses to tell."""

    pid: int
    uptime: float | None
    command_line: list[str]
    cpu_count: int | None


def python_report(masker: Masker) -> PythonReport:
    """What the process runs on."""
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": masker.mask_text(platform.platform()),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
    }


def process_report(masker: Masker) -> ProcessReport:
    """The process itself, its command line masked."""
    process = psutil.Process()
    try:
        uptime: float | None = round(max(0.0, time.time() - process.create_time()), 3)
        arguments: list[str] | None = process.cmdline()
    except (psutil.Error, OSError):
        uptime, arguments = None, [_executable(), *sys.argv]
    return {
        "pid": os.getpid(),
        "uptime": uptime,
        "command_line": mask_arguments(arguments or [], masker),
        "cpu_count": os.cpu_count(),
    }


def mask_arguments(arguments: list[str], masker: Masker) -> list[str]:
    """A command line without secrets: `--token=x`, `--token x`, `mysql -px`, `TOKEN=x`; at most 200 arguments."""
    looked_at = arguments[:MAX_ARGUMENTS]
    hidden = hide_arguments(looked_at, masker.is_secret)
    shown = [hidden[at] if at in hidden else masker.mask_text(one) for at, one in enumerate(looked_at)]
    left = len(arguments) - len(shown)
    return [*shown, f"... ({left} more)"] if left else shown


def _executable() -> str:
    """The interpreter's file name."""
    return Path(sys.executable or "python").name
