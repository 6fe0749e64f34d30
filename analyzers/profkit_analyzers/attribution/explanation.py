"""Why each second of one profile went where it did: the rulings of rulings.py with their evidence.

What decides is rulings.py alone, for the ranking as for this; here is only looked up what it went by.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from profkit_analyzers.attribution.blame import Blame, function_name
from profkit_analyzers.attribution.rulings import Blamer, Rule, Ruling
from profkit_storage import Frame, Origin, Profile, Sample, State
from profkit_storage.categories import CategoryTable, Kind, Word

EXPLANATION_SCHEMA = 1
_DIGITS = 6
RULES: Mapping[Rule, str] = {
    Rule.RUNTIME: "the event loop was busy with other code, or the garbage collector ran",
    Rule.LIBRARY: "a library that the innermost application function called, the one nearest to the leaf",
    Rule.CHILD: "the innermost child operation with a category",
    Rule.AROUND: "a library further up, which called the innermost application function",
    Rule.OPERATION: "no library and no child operation: the operation's own category",
    Rule.TRANSPORT: "transport without an owner, inside nothing of a remote category: http",
}


class Role(enum.StrEnum):
    """What a frame is in the choice of an owner: it may be one, hands on to the one above, or has no say."""

    OWNER = "owner"
    TRANSPORT = "transport"
    WAIT = "wait"
    APPLICATION = "application"
    UNNAMED = "unnamed"


_ROLES = {Kind.OWNER: Role.OWNER, Kind.TRANSPORT: Role.TRANSPORT, Kind.WAIT: Role.WAIT}


@dataclass(frozen=True, slots=True)
class Step:
    """One frame of a stack, with the `word` of the rules it fits; None for one that no rule names."""

    name: str
    line: int
    role: Role
    word: Word | None = None

    def __str__(self) -> str:
        return f"{self.name} (line {self.line})" if self.line else self.name


@dataclass(frozen=True, slots=True)
class ChildReason:
    """The child operation that decided: in how many `calls` of it the seconds were.

    `in_flight`: it was in flight while the operation waited for others; else it covered most of each sample.
    """

    name: str
    category: str
    calls: int
    in_flight: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleGroup:
    """Samples with the same stack, state and outcome; `seconds` of them, `inferred` those that no look saw.

    `stack` begins at the leaf. `decided` is the index of the frame in it that decided, and `named` of the one that gave
    the owner's name, None where no frame did. `holder` is what had the event loop, "" if nothing.
    """

    seconds: float
    inferred: float
    samples: int
    state: State
    blame: Blame
    rule: Rule
    stack: tuple[Step, ...]
    decided: int | None = None
    named: int | None = None
    child: ChildReason | None = None
    holder: str = ""

    @property
    def passed(self) -> tuple[Step, ...]:
        """The frames nearer to the leaf than what decided; up to the application's function if no frame did."""
        if self.rule is Rule.RUNTIME:
            return ()
        if self.decided is not None:
            return self.stack[: self.decided]
        functions = (index for index, step in enumerate(self.stack) if step.role is Role.APPLICATION)
        return self.stack[: next(functions, len(self.stack))]

    @property
    def only_remote(self) -> bool:
        """Whether it is transport that no library owned, so that only remote categories could have it."""
        if self.rule in (Rule.RUNTIME, Rule.LIBRARY):
            return False
        below = next((at for at, step in enumerate(self.stack) if step.role is Role.APPLICATION), None)
        return any(step.role is Role.TRANSPORT for step in self.stack[:below])


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where the seconds of one profile went, and why: the `groups`' and `unobserved` are its wall time.

    `groups` are in order of their seconds, the most first. Of a capture of the whole process they are thread-seconds.
    """

    id: str
    operation: str
    category: str
    wall: float
    unobserved: float
    groups: tuple[SampleGroup, ...] = field(default=())

    def seconds(self) -> dict[Blame, float]:
        """Return the groups' seconds by blame, as the ranking has them."""
        found: dict[Blame, float] = {}
        for group in self.groups:
            found[group.blame] = found.get(group.blame, 0.0) + group.seconds
        return found

    def to_dict(self, top: int | None = None) -> dict[str, object]:
        """Return it as plain values for JSON, schema 1; with `top`, so many groups only."""
        return {
            "schema": EXPLANATION_SCHEMA,
            "id": self.id,
            "operation": self.operation,
            "category": self.category,
            "seconds": round(self.wall, _DIGITS),
            "unobserved": round(self.unobserved, _DIGITS),
            "rules": {str(int(rule)): text for rule, text in RULES.items()},
            "groups": [_group(group) for group in self.groups[:top]],
            "groups_count": len(self.groups),
        }


