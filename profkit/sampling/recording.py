"""What the sampler keeps of an operation: a tree of its stacks, and for itself and each branch what was seen when.

Everything is bounded, whatever the operation does.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

from profkit.sampling.branches import MAX_BRANCHES, Branch
from profkit.sampling.calltree import CallTree
from profkit.sampling.resolution import Resolver
from profkit.sampling.threads import LoopUse
from profkit.sampling.timeline import COLLECTING, NOBODY, Timeline

_LONGEST_FIRST = 0.1
"""Seconds before the first look that are taken to be what it sees."""
_LONG_GAP = 2.5
"""Mean gaps between looks, over which a gap stands for what was before it as much as for what comes after."""


class Track:
    """One strand: its timeline, and how it was at its last look.

    `waiter` is the future its task was seen at, `cpu_seen` its thread's CPU clock, `node` where it was, `stack` its own
    part of the stack there. `has_thread` tells that it had a thread to itself.
    """

    __slots__ = ("branch", "cpu_seen", "has_thread", "node", "stack", "timeline", "waiter")

    def __init__(self, branch: Branch | None = None) -> None:
        self.branch = branch
        self.has_thread = False
        self.timeline = Timeline()
        self.waiter: weakref.ref[object] | None = None
        self.cpu_seen: float | None = None
        self.node = -1
        self.stack: list[int] | None = None

    def forget(self) -> None:
        """Note that nothing could be seen."""
        self.waiter = None
        self.cpu_seen = None


class Recording:
    """The call tree and the tracks of one operation.

    Times are seconds of `time.perf_counter`. `seen` is when the operation was last looked at; each look gives the time
    since then to the strands that were at work, in equal parts. `unobserved` seconds are nobody's. `root` is the place
    of the operation's own function, once branches had to be shown below it; `others` stands for the branches that there
    was no room for. `limit` bounds the spans of all tracks together. `loop_from` and `loop_to` are what its event loop
    had used at the first and the last look since it stood still, if it has.
    """

    __slots__ = (
        "_last", "_loop_before", "_spans", "collected", "limit", "loop_from", "loop_to", "main", "others", "root",
        "sampler_cpu", "seen", "started", "stride", "ticks", "tracks", "tree", "unobserved",
    )  # fmt: skip
    engine = "watchdog"
    infers = True
    """Whether what a thread ran beyond what was seen is to be concluded from its clock."""

    def __init__(self, tree: CallTree, started: float, limit: int, sampler_cpu: float) -> None:
        self.tree = tree
        self.started = self.seen = started
        self.sampler_cpu = sampler_cpu
        self.unobserved = 0.0
        self.ticks = 0
        self.stride = 1
        self.collected = 0.0
        self.main = Track()
        self.root: list[int] = []
        self.tracks: dict[Branch | None, Track] = {None: self.main}
        self.limit = limit
        self._spans = 0
        self.loop_from: LoopUse | None = None
        self.loop_to: LoopUse | None = None
        self._loop_before = (0.0, 0.0)
        self.others = Branch("[other branches]")
        self._last: list[tuple[Track | None, float]] = []

    def track(self, branch: Branch | None) -> Track:
        """Return the track of a branch, None being the operation itself."""
        track = self.tracks.get(branch)
        if track is None:
            if len(self.tracks) > min(MAX_BRANCHES, self.limit // 4) and branch is not self.others:
                return self.track(self.others)
            track = self.tracks[branch] = Track(branch)
        return track

    @property
    def loop_seconds(self) -> tuple[float, float]:
        """For how long its event loop's thread was seen running, and how long it ran; 0, 0 without one."""
        seen, ran = self._loop_before
        first, last = self.loop_from, self.loop_to
        if first is None or last is None:
            return seen, ran
        return seen + last.running - first.running, ran + last.used - first.used

    @property
    def mean_gap(self) -> float:
        """The mean of the seconds between two looks."""
        return (self.seen - self.started) / max(1, self.ticks)

    def resolver(self) -> Resolver:
        """Return what names the frames of the tree."""
        return Resolver(self.tree)

    def is_shared(self, track: Track) -> bool:
        """Tell whether a track is that of all the branches there was no room for."""
        return track is self.tracks.get(self.others)

    @staticmethod
    def refer(waiter: object) -> weakref.ref[object] | None:
        """Refer to a future without keeping it alive: its end would otherwise run in the sampler's thread."""
        try:
            return None if waiter is None else weakref.ref(waiter)
        except TypeError:
            return None

    def move(self, gap: float) -> None:
        """Leave out `gap` seconds in which the operation stood still; what its loop ran meanwhile was others'."""
        self._loop_before = self.loop_seconds
        self.loop_from = self.loop_to = None
        self.started += gap
        self.seen += gap

    def catch_up(self, started: float, latest: float = math.inf) -> None:
        """Give the last look's strands their time until they ended, at `latest`, or until another one `started`.

        The beginnings and ends of branches are known exactly, the looks are not that frequent.
        """
        pending = [track for track, _ in self._last if track is not None and len(track.timeline)]
        if len(pending) < len(self._last) or not pending:
            return
        ends = [(track.branch.ended, track) for track in pending if track.branch and track.branch.ended]
        for ended, track in sorted(ends, key=lambda end: end[0]):
            if ended > min(started, latest):
                break
            self._go_on(pending, ended)
            pending.remove(track)
        if pending and math.isfinite(started):
            self._go_on(pending, started)

    def _go_on(self, tracks: Sequence[Track], until: float) -> None:
        seconds = until - self.seen
        if seconds > 0:
            self.seen = until
            for track in tracks:
                track.timeline.extend(seconds / len(tracks), until - self.started)

    def begin_look(self, now: float, *, held: bool = True) -> float:
        """Begin a look; return the seconds it stands for, those since the last one.

        `held` tells that what is seen now had the GIL all the time: then a long gap was its own. Else the sampler came
        late for reasons of the machine's.
        """
        if not held:
            if self.ticks > 1 and now - self.seen > _LONG_GAP * self.mean_gap:
                self._share_gap(now)
            elif not self.ticks and now - self.seen > _LONGEST_FIRST:
                self.unobserved += now - self.seen - _LONGEST_FIRST
                self.seen = now - _LONGEST_FIRST
        wall = max(0.0, now - self.seen)
        self.seen = max(now, self.seen)
        self.ticks += 1
        self._last.clear()
        return wall

    def _share_gap(self, now: float) -> None:
        """Give half of a gap that is longer than usual to what was seen before it."""
        pending = [track for track, _ in self._last if track is not None and len(track.timeline)]
        if pending and len(pending) == len(self._last):
            self._go_on(pending, (self.seen + now) / 2)

    def observe(  # noqa: PLR0917 - once a tick for every strand: keywords cost
        self, track: Track, elapsed: float, share: float, node: int, state: int, holder: int, cpu: float
    ) -> None:
        """Give `share` seconds of the `elapsed` ones since the last look to a node."""
        track.node = node
        ended = self.seen - self.started
        if self.collected > 0:
            share = self._observe_collection(track, ended - elapsed, share, node)
        self._spans += track.timeline.add(ended - elapsed, ended, share, node, state, holder, cpu)
        self._last.append((track, share))
        if self._spans > self.limit:
            self._halve()

    def claim(self, track: Track, elapsed: float, node: int, state: int, holder: int) -> None:
        """Note that a track was at a node for the `elapsed` seconds since the last look, which others were given."""
        ended = self.seen - self.started
        self._spans += track.timeline.add(ended - elapsed, ended, 0.0, node, state, holder, 0.0)

    def repeat(self, now: float) -> bool:
        """Give the time since the last look to what the operation alone was then, which goes on; False if it cannot."""
        main = self.main
        if len(self._last) != 1 or self._last[0][0] is not main or self.collected > 0:
            return False
        wall = max(0.0, now - self.seen)
        self.seen = max(now, self.seen)
        self.ticks += 1
        main.timeline.extend(wall, self.seen - self.started)
        self._last[0] = (main, wall)
        return True

    def turn(self, track: Track, before: int, state: int, holder: int, seconds: float) -> None:
        """Give the last `seconds` of a track to `state` instead of the state `before`."""
        if seconds > 0:
            count = len(track.timeline)
            track.timeline.turn(before, state, holder, seconds)
            self._spans += len(track.timeline) - count

    def miss(self, share: float) -> None:
        """Give `share` seconds to nobody: what the operation did could not be seen."""
        self.unobserved += share
        self._last.append((None, share))

    def finish(self, ended: float, allowance: float) -> None:
        """Give `allowance` seconds of the rest to what was seen at the last look, the rest to nobody."""
        self._take_back(self.seen - ended)
        self.catch_up(math.inf, ended)
        rest = max(0.0, ended - self.seen)
        known = min(rest, allowance)
        seen = [track for track, _ in self._last if track is not None and len(track.timeline)]
        given = known * len(seen) / len(self._last) if self._last else 0.0
        for track in seen:
            track.timeline.extend(given / len(seen), self.seen - self.started + known)
        self.unobserved += rest - given
        self.seen = max(ended, self.seen)

    def _take_back(self, excess: float) -> None:
        """Take off what was given after the end: its clock was read, and then a tick came first."""
        if excess <= 0:
            return
        total = sum(share for _, share in self._last) or 1.0
        rest = excess
        for track, share in self._last:
            part = min(excess * share / total, share)
            if track is None:
                part = min(part, self.unobserved)
                self.unobserved -= part
                rest -= part
            else:
                rest -= part - track.timeline.take_back(part)
        for track in self.tracks.values():
            rest = track.timeline.take_back(rest)
        self.unobserved = max(0.0, self.unobserved - rest)

    def _observe_collection(self, track: Track, began: float, share: float, node: int) -> float:
        """Give the seconds of garbage collections to their own state; return what is left of `share`."""
        seconds = min(share, self.collected)
        self.collected = 0.0
        self._spans += track.timeline.add(began, began + seconds, seconds, node, COLLECTING, NOBODY, seconds)
        return share - seconds

    def _halve(self) -> None:
        for track in self.tracks.values():
            if len(track.timeline) > 1:
                track.timeline.halve()
        self._spans = sum(len(track.timeline) for track in self.tracks.values())
        self.stride *= 2

    def branches(self) -> Sequence[Branch]:
        """Return the branches something was seen of."""
        return [branch for branch, track in self.tracks.items() if branch is not None and len(track.timeline)]
