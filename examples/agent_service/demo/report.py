"""What the demo says at its end."""

from __future__ import annotations

import statistics

from rich.console import Console

from demo.driver import Outcome

THRESHOLD = 1.0


def show_requests(outcomes: list[Outcome], console: Console) -> None:
    """How many were fast, and each that was not."""
    seconds = sorted(outcome.seconds for outcome in outcomes)
    slow = [outcome for outcome in outcomes if outcome.seconds > THRESHOLD]
    fast = len(outcomes) - len(slow)
    console.print(
        f"{len(outcomes)} requests, {fast} ({fast / len(outcomes):.1%}) in under {THRESHOLD:g} s, "
        f"median {statistics.median(seconds) * 1000:.0f} ms"
    )
    for outcome in slow:
        console.print(f"  {outcome.seconds:5.2f} s  {outcome.request_id}  {outcome.text!r}", highlight=False)
