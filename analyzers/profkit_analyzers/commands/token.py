"""`profkit token`: makes a token for the debug routes."""

from __future__ import annotations

import click

from profkit_analyzers.commands.output import write
from profkit_storage import ConfigurationError


@click.command("token")
@click.option("--name", default="me", show_default=True, help="Whose it is: it is in each audit record.")
@click.option(
    "--scopes",
    default="read+profile+memory",
    show_default=True,
    help="What it may do: any of read, profile, memory, manage, joined by +.",
)
@click.option("--expires", metavar="YYYY-MM-DD", help="The last day (UTC) it is good on.")
def make_token(*, name: str, scopes: str, expires: str | None) -> None:
    """Make a token for the debug routes.

    The first line is the token, for its owner. The second is the entry for PROFKIT_DEBUG_TOKENS, or the file that
    PROFKIT_DEBUG_TOKENS_FILE names: it has the token's hash only.
    """
    try:
        from profkit.debug.tokens import entry_of, new_token
    except ImportError as error:  # it says which extra is missing
        raise ConfigurationError(str(error)) from None
    secret = new_token()
    entry = entry_of(secret, name=name, scopes=scopes, expires=expires)
    write(f"{secret}\n{entry}")
