"""A report as Markdown, for an issue tracker: every name is text, whatever is in it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from profkit_analyzers.report import Bottleneck, Report
from profkit_analyzers.reporters.figures import by_hand, counted, seconds, share
from profkit_analyzers.reporters.marked import as_text, code, table
from profkit_analyzers.reporters.text import NO_CODE

_FINDINGS = 10
_COMMAND, _FRAMES = 4_000, 4
_TITLES = (
    "#", "operation", "category", "owner", "call site", "recoverable", "at least", "seconds", "share", "operations",
)  # fmt: skip


def render(report: Report, store: str) -> str:
    """Return the ranking, the seconds by category, and the evidence of each row, folded in."""
    return "\n".join(_lines(report, store)) + "\n"


def _lines(report: Report, store: str) -> Iterator[str]:
    count = sum(stats.operations for stats in report.operations.values())
    yield f"### What slowed {as_text(store)}"
    yield ""
    stands_for = f" (for {counted(count, 'slow operation')})" if round(count) != report.profiles else ""
    nested = f"; {report.nested:,} ran inside others and are counted there" if report.nested else ""
    hand = f"; {by_hand(report.captures_by_hand)} not ranked" if report.captures_by_hand else ""
    yield f"{counted(report.profiles, 'profile')}{stands_for}, {seconds(report.seconds)}{nested}{hand}."
    if report.skipped_count:
        yield f"{report.skipped_count:,} could not be read."
    yield ""
    if report.bottlenecks:
        yield from _ranking(report)
    else:
        yield "Nothing is over the budget."
    yield ""
    yield from _findings(report)
    yield from _categories(report)
    if report.bottlenecks:
        yield ""
        yield "#### Evidence"
        for row in report.bottlenecks:
            yield ""
            yield from _evidence(row, store)


def _ranking(report: Report) -> Iterator[str]:
    yield from table(
        _TITLES,
        [
            (
                str(row.rank),
                code(row.operation, cell=True),
                as_text(f"{row.category}/{row.subcategory}" if row.subcategory else row.category),
                as_text(row.owner),
                code(str(row.call_site) or NO_CODE, cell=True),
                seconds(row.recoverable),
                seconds(row.interval.low),
                seconds(row.seconds),
                share(row.share),
                f"{row.operations:,.0f}",
            )
            for row in report.bottlenecks
        ],
        figures="x....xxxxx",
    )
    left = report.bottlenecks_count - len(report.bottlenecks)
    yield ""
    more = f" Left out: {counted(left, 'smaller one')}." if left else ""
    yield (
        "Recoverable: the seconds over the budget that would go with it; at least: the lower end of a 95 % interval, "
        f"by which they are ranked.{more}"
    )


def _findings(report: Report) -> Iterator[str]:
    if not report.findings:
        return
    yield "#### Findings"
    yield ""
    for finding in report.findings[:_FINDINGS]:
        place = code(finding.place or NO_CODE)
        cost = f"{seconds(finding.seconds)} in {counted(finding.operations, 'operation')}"
        yield (
            f"- **{as_text(finding.title)}**, {cost}: {code(finding.operation)} at {place}. {finding.advice}"
        )
    left = len(report.findings) - _FINDINGS
    if left > 0:
        yield f"- and {counted(left, 'smaller finding')}"
    yield ""


def _categories(report: Report) -> Iterator[str]:
    total = report.seconds or 1.0
    named = [*report.categories.items(), ("not observed", report.unobserved)]
    yield from table(
        ("category", "seconds", "share"),
        [(as_text(name), seconds(spent), share(spent / total)) for name, spent in named if spent > 0],
        figures=".xx",
    )


def _evidence(row: Bottleneck, store: str) -> Iterator[str]:
    evidence = row.evidence
    yield f"{row.rank}. {code(row.operation)}, {as_text(row.owner)} at {code(str(row.call_site) or NO_CODE)}"
    interval = f"{seconds(row.interval.low)} to {seconds(row.interval.high)}"
    yield f"   - recoverable {seconds(row.recoverable)} (95 %: {interval})"
    yield f"   - {seconds(row.critical)} of {seconds(row.seconds)} on the critical path"
    yield f"   - {row.rescued:,.0f} of {counted(row.operations, 'operation')} would be within the budget without it"
    yield f"   - seen {evidence.first_seen:%Y-%m-%d %H:%M} to {evidence.last_seen:%Y-%m-%d %H:%M} UTC"
    for name, found, more in (
        ("hosts", evidence.hosts, evidence.more_hosts),
        ("versions", evidence.versions, evidence.more_versions),
    ):
        if found:
            yield f"   - {name}: {', '.join(map(code, found))}{' and more' if more else ''}"
    if evidence.hottest_stack:
        inner = " > ".join(map(code, evidence.hottest_stack[-_FRAMES:]))
        yield f"   - hottest stack{', its end' if len(evidence.hottest_stack) > _FRAMES else ''}: {inner}"
    yield f"   - {code(f'profkit show {row.exemplar} {shlex.quote(store)}', longest=_COMMAND)}"
