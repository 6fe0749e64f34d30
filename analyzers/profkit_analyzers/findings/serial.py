"""Serial awaits: requests of one function, each awaited before the next is begun.

Whether one needs another's answer no profile can tell. So the seconds, those of all but the longest, are an upper
bound on what would be saved if none does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from profkit_analyzers.attribution.blame import function_name
from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.marks import APPLICATION, HEAD, MODEL, REQUEST, SLEEP
from profkit_analyzers.findings.pattern import Found, Pattern, Told, nanoseconds
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import NANO, Sight
from profkit_storage import Frame

LEAST_STEP = 0.05
"""Seconds of a request that counts: a shorter one may as well stay where it is."""


class _Function(NamedTuple):
    """One activation of an application's function, as far as stacks tell: its task, and the stack that called it."""

    branch: int
    caller: int
    frame: Frame
    model: bool


class _Request:
    """The request that a task was in at the last look: its stack, and how far its answer had come."""

    __slots__ = ("begun", "read", "stack")

    def __init__(self) -> None:
        self.stack = -1
        self.begun = self.read = False

    def turn(self, stack: int, bits: int) -> bool:
        """Take a look at `stack`, a request or -1, with what is near there; tell whether it is another request.

        The same call waits for the beginning of an answer once only, unless it was tried again after a sleep.
        """
        head = bool(bits & HEAD)
        another = stack != self.stack or (head and self.read)
        if another or bits & SLEEP:
            self.begun = self.read = False
        self.stack = stack
        self.begun = self.begun or head
        self.read = self.begun and not head
        return another


class _Step:
    """One stretch of waiting for a request; `stack` is where the function was meanwhile."""

    __slots__ = ("seconds", "stack")

    def __init__(self, stack: int) -> None:
        self.stack = stack
        self.seconds = 0.0


class _Caller(NamedTuple):
    """A function around a request: its steps so far, and the stack where it makes, or leads to, this one."""

    steps: list[_Step]
    stack: int
    innermost: bool


def _look(scene: Scene) -> Iterator[Sight]:
    if not scene.every & REQUEST or not scene.suspended:
        return
    if not scene.matters(scene.spent_near(REQUEST, running=False) - LEAST_STEP):
        return
    for function, steps in _functions(scene).items():
        long = [step for step in steps if step.seconds >= LEAST_STEP]
        saved = sum(step.seconds for step in long) - max((step.seconds for step in long), default=0.0)
        if len(long) < 2 or not scene.matters(saved):
            continue
        name = function_name(function.frame)
        lines = [scene.line(step.stack) for step in long]
        longest = nanoseconds(max(step.seconds for step in long))
        yield Sight(name, "", saved, (len(long),), (longest, -min(lines), max(lines)))


def _functions(scene: Scene) -> dict[_Function, list[_Step]]:
    """Return the requests that each function awaited, in order of time.

    Seen from further out, all that a function waits for at one place is one step: those in it are the inner one's.
    """
    found: dict[_Function, list[_Step]] = {}
    tasks = {branch: _Request() for branch in scene.suspended}
    callers: dict[tuple[int, int], list[_Caller]] = {}
    requests, near = scene.requests, scene.near
    for stack, seconds, branch, waiting in scene.looks:
        if branch not in tasks:
            continue
        request = requests[stack]
        fresh = tasks[branch].turn(request, near[stack])
        if request < 0:
            continue
        around = callers.get((branch, request))
        if around is None:
            around = callers[branch, request] = _callers(scene, branch, request, found)
        for steps, place, innermost in around:
            if not steps or steps[-1].stack != place or (fresh and innermost):
                steps.append(_Step(place))
            if waiting:
                steps[-1].seconds += seconds
    return found


def _callers(scene: Scene, branch: int, request: int, found: dict[_Function, list[_Step]]) -> list[_Caller]:
    """Return the application's functions around a request, innermost first; add those that are new to `found`."""
    around: list[_Caller] = []
    model = bool(scene.near[request] & MODEL)
    stack = scene.sites[request]
    while stack >= 0:
        caller = scene.caller(stack)
        if scene.leaf(stack) & APPLICATION:
            steps = found.setdefault(_Function(branch, caller, scene.frame(stack), model), [])
            around.append(_Caller(steps, stack, not around))
        stack = caller
    return around


def _tell(found: Found) -> Told:
    longest, first, last = found.tally.peaks
    return Told(
        "If none needs another's answer, await them together: asyncio.gather or a TaskGroup.",
        (
            Evidence(
                "saved at the most, if none needs another's answer", found.tally.seconds / NANO, Unit.SECONDS
            ),
            Evidence("requests in an operation, one after the other", found.per_operation(0), Unit.COUNT),
            Evidence("the first at line", str(-first), Unit.NAME),
            Evidence("the last at line", str(last), Unit.NAME),
            Evidence("the longest request", longest / NANO, Unit.SECONDS),
            found.share,
        ),
    )


PATTERNS = (Pattern("serial_awaits", _look, _tell),)
