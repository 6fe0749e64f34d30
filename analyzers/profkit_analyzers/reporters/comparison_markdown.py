"""A comparison as Markdown, for an issue tracker: every name is text, whatever is in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import partial

from profkit_analyzers.changes.comparison import BottleneckChange, Comparison, OperationChange
from profkit_analyzers.reporters import change_figures as figures
from profkit_analyzers.reporters.marked import as_text, code, table

_COMMAND = 4_000
_EFFECT = "before", "after", "change", "95 % interval", "ratio", "verdict"
_OPERATIONS = "operation", "slow", *_EFFECT
_BOTTLENECKS = "operation", "category", "owner", "function", *_EFFECT
_cell = partial(code, cell=True)


def render(comparison: Comparison, stores: tuple[str, str], *, top: int) -> str:
    """Return the page, with all rows that have a verdict and `top` of those that have none.

    `stores` are those of the two sides, as the user wrote them.
    """
    return "\n".join(_lines(comparison, stores, top)) + "\n"


def _lines(comparison: Comparison, stores: tuple[str, str], top: int) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    yield f"### What changed from {as_text(before.name)} to {as_text(after.name)}"
    yield ""
    for title, side in (("before", before), ("after", after)):
        yield f"- {title}: {code(side.name)}, {figures.counts(side)}"
    if comparison.other_versions:
        yield f"- {figures.other_versions(comparison)}"
    if comparison.skipped_count:
        item = comparison.skipped[0]
        yield f"- {comparison.skipped_count:,} skipped, the first is {code(f'{item.key}: {item.reason}')}"
    if comparison.decomposition is not None:
        yield f"- {figures.decomposition(comparison.decomposition)}"
    yield ""
    yield "#### Seconds per slow operation, by operation"
    yield ""
    yield from table(_OPERATIONS, map(_operation, comparison.operations), figures=".xxxxxx")
    yield from _bottlenecks(*figures.chosen(comparison, top))
    yield from _worst(figures.first_regression(comparison), stores)
    rest = list(figures.notes(comparison.operations, code))
    if rest:
        yield ""
    yield from (f"- {note}" for note in rest)


def _bottlenecks(shown: Sequence[BottleneckChange], left: int) -> Iterator[str]:
    if shown:
        yield ""
        yield "#### By function"
        yield ""
        yield from table(_BOTTLENECKS, map(_bottleneck, shown), figures="....xxxxx")
    if left:
        yield ""
        yield figures.without_evidence(left)
    told = [text for row in shown if (text := figures.moved(row, code))]
    if told:
        yield ""
    yield from (f"- {text}" for text in told)


def _worst(row: BottleneckChange | None, stores: tuple[str, str]) -> Iterator[str]:
    if row is None:
        return
    yield ""
    yield "The worst run of the first of them:"
    yield ""
    for title, id, store in zip(("before", "after"), row.exemplars, stores, strict=True):
        if id:
            yield f"- {title}: {code(f'profkit show {id} {shlex.quote(store)}', longest=_COMMAND)}"


def _operation(change: OperationChange) -> list[str]:
    effect = figures.of_effect(change.seconds)
    verdict = _marked(figures.operation_verdict(change))
    return [_cell(change.operation), as_text(figures.slow(change)), *effect, verdict]


def _bottleneck(row: BottleneckChange) -> list[str]:
    place = _cell(row.operation), as_text(row.category), as_text(row.owner), _cell(figures.function_of(row))
    return [*place, *figures.of_effect(row.seconds), _marked(figures.bottleneck_verdict(row))]


def _marked(verdict: str) -> str:
    """Return the verdict, what is slower in bold."""
    return f"**{verdict}**" if verdict == "slower" else verdict
