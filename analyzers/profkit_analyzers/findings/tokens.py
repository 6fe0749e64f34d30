"""Time to the first token of a streamed answer, against the time it then streams, where tags carry the first.

Looked for on child operations, and on the operation itself if it has no such child. The names are OpenTelemetry's
conventions for generative AI, and the two words that are used without it. Seconds; with `_ms` at the end, milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import NANO, Sight

FIRST_TOKEN_TAGS = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.response.time_to_first_token",
    "gen_ai.server.time_to_first_token",
    "time_to_first_token",
    "ttft",
)
_UNITS = dict.fromkeys(FIRST_TOKEN_TAGS, 1.0) | {f"{name}_ms": 1000.0 for name in FIRST_TOKEN_TAGS}
MODEL_TAGS = ("gen_ai.response.model", "gen_ai.request.model", "model")
LEAST_ANSWER = 1.0
"""Seconds of one streamed answer: a reader waits for no shorter one."""
_FOREVER = 1e9
_WAIT = "waits"
_STREAM = "streams"
_JITTER = 0.05
"""Seconds by which the application's clock may say more than the operation took."""


def _look(scene: Scene) -> Iterator[Sight]:
    profile = scene.profile
    answers = [
        found
        for child in profile.children
        if child.tags and (found := _answer(child.name, child.tags, child.end - child.start))
    ]
    if not answers and profile.tags:
        own = _answer(profile.operation, profile.tags, profile.wall)
        answers = [own] if own else []
    sums: dict[tuple[str, str], list[float]] = {}
    for name, model, first, rest in answers:
        entry = sums.setdefault((name, model), [0.0, 0.0, 0.0, 0.0])
        entry[0] += first
        entry[1] += rest
        entry[2] += 1
        entry[3] = max(entry[3], first)
    for (name, model), (first, rest, count, longest) in sums.items():
        seconds = max(first, rest)
        if scene.matters(seconds):
            kind = _WAIT if first >= rest else _STREAM
            times = nanoseconds(first), nanoseconds(rest), int(count)
            yield Sight(name, f"{kind} {model}", seconds, times, (nanoseconds(longest),))


def _answer(name: str, tags: Mapping[str, object], took: float) -> tuple[str, str, float, float] | None:
    """Return (name, model, seconds to the first token, seconds after it) of one answer, if its tags say so."""
    first = _first_token(tags)
    if first is None or took < LEAST_ANSWER or first > took + _JITTER:
        return None
    model = next((str(tags[tag]) for tag in MODEL_TAGS if tags.get(tag)), "")
    return name, model, min(first, took), max(0.0, took - first)


def _first_token(tags: Mapping[str, object]) -> float | None:
    if _UNITS.keys().isdisjoint(tags):
        return None
    for name, unit in _UNITS.items():
        value = tags.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value) / unit if 0 <= value < _FOREVER else None
    return None


def _tell(found: Found) -> Told:
    kind, _, model = found.subject.partition(" ")
    first, rest = found.tally.sums[0], found.tally.sums[1]
    if kind == _WAIT:
        advice = (
            "The wait is before the first token: send a shorter prompt, keep its beginning the same so that"
            " it is cached, look for a queue or a limit at the provider, or take a faster model."
        )
    else:
        advice = (
            "The time is in streaming: ask for a shorter answer, take a model that writes faster,"
            " and show the answer while it comes."
        )
    return Told(
        advice,
        (
            *([Evidence("model", model, Unit.NAME)] if model else []),
            Evidence("to the first token, an answer", _mean(first, found), Unit.SECONDS),
            Evidence("streaming after it, an answer", _mean(rest, found), Unit.SECONDS),
            found.longest("the longest wait for a first token"),
            Evidence("answers in an operation", found.per_operation(2), Unit.COUNT),
        ),
    )


def _mean(total: int, found: Found) -> float:
    answers = found.tally.sums[2]
    return total / answers / NANO if answers else 0.0


PATTERNS = (Pattern("time_to_first_token", _look, _tell),)
