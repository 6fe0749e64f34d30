"""A comparison as one page that runs by itself and reaches nothing: `render`. Its size has a bound, as a report's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profkit_analyzers.changes.comparison import BottleneckChange, Comparison, OperationChange, SideStats
from profkit_analyzers.changes.effects import Effect
from profkit_analyzers.reporters import change_figures as figures
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.page.command import show_command
from profkit_analyzers.reporters.page.differences import differences_section, verdict
from profkit_analyzers.reporters.page.document import document, skipped_part
from profkit_analyzers.reporters.page.listing import Cell, Column, Words, listing, row_of
from profkit_analyzers.reporters.page.ranking import swatch_of
from profkit_analyzers.reporters.page.room import Room
from profkit_storage.formats import tables
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import markup
from profkit_storage.formats.shell import facts_list

_ROOM, _LITTLE_ROOM = 1_000_000, 300_000
_INFINITE = 1e300
_SIDES = (
    ("", ""), ("what", "code"), ("store", "code"), ("profiles", "figure"), ("inside others", "figure"),
    ("slow operations", "figure"), ("seconds", "figure"), ("first (UTC)", ""), ("last (UTC)", ""),
)  # fmt: skip
_EFFECT = tuple((title, "figure") for title in ("before", "after", "change", "95 % interval", "ratio"))
_OPERATIONS = ("operation", "code"), ("verdict", ""), ("slow", "figure"), *_EFFECT
_COLUMNS = (
    Column("#", "figure", "Regressions first, then other changes, then by size"),
    Column("operation", "code", "The slow operation"),
    Column("category", "", "What kind of code the time is blamed on"),
    Column("owner", "", "The library that owns it"),
    Column("function", "code", "Your function that calls it"),
    Column("before", "figure", "Seconds per slow operation"),
    Column("after", "figure", "Seconds per slow operation"),
    Column("change", "figure", "Seconds per slow operation, after less before"),
    Column("95 % interval", "figure", "Of the change; sorted by its lower end"),
    Column("ratio", "figure", "After by before"),
    Column("verdict", "", "What can be said, many rows being looked at"),
)


def render(comparison: Comparison, stores: tuple[str, str], *, top: int) -> str:
    """Return the page of a comparison with pictures, with all rows that have a verdict and `top` of the others.

    `stores` are those of the two sides, as the user wrote them.
    """
    parts = [
        _operations(comparison.operations),
        _bottlenecks(comparison, stores, top),
        differences_section(comparison),
        _list("What the figures leave open", list(figures.notes(comparison.operations, _bold))),
    ]
    title = f"What changed from {markup(comparison.before.name)} to {markup(comparison.after.name)}"
    return document(title, _head(comparison, stores), parts, ("ranking.js", "difference.js"))


def _head(comparison: Comparison, stores: tuple[str, str]) -> str:
    sides = ("before", comparison.before), ("after", comparison.after)
    rows = [_side(title, side, store) for (title, side), store in zip(sides, stores, strict=True)]
    told = [figures.other_versions(comparison)]
    if comparison.decomposition is not None:
        told.append(figures.decomposition(comparison.decomposition))
    return (
        tables.table(_SIDES, rows)
        + "".join(f"<p>{text}</p>" for text in told if text)
        + skipped_part(comparison.skipped, comparison.skipped_count)
    )


def _side(title: str, side: SideStats, store: str) -> list[tables.Cell]:
    first, last = (
        "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
        for moment in (side.first_seen, side.last_seen)
    )
    return [
        f"<b>{title}</b>",
        markup(side.name),
        markup(store),
        f"{side.profiles:,}",
        f"{side.nested:,}",
        f"{side.operations:,.0f}",
        in_seconds(side.seconds),
        first,
        last,
    ]


def _operations(changes: Sequence[OperationChange]) -> str:
    room, rows = Room(_LITTLE_ROOM), list[list[str]]()
    for change in changes:
        effect = figures.of_effect(change.seconds)
        slow = figures.slow(change).replace(">", "&gt;")
        row = [markup(change.operation), verdict(figures.operation_verdict(change)), slow, *effect]
        if not room.take(*row):
            break
        rows.append(row)
    left = len(changes) - len(rows)
    more = f'<p class="quiet">and {counted(left, "operation")} more</p>' if left else ""
    return (
        '<section class="flame-part" aria-labelledby="operations-title"><h2 id="operations-title">'
        f"Seconds per slow operation, by operation</h2>{tables.table(_OPERATIONS, rows)}{more}</section>"
    )


def _bottlenecks(comparison: Comparison, stores: tuple[str, str], top: int) -> str:
    chosen, left = figures.chosen(comparison, top)
    if not chosen:
        return ""
    shown = Room(_ROOM).fitting(_row(rank, row, stores) for rank, row in enumerate(chosen, start=1))
    crowded = len(chosen) - len(shown)
    more = [f"and {counted(crowded, 'row')} more"] if crowded else []
    if left:
        more.append(figures.without_evidence(left))
    words = Words(
        title="Seconds per slow operation, by function",
        reading=(
            "What is slower comes first. What has moved went to, or came from, code around it that takes as long as "
            "before. A row opens what is known of it."
        ),
        noun="table",
        hint="operation, category, owner, function or verdict",
        more="; ".join(more),
    )
    moves = [told for row in chosen if (told := figures.moved(row, _bold))]
    return listing(_COLUMNS, shown, words) + _list("What moved", moves)


def _row(rank: int, row: BottleneckChange, stores: tuple[str, str]) -> str:
    effect = row.seconds
    order = effect.before, effect.after, effect.difference, effect.interval.low, _ratio(effect)
    cells = (
        Cell(markup(row.operation)),
        Cell(f'<span class="swatch {swatch_of(row.category)}"></span>{markup(row.category)}'),
        Cell(markup(row.owner)),
        Cell(markup(figures.function_of(row))),
        *map(Cell, figures.of_effect(effect), order),
        Cell(verdict(figures.bottleneck_verdict(row))),
    )
    return row_of(rank, _COLUMNS, cells, _evidence(row, stores))


def _ratio(effect: Effect) -> float:
    """Return what a ratio is sorted by: what was not there before comes first."""
    return _INFINITE if effect.ratio is None else effect.ratio


def _evidence(row: BottleneckChange, stores: tuple[str, str]) -> str:
    commands = "".join(
        f"<li>{title}: {show_command(id, store)}</li>"
        for title, id, store in zip(("before", "after"), row.exemplars, stores, strict=True)
        if id
    )
    worst = f'<p class="quiet">The runs with most of its seconds</p><ul class="commands">{commands}</ul>'
    moved = figures.moved(row, _bold)
    return (
        facts_list(_facts(row.seconds))
        + (f'<p class="told">{moved}</p>' if moved else "")
        + (worst if commands else "")
    )


def _facts(effect: Effect) -> Iterator[tuple[str, str]]:
    yield "change", f"{figures.signed(effect.difference)} (95 %: {figures.interval(effect.interval)})"
    if effect.ratio_interval is not None:
        low, high = effect.ratio_interval
        yield "ratio", f"{figures.ratio(effect)} (95 %: {low:.2f} to {high:.2f})"
    yield "p", f"{effect.p:.2g}"


def _list(title: str, sentences: Sequence[str]) -> str:
    items = Room(_LITTLE_ROOM).fitting(f"<li>{text}</li>" for text in sentences)
    left = len(sentences) - len(items)
    if left:
        items.append(f"<li>and {left:,} more</li>")
    return f'<section class="told"><h2>{title}</h2><ul>{"".join(items)}</ul></section>' if items else ""


def _bold(name: str) -> str:
    return f"<b>{markup(name)}</b>"
