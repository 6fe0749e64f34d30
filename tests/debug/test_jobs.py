"""Jobs, of which one is done at a time: who waits is told for whom, for what and for how long."""

from __future__ import annotations

import os
import re
import time
import warnings

import pytest

from profkit.debug.jobs import Jobs
from profkit.debug.problems import Problem


def refused(jobs: Jobs, name: str = "capture") -> Problem:
    with pytest.raises(Problem) as caught, jobs.alone(name, "taking a profile", "other"):
        pass
    return caught.value


def test_one_of_a_name_at_a_time() -> None:
    jobs = Jobs()
    with jobs.alone("capture", "taking a profile", "ops"), jobs.alone("memory job", "tracing", "ops"):
        assert refused(jobs).status == 409
        assert refused(jobs, "memory job").status == 409
    with jobs.alone("capture", "taking a profile", "ops"):
        pass


def test_one_that_fails_leaves_its_place_free() -> None:
    jobs = Jobs()
    with pytest.raises(ZeroDivisionError), jobs.alone("capture", "taking a profile", "ops"):
        raise ZeroDivisionError
    with jobs.alone("capture", "taking a profile", "ops"):
        pass


def test_who_waits_is_told_by_whom_since_when_and_for_how_long() -> None:
    jobs = Jobs()
    with jobs.alone("capture", "taking a profile", "ops") as job:
        job.expect(7.5)
        found = refused(jobs)
    words = (
        r"ops has been taking a profile here since \d\d:\d\d:\d\d UTC, for at most (\d) s more\. "
        r"A process does one capture at a time\."
    )
    left = re.fullmatch(words, found.message)
    assert left, found.message
    assert left[1] in {"7", "8"}
    assert found.headers["retry-after"] == left[1]


def test_one_that_nobody_has_said_the_seconds_of_or_that_is_late_is_about_to_be_done() -> None:
    jobs = Jobs()
    with jobs.alone("capture", "taking a profile", "ops") as job:
        before = refused(jobs)
        job.expect(0.001)
        time.sleep(0.002)
        assert job.left == 0
        late = refused(jobs)
    for found in (before, late):
        assert found.message.endswith("UTC, and is about to be done. A process does one capture at a time.")
        assert found.headers["retry-after"] == "1"


def test_a_long_name_is_cut() -> None:
    jobs = Jobs()
    with jobs.alone("capture", "taking a profile", "x" * 10_000):
        assert len(refused(jobs).message) < 250


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_the_parent_is_at_does_not_hold_up_its_child() -> None:
    jobs = Jobs()
    with warnings.catch_warnings(action="ignore"):  # 3.12 and later warn of threads
        with jobs.alone("capture", "taking a profile", "ops"):
            child = os.fork()
            if not child:
                with jobs.alone("capture", "taking a profile", "ops"):
                    pass
        if not child:  # the end of what the parent was at is not the child's
            with jobs.alone("capture", "taking a profile", "ops"):
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
