"""The load under a progress bar."""

from __future__ import annotations

import asyncio

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.driver import Outcome, run_plan
from demo.options import Options
from demo.plan import make_plan
from shop.settings import Plant


def run_load(url: str, sizes: dict[Plant, int], options: Options, console: Console) -> list[Outcome]:
    """Drive the service at `url` as `options` say; the outcomes come in the order in which they were done."""
    return asyncio.run(_run(url, sizes, options, console))


async def _run(url: str, sizes: dict[Plant, int], options: Options, console: Console) -> list[Outcome]:
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        plan = make_plan(options.requests, options.seconds, options.rounds, sizes)
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("requests", total=len(plan))

            def done(outcome: Outcome) -> None:
                outcomes.append(outcome)
                progress.advance(bar)

            await run_plan(client, plan, done)
    return outcomes