def explain(profile: Profile, table: CategoryTable) -> Explanation:
    """Return where the profile's seconds went and why, by the rules in `table`."""
    drafts: dict[tuple[object, ...], _Draft] = {}
    for sample, ruling, seconds in Blamer(profile, table).rulings():
        child = None if ruling.child is None else (ruling.child.name, ruling.child.category)
        key = sample.node, sample.state, sample.holder, ruling.rule, ruling.blame, child, ruling.in_flight
        if key not in drafts:
            drafts[key] = _Draft(sample, ruling)
        drafts[key].add(sample, ruling, seconds)
    groups = [draft.group(profile, table) for draft in drafts.values()]
    groups.sort(key=lambda group: (-group.seconds, group.blame, [str(step) for step in group.stack]))
    return Explanation(
        id=profile.id,
        operation=profile.operation,
        category=profile.category,
        wall=profile.wall,
        unobserved=profile.sampling.unobserved,
        groups=tuple(groups),
    )


class _Draft:
    """A group in the making: its first sample and ruling, which those that follow are like."""

    def __init__(self, sample: Sample, ruling: Ruling) -> None:
        self._sample = sample
        self._ruling = ruling
        self._seconds = 0.0
        self._inferred = 0.0
        self._count = 0
        self._calls: set[int] = set()

    def add(self, sample: Sample, ruling: Ruling, seconds: float) -> None:
        self._seconds += seconds
        self._inferred += seconds if sample.inferred else 0.0
        self._count += 1
        if ruling.child is not None:
            self._calls.add(id(ruling.child))

    def group(self, profile: Profile, table: CategoryTable) -> SampleGroup:
        sample, ruling = self._sample, self._ruling
        nodes = _nodes(profile, sample.node)
        child = ruling.child
        return SampleGroup(
            seconds=self._seconds,
            inferred=self._inferred,
            samples=self._count,
            state=sample.state,
            blame=ruling.blame,
            rule=ruling.rule,
            stack=tuple(
                _step(profile.frames[profile.nodes[node].frame], profile.nodes[node].line, table)
                for node in nodes
            ),
            decided=None if ruling.owner is None else len(nodes) - 1 - ruling.owner.depth,
            named=None if ruling.owner is None else len(nodes) - 1 - ruling.owner.named_at,
            child=None
            if child is None
            else ChildReason(child.name, child.category, len(self._calls), ruling.in_flight),
            holder=function_name(profile.frames[sample.holder]) if sample.holder >= 0 else "",
        )


def _nodes(profile: Profile, leaf: int) -> list[int]:
    found: list[int] = []
    while leaf >= 0:
        found.append(leaf)
        leaf = profile.nodes[leaf].parent
    return found


def _step(frame: Frame, line: int, table: CategoryTable) -> Step:
    if frame.origin is Origin.APPLICATION:
        return Step(function_name(frame), line, Role.APPLICATION)
    if frame.origin is Origin.SYNTHETIC:
        return Step(function_name(frame), line, Role.WAIT)
    match = table.match(frame)
    if match is None:
        return Step(function_name(frame), line, Role.UNNAMED)
    return Step(function_name(frame), line, _ROLES[match.category.kind], match.word)


def _group(group: SampleGroup) -> dict[str, object]:
    child = group.child
    return {
        "seconds": round(group.seconds, _DIGITS),
        "inferred": round(group.inferred, _DIGITS),
        "samples": group.samples,
        "state": str(group.state),
        "category": group.blame.category,
        "subcategory": group.blame.subcategory,
        "owner": group.blame.owner,
        "call_site": str(group.blame.call_site),
        "rule": int(group.rule),
        "decided": group.decided,
        "named": group.named,
        "only_remote": group.only_remote,
        "child": None
        if child is None
        else {
            "name": child.name,
            "category": child.category,
            "calls": child.calls,
            "in_flight": child.in_flight,
        },
        "holder": group.holder,
        "stack": [_shown(step) for step in group.stack],
    }


def _shown(step: Step) -> dict[str, object]:
    return {
        "frame": step.name,
        "line": step.line,
        "role": str(step.role),
        "word": None if step.word is None else step.word._asdict(),
    }
