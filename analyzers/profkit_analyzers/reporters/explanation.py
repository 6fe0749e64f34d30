"""An explanation as a page of text: each group of samples, what it is blamed on, and what decided that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from profkit_analyzers.attribution.explanation import RULES, Explanation, Role, SampleGroup, Step
from profkit_analyzers.attribution.rulings import Rule
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import counted, seconds, share
from profkit_analyzers.reporters.terminal import Screen, clipped, printable, written
from profkit_analyzers.reporters.text import NO_CODE
from profkit_storage import State
from profkit_storage.categories import Word

_TOLERANCE = 1.01
_MOST_PASSED = 8
_MOST_CALLERS = 3
_INDENT = " " * 4
_LABEL = 10
_COLUMNS = (
    Column("#", right=True),
    Column("seconds", right=True, style="bold"),
    Column("share", right=True),
    Column("state"),
    Column("category", shrink=True, style="cyan"),
    Column("owner", shrink=True),
    Column("call site", shrink=True, keep_end=True),
)
_SAYS = {
    Role.TRANSPORT: "transport, hands on",
    Role.WAIT: "a wait, hands on",
    Role.UNNAMED: "no rule names it",
    Role.APPLICATION: "the application's own code",
}


def render(explanation: Explanation, screen: Screen, top: int) -> str:
    """Return the page, with the `top` groups that have the most seconds."""
    return written(_lines(explanation, screen, top), screen)


def _lines(explanation: Explanation, screen: Screen, top: int) -> Iterator[Text | str]:
    category = explanation.category or "no category"
    yield Text(_fit(f"{explanation.operation} ({category})", screen), style="bold")
    total = sum(group.seconds for group in explanation.groups) + explanation.unobserved
    beside = total > explanation.wall * _TOLERANCE
    several = f"; {seconds(total)} of threads and tasks side by side" if beside else ""
    yield _fit(f"profile {explanation.id}, {seconds(explanation.wall)}{several}", screen)
    shown = explanation.groups[:top]
    rows = [_cells(rank, group, total) for rank, group in enumerate(shown, start=1)]
    titles, *lines = in_columns(_COLUMNS, rows, screen.width)
    yield ""
    yield titles
    for line, group in zip(lines, shown, strict=True):
        yield line
        for label, text in _reasons(group):
            yield Text(_fit(f"{_INDENT}{label:{_LABEL}}{text}", screen), style="dim" if screen.color else "")
    yield from _rest(explanation, top)


def _rest(explanation: Explanation, top: int) -> Iterator[str]:
    left = explanation.groups[top:]
    if left:
        spent = seconds(sum(group.seconds for group in left))
        yield f"and {counted(len(left), 'smaller group')}, {spent} in all: see --top"
    yield ""
    yield f"not observed: {seconds(explanation.unobserved)}"


def _cells(rank: int, group: SampleGroup, total: float) -> list[str]:
    blame = group.blame
    category = f"{blame.category}/{blame.subcategory}" if blame.subcategory else blame.category
    part = share(group.seconds / total) if total else ""
    site = str(blame.call_site) or NO_CODE
    return [str(rank), seconds(group.seconds), part, group.state, category, blame.owner, site]


def _reasons(group: SampleGroup) -> Iterator[tuple[str, str]]:
    """Yield (label, text): the rule, what it went by, and the frames nearer to the leaf that did not decide."""
    yield f"rule {int(group.rule)}", _rule(group)
    if group.decided is not None:
        yield "by", _named(group.stack[group.decided])
        yield from _callers(group.stack[group.decided + 1 :])
    if group.named is not None and group.named != group.decided:
        yield "owner by", _named(group.stack[group.named])
    if group.child is not None:
        kind = group.child.category
        how = "in flight while it was awaited" if group.child.in_flight else "running meanwhile"
        yield "by", f"operation {group.child.name} ({kind}), {counted(group.child.calls, 'call')}, {how}"
    if group.holder:
        yield "held by", group.holder
    if group.only_remote:
        yield "", "it is transport: only what is of a remote category around it could have it"
    yield from _passed(group.passed)


def _rule(group: SampleGroup) -> str:
    if group.rule is Rule.RUNTIME and group.state is State.GC:
        return "the garbage collector ran"
    if group.rule is Rule.RUNTIME:
        return "the event loop was busy with other code"
    return RULES[group.rule]


def _callers(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield who called the frame that decided, up to the application: what tells groups of one library apart."""
    functions = (index for index, step in enumerate(steps) if step.role is Role.APPLICATION)
    steps = steps[: next(functions, len(steps))]
    names = [str(step) for step in steps[:_MOST_CALLERS]]
    if len(steps) > _MOST_CALLERS:
        names.append(f"{len(steps) - _MOST_CALLERS:,} more")
    if names:
        yield "called by", ", ".join(names)


def _passed(steps: Sequence[Step]) -> Iterator[tuple[str, str]]:
    """Yield what was passed over, from the leaf on; neighbours that fit the same word are one."""
    runs = [list(run) for _, run in groupby(steps, key=lambda step: (step.role, step.word))]
    for number, run in enumerate(runs[:_MOST_PASSED]):
        more = f" and {counted(len(run) - 1, 'caller')}" if len(run) > 1 else ""
        word = f": {_word(run[0].word)}" if run[0].word else ""
        yield "" if number else "past", f"{run[0]}{more} ({_SAYS[run[0].role]}{word})"
    left = sum(map(len, runs[_MOST_PASSED:]))
    if left:
        yield "", f"and {counted(left, 'frame')} more"


def _named(step: Step) -> str:
    return f"{step}, {_word(step.word)}" if step.word else str(step)


def _word(word: Word) -> str:
    of = f" of distribution {word.distribution}" if word.distribution else ""
    return f'"{word.text}"{of} in {word.place} of {word.source}'


def _fit(text: str, screen: Screen) -> str:
    text = printable(text)
    return text if screen.width is None else clipped(text, screen.width)
