"""Jobs, of which one is done at a time."""

from __future__ import annotations

import os
import warnings

import pytest

from profkit.debug.jobs import Jobs
from profkit.debug.problems import Problem


def test_one_of_a_name_at_a_time() -> None:
    jobs = Jobs()
    with (
        jobs.alone("capture", "taking a profile", "ops"),
        jobs.alone("memory job", "taking a profile", "ops"),
        pytest.raises(Problem) as refused,
        jobs.alone("capture", "taking a profile", "ops"),
    ):
        pass
    assert refused.value.status == 409
    with jobs.alone("capture", "taking a profile", "ops"):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_the_parent_is_at_does_not_hold_up_its_child() -> None:
    jobs = Jobs()
    with (
        jobs.alone("capture", "taking a profile", "ops"),
        warnings.catch_warnings(action="ignore"),
    ):  # 3.12 and later warn of threads
        child = os.fork()
        if not child:
            with jobs.alone("capture", "taking a profile", "ops"):
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
