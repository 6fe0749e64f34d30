"""Captures of the whole process: asked for by hand, one at a time."""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from collections.abc import Iterable

from profkit.config import Settings
from profkit.masking import masker
from profkit.recorder.finished import host_name, shown_version, tail_allowance
from profkit.sampling.capture import Capture
from profkit.sampling.resolution import Resolver
from profkit.sampling.sampler import Sampler
from profkit.setting_kinds import is_seconds
from profkit_storage import Branch, ConfigurationError, Profile, ProfkitError, Sample, Sampling, Trigger
from profkit_storage.ulid import new_ulid

CAPTURE_NAME = "process"
"""The operation's name in a capture of the whole process."""
MIN_SECONDS, MAX_SECONDS = 0.05, 60.0


class CaptureBusy(ProfkitError):
    """A capture of the process is going on; there is one at a time."""


class ProcessCapture:
    """Records every thread, and the suspended tasks of some loops, with the sampler of a profiler."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.reset()

    def reset(self) -> None:
        """Start over: at first, and in a forked child, where the lock may be held by nobody."""
        self._going_on = threading.Lock()

    def record(
        self,
        seconds: float,
        settings: Settings,
        stop: threading.Event | None,
        loops: Iterable[asyncio.AbstractEventLoop],
    ) -> Profile:
        """Record for `seconds`, or until `stop` is set. Blocks.

        Raises:
            CaptureBusy: another one is going on.
            ConfigurationError: `seconds` is not allowed.
        """
        if not is_seconds(seconds) or not MIN_SECONDS <= seconds <= MAX_SECONDS:
            allowed = f"{MIN_SECONDS:g} to {MAX_SECONDS:g}"
            raise ConfigurationError(f"seconds={seconds!r} is not allowed: give {allowed}")
        if not self._going_on.acquire(blocking=False):
            raise CaptureBusy("a capture of this process is going on: try again when it has ended")
        try:
            return self._record(seconds, settings, stop or threading.Event(), loops)
        finally:
            self._going_on.release()

    def _record(
        self,
        seconds: float,
        settings: Settings,
        stop: threading.Event,
        loops: Iterable[asyncio.AbstractEventLoop],
    ) -> Profile:
        sampler = self._sampler
        capture = Capture(sampler.codes, loops, settings.max_samples, threading.get_ident())
        cpu = sampler.cpu
        with sampler.lock:
            sampler.captures.append(capture)
        try:
            sampler.wake()
            stop.wait(seconds)
        finally:
            with sampler.lock:
                sampler.captures.remove(capture)
        return profile_of_capture(capture, time.perf_counter(), settings, sampler, cpu)


def profile_of_capture(
    capture: Capture, ended: float, settings: Settings, sampler: Sampler, cpu: float
) -> Profile:
    """Build the profile of a capture of the whole process: thread-seconds, one branch a thread or task."""
    wall = ended - capture.started
    resolver = Resolver(capture.tree)
    branches: list[Branch] = []
    samples: list[Sample] = []
    for branch, recording in capture.branches.items():
        recording.finish(ended, tail_allowance(settings.interval))
        samples += resolver.samples(recording.main.timeline.spans(), len(branches))
        branches.append(Branch(capture.labels[branch].strip("[]"), -1, 0.0, wall))
    start_ns = time.time_ns() - int((time.perf_counter() - capture.started) * 1e9)
    return Profile(
        id=new_ulid(start_ns),
        operation=CAPTURE_NAME,
        category="",
        start_ns=start_ns,
        wall=wall,
        cpu=sum(sample.cpu for sample in samples),
        threshold=0.0,
        weight=0.0,
        trigger=Trigger.MANUAL,
        service=masker.name(settings.service),
        version=shown_version(settings),
        host=host_name(),
        pid=os.getpid(),
        python=platform.python_version(),
        frames=resolver.frames,
        nodes=resolver.nodes,
        samples=tuple(samples),
        branches=tuple(branches),
        sampling=Sampling(
            interval=settings.interval,
            ticks=capture.ticks,
            sampler_cpu=max(0.0, sampler.cpu - cpu),
            unobserved=0.0 if samples else wall,
        ),
    )
