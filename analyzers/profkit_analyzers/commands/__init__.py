"""The `profkit` command: one file a command, and one place where errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import TextIO

import click

from profkit_analyzers.commands.analyze import analyze
from profkit_analyzers.commands.compact import compact
from profkit_analyzers.commands.diff import diff
from profkit_analyzers.commands.doctor import doctor
from profkit_analyzers.commands.explain import explain
from profkit_analyzers.commands.export import export
from profkit_analyzers.commands.find import find
from profkit_analyzers.commands.list import list_profiles
from profkit_analyzers.commands.output import OutputClosed
from profkit_analyzers.commands.prune import prune_profiles
from profkit_analyzers.commands.show import show
from profkit_analyzers.commands.slo import slo
from profkit_analyzers.commands.token import make_token
from profkit_analyzers.commands.trend import trend
from profkit_analyzers.reporters.terminal import printable
from profkit_storage import ProfkitError

_INTERRUPTED = 130


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("profkit"), prog_name="profkit")
@click.pass_context
def profkit(context: click.Context) -> None:
    """Look into stored profiles of slow operations.

    STORE is where they are kept: a directory, or an address such as file:///var/lib/profkit. It may be left out where
    PROFKIT_STORAGE is set.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


profkit.add_command(analyze)
profkit.add_command(diff)
profkit.add_command(trend)
profkit.add_command(list_profiles)
profkit.add_command(find)
profkit.add_command(show)
profkit.add_command(explain)
profkit.add_command(export)
profkit.add_command(prune_profiles)
profkit.add_command(doctor)
profkit.add_command(compact)
profkit.add_command(slo)
profkit.add_command(make_token)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, having written what went wrong as one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    try:
        result: object = profkit.main(arguments, prog_name="profkit", standalone_mode=False)
        sys.stdout.flush()
    except (OutputClosed, BrokenPipeError):
        _discard(sys.stdout)
        return OutputClosed.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except click.ClickException as error:
        return _failed(error.format_message(), error.exit_code)
    except ProfkitError as error:
        return _failed(str(error), error.exit_code)
    return result if isinstance(result, int) else 0


def _failed(message: str, code: int) -> int:
    click.echo(f"profkit: {printable(' '.join(message.split()))}", err=True)
    return code


def _never_fail(stream: TextIO) -> None:
    """Let letters that the stream's encoding lacks be written as escapes."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _discard(stream: TextIO) -> None:
    """Let what is still buffered for a reader that is gone be written to nowhere, or the interpreter complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
