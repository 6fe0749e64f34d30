"""Operations that wait in an event loop, beside a task of somebody else's that holds it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial

from benchmarks.guards.measuring import Measurement, watching
from benchmarks.guards.shares import anywhere, in_state, innermost
from benchmarks.guards.work import spin
from profkit_storage import Profile, State

_BESIDE = "beside a task that has 30 % of the loop"
_LONG_STEP = 0.05
"""Seconds from which a step of another task's counts as holding the loop from one that waits for I/O."""


@dataclass
class Clock:
    """What the clock says: the seconds of each branch, when others had the loop, and when timers were late.

    `late` has (due, called, how many waited at once) of each timer.
    """

    seconds: dict[str, float] = field(default_factory=dict[str, float])
    ended: dict[str, float] = field(default_factory=dict[str, float])
    steps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    late: list[tuple[float, float, int]] = field(default_factory=list[tuple[float, float, int]])

    async def sleep(self, seconds: float, among: int = 1) -> None:
        """Sleep, one of `among` that wait at once."""
        due = time.perf_counter() + seconds
        await asyncio.sleep(seconds)
        self.late.append((due, time.perf_counter(), among))

    def starved(self) -> float:
        """Return the seconds for which a timer was due while others had the loop."""
        return sum(self._others(due, called) / among for due, called, among in self.late)

    def held(self, began: float, ended: float) -> float:
        """Return the seconds for which others had the loop, of those steps that count as holding it."""
        return self._others(began, ended, _LONG_STEP)

    def _others(self, began: float, ended: float, at_least: float = 0.0) -> float:
        clipped = (min(end, ended) - max(start, began) for start, end in self.steps)
        return sum(seconds for seconds in clipped if seconds > at_least)


def gather_beside_neighbour() -> tuple[Measurement, ...]:
    """`gather(db 0.3 s, llm 0.8 s)`: halves while both wait, the rest the longer's, and nothing of the other task."""
    clock = Clock()
    profile = _profile_of(_gather, clock, step=0.03, pause=0.07)
    seen = innermost(profile, clock.seconds)
    errors = [abs(seen[name] / clock.seconds[name] - 1) * 100 for name in clock.seconds]
    detail = ", ".join(f"{name} {seen[name]:.3f} s of {clock.seconds[name]:.3f} s" for name in clock.seconds)
    foreign = anywhere(profile, hold_the_loop.__qualname__)
    wrong = f"of {profile.wall:.2f} s; held by {_holders(profile)}"
    return (
        Measurement(f"gather {_BESIDE}: db and llm", max(errors), 5.0, "% of the clock's", detail, slack=5.0),
        Measurement("the same: the other task's frames", foreign, 0.0, "s", wrong),
        _states("the same", profile, clock.starved(), 0.0),
    )


def timers_beside_neighbour() -> tuple[Measurement, ...]:
    """Timers that are often due while another task has the loop: starved."""
    clock = Clock()
    profile = _profile_of(_sleep_often, clock, step=0.03, pause=0.07)
    return (_states(f"timers {_BESIDE}", profile, clock.starved(), 0.0),)


def socket_beside_neighbour() -> tuple[Measurement, ...]:
    """A socket, while one step after the other takes a tenth of a second: held."""
    clock = Clock()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        # Started before the operation, which else would be waiting for this thread too.
        answer = threading.Timer(1.6, theirs.send, (b"done",))
        answer.start()
        profile = _profile_of(partial(_receive, ours), clock, step=0.1, pause=0.1)
        answer.join()
    ended = clock.ended["received"]
    held = clock.held(ended - profile.wall, ended)
    return (_states("a socket beside steps of 0.1 s", profile, 0.0, held),)


async def ask_db(clock: Clock) -> None:
    """Wait for 0.3 s."""
    await _wait_as("ask_db", clock, 0.3)


async def ask_llm(clock: Clock) -> None:
    """Wait for 0.8 s."""
    await _wait_as("ask_llm", clock, 0.8)


async def hold_the_loop(step: float, pause: float, clock: Clock) -> None:
    """Take a part of the loop's time; no part of any operation."""
    while True:
        start = time.perf_counter()
        spin(step)
        clock.steps.append((start, time.perf_counter()))
        await asyncio.sleep(pause)


async def _wait_as(name: str, clock: Clock, seconds: float) -> None:
    await clock.sleep(seconds, among=1 if clock.ended else 2)
    clock.ended[name] = time.perf_counter()


async def _gather(clock: Clock) -> None:
    start = time.perf_counter()
    await asyncio.gather(ask_db(clock), ask_llm(clock))
    both = clock.ended["ask_db"] - start
    clock.seconds = {"ask_db": both / 2, "ask_llm": clock.ended["ask_llm"] - start - both / 2}
    spin(0.05)  # until after the other task's timer, so that it has the loop when the next one is due
    await clock.sleep(0.01)


async def _sleep_often(clock: Clock) -> None:
    until = time.perf_counter() + 1.5
    while time.perf_counter() < until:
        await clock.sleep(0.005)


async def _receive(connection: socket.socket, clock: Clock) -> None:
    await asyncio.get_running_loop().sock_recv(connection, 4)
    clock.ended["received"] = time.perf_counter()


def _profile_of(
    operation: Callable[[Clock], Coroutine[None, None, None]], clock: Clock, *, step: float, pause: float
) -> Profile:
    profiles: list[Profile] = []

    async def main() -> None:
        neighbour = asyncio.create_task(hold_the_loop(step, pause, clock))
        await asyncio.sleep(step + 0.03)
        await profiler.profile(operation)(clock)
        neighbour.cancel()

    with watching(profiles, threshold=0.3) as profiler:
        asyncio.run(main())
        profiler.flush()
    (profile,) = profiles
    return profile


def _states(name: str, profile: Profile, starved: float, held: float) -> Measurement:
    clock = {State.STARVED: starved, State.HELD: held}
    seen = {state: in_state(profile, state) for state in clock}
    error = max(abs(seen[state] - clock[state]) for state in clock) / profile.wall * 100
    states = ", ".join(
        f"{state} {seen[state] / profile.wall:.1%} of {clock[state] / profile.wall:.1%}" for state in clock
    )
    detail = f"{states}; {profile.sampling.ticks} ticks in {profile.wall:.1f} s"
    return Measurement(f"{name}: starved and held time", error, 5.0, "points", detail, slack=3.0)


def _holders(profile: Profile) -> str:
    names = {profile.frames[sample.holder].qualname for sample in profile.samples if sample.holder >= 0}
    return ", ".join(sorted(names)) or "nobody"
