"""The demo from start to end."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from demo.driver import Outcome, warm_up
from demo.load import run_load
from demo.options import Options
from demo.processes import ServerFailed, ServerProcess
from demo.report import analyze, show_commands, show_ranking, show_requests, show_tour
from demo.sizes import measure_sizes
from demo.tour import take_tour
from profkit_storage import open_storage
from shop.database import create_database

OK = 200


def run(options: Options, folder: Path, console: Console) -> None:
    """Start the service and what it needs, put it under load, look at it, stop it, and say what was found.

    Files that nobody needs afterwards go to `folder`.
    """
    _prepare(options.store, keep=options.keep)
    token = secrets.token_urlsafe(24)
    with ServerProcess("outside", folder / "outside.log") as outside:
        environment = _environment(options, folder, outside.url, token)
        with ServerProcess("shop", folder / "shop.log", environment) as shop:
            rows = create_database(folder / "shop.db")
            sizes = asyncio.run(measure_sizes(folder / "shop.db"))
            outside.wait_until_up()
            shop.wait_until_up()
            console.print(f"A database of {rows:,} rows, the service at {shop.url}.", soft_wrap=True)
            asyncio.run(warm_up(shop.url))
            started = datetime.now(UTC)
            outcomes = run_load(shop.url, sizes, options, console)
            ended = datetime.now(UTC)
            _check(outcomes, shop)
            show_requests(outcomes, console)
            _write_log(options.log, outcomes)
            show_tour(take_tour(shop.url, token), console)
            if options.keep_running:
                _show_findings(options, started, ended)
                _wait_for_interrupt(shop.url, token)
                return
    # The service has stopped, and profkit.shutdown() in it has stored what was still queued.
    _show_findings(options, started, ended)


def _show_findings(options: Options, started: datetime, ended: datetime) -> None:
    report = analyze(options.store, started, ended)
    show_ranking(report)
    show_commands(options.store, report)


def _environment(options: Options, folder: Path, outside: str, token: str) -> dict[str, str]:
    return {
        "PROFKIT_DEBUG_TOKENS": token,
        "SHOP_DATABASE": str(folder / "shop.db"),
        "SHOP_OUTSIDE": outside,
        "SHOP_LLM_API_KEY": f"sk-{secrets.token_hex(16)}",
        "SHOP_PROFILES": str(options.store.resolve()),
        "SHOP_WITHOUT": json.dumps(sorted(options.without)),
    }


def _prepare(store: Path, *, keep: bool) -> None:
    """Tell at once if the store cannot be written; take the profiles of earlier runs out unless they are kept."""
    with open_storage(store) as storage:
        for entry in [] if keep else list(storage.scan()):
            storage.delete(entry.id)


def _check(outcomes: list[Outcome], shop: ServerProcess) -> None:
    failed = [outcome for outcome in outcomes if outcome.status != OK]
    if failed:
        raise ServerFailed(
            f"{len(failed)} requests failed, the first with {failed[0].status}; {shop.end_of_log()}"
        )


def _write_log(path: Path | None, outcomes: list[Outcome]) -> None:
    if path is not None:
        path.write_text("".join(json.dumps(outcome.as_dict()) + "\n" for outcome in outcomes))


def _wait_for_interrupt(url: str, token: str) -> None:
    print(f"\nThe service keeps running until Ctrl-C. Its debug routes are at {url}/debug/, for example:")
    print(f"  curl -H 'Authorization: Bearer {token}' {url}/debug/profile")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("Stopping.")
