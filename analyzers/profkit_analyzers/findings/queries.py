"""N+1: what one call could fetch is asked for one by one.

Two ways to see it. Child operations of one name, one after the other under the same parent, are counted exactly. Else
the stack tells: a query that was seen, was gone at a later look and is seen again was sent twice. So of calls from one
line, reached by one path, this counts too few and never too many: what fetches rows, or sends many queries at once, is
no query by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import BATCH, DATABASE, QUERY
from profkit_analyzers.findings.pattern import Found, Pattern, Told
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import Sight
from profkit_storage import ChildOperation

LEAST_CALLS = 10
"""Of one site in one operation. Fewer may be the parts of a page, each with its own query."""
_JITTER = 0.001
"""Seconds by which a call may start before the one before it has ended, by the clock, and still be after it."""
_QUERY = "n_plus_one_query"
_CALL = "n_plus_one_call"


def _queries(scene: Scene) -> Iterator[Sight]:
    children = list(_groups(scene, "db"))
    yield from children
    told = sum(sight.seconds for sight in children)
    if not scene.every & QUERY:
        return
    seconds = {site: spent for site, spent in _seconds_by_site(scene).items() if scene.matters(spent)}
    if not seconds:
        return
    for site, calls in _calls_by_site(scene).items():
        spent = seconds.get(site, 0.0)
        if calls < LEAST_CALLS or not spent:
            continue
        # Children that were counted exactly are most likely these very queries.
        if told >= spent * (calls - 1) / calls / 2:
            told -= spent
            continue
        yield Sight(str(scene.call_site(site)), "seen", spent * (calls - 1) / calls, (calls,), (calls,))


def _calls(scene: Scene) -> Iterator[Sight]:
    yield from _groups(scene, "http")


def _groups(scene: Scene, reported: str) -> Iterator[Sight]:
    """Yield the groups of children of a category that came one after the other."""
    children = scene.profile.children
    if len(children) < LEAST_CALLS:
        return
    groups: dict[tuple[str, str, int], list[ChildOperation]] = {}
    for child in children:
        groups.setdefault((child.name, child.category, child.parent), []).append(child)
    found: dict[str, tuple[int, float]] = {}
    for (name, category, _), group in groups.items():
        if len(group) < LEAST_CALLS or scene.table.category(category).reported != reported:
            continue
        chain = _one_by_one(group)
        if len(chain) < LEAST_CALLS:
            continue
        spent = sum(child.end - child.start for child in chain) * (len(chain) - 1) / len(chain)
        calls, seconds = found.get(name, (0, 0.0))
        found[name] = calls + len(chain), seconds + spent
    for name, (calls, seconds) in found.items():
        if scene.matters(seconds):
            yield Sight(name, "counted", seconds, (calls,), (calls,))


def _one_by_one(group: list[ChildOperation]) -> list[ChildOperation]:
    """Return those of a group that began when the one before had ended: side by side they are a fan-out, no loop."""
    chain: list[ChildOperation] = []
    free = -1.0
    for child in sorted(group, key=lambda child: (child.start, child.end)):
        if child.start >= free - _JITTER:
            chain.append(child)
        free = max(free, child.end)
    return chain


def _seconds_by_site(scene: Scene) -> dict[int, float]:
    found: dict[int, float] = {}
    near, sites = scene.near, scene.sites
    for stack, seconds in scene.spent():
        if near[stack] & DATABASE:
            site = sites[stack]
            found[site] = found.get(site, 0.0) + seconds
    return found


def _calls_by_site(scene: Scene) -> dict[int, int]:
    """Return how many queries were sent at least, by the path of calls that sent them."""
    queries, sites, covered = scene.queries, scene.sites, _covered(scene)
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    for stack, _, branch, _ in scene.looks:
        query = -1 if queries[stack] in covered else queries[stack]
        if query >= 0 and query != last.get(branch, -1):
            site = sites[query]
            found[site] = found.get(site, 0) + 1
        last[branch] = query
    return found


def _covered(scene: Scene) -> set[int]:
    """Return the queries with another one below them in some stack: those of an ORM, not of the driver.

    One call of an ORM is several stacks, of which some are below the driver's call and some beside it. Of the driver's
    own call all are below it.
    """
    found: set[int] = set()
    for query in {_query(scene, stack) for stack in set(scene.stacks)}:
        above = query
        while above >= 0 and (above := _query(scene, scene.caller(above))) >= 0 and above not in found:
            found.add(above)
    return found


def _query(scene: Scene, stack: int) -> int:
    """Return the innermost query at or above a stack: of what is sent with many others, the one around these."""
    while stack >= 0 and scene.near[stack] & BATCH:
        stack = scene.caller(stack)
    return scene.queries[stack] if stack >= 0 else -1


def _told(found: Found, what: str, advice: str) -> Told:
    exact = found.subject == "counted"
    return Told(
        advice,
        (
            Evidence(
                f"{what} in an operation{'' if exact else ', at least'}", found.per_operation(0), Unit.COUNT
            ),
            Evidence("the most in one operation", found.tally.peaks[0], Unit.COUNT),
            found.share,
        ),
    )


def _tell_queries(found: Found) -> Told:
    return _told(
        found,
        "queries one by one",
        "Fetch them with one query: a join, an IN list, the ORM's eager loading, or a pipeline.",
    )


def _tell_calls(found: Found) -> Told:
    return _told(
        found,
        "calls one by one",
        "Ask for all of them with one call where the service has one for it; else make the calls side by side.",
    )


PATTERNS = (Pattern(_QUERY, _queries, _tell_queries), Pattern(_CALL, _calls, _tell_calls))
