"""The routes as their OpenAPI document describes them, tried by schemathesis with what fits it and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks
from starlette.applications import Starlette
from starlette.routing import Mount

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints
from profkit.debug.endpoints import ROUTES
from profkit.debug.memory.backrefs import SEARCHABLE
from profkit.debug.openapi import document
from profkit_storage.ulid import new_ulid
from tests.debug import schemathesis_hooks as hooks

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
ROOT = Path(__file__).parents[2]
RULES = {"GET /profile", "POST /profile/settings"}
"""Routes with rules between parameters, which no such document can tell: since is before until."""
LONG = {name for name, allowed in hooks.SECONDS.items() if allowed["minimum"] >= 1}
"""Routes whose answer takes a second at the least."""


def named(route: Any) -> str:
    return f"{route.method} {route.path}"


POSSIBLE = [route for route in ROUTES if route.listed and (SEARCHABLE or route.path != "/memory/backrefs")]
CASES = [
    (route, mode) for route in POSSIBLE for mode in GenerationMode if mode.is_positive or route.parameters
]
"""A route without parameters has none that do not fit; unknown ones are test_openapi's."""


@pytest.fixture
def stored(live_profiler: PerformanceProfiler, make_profile: Any) -> list[str]:
    """The ids of some stored profiles."""
    assert live_profiler.storage is not None
    now = time.time_ns()
    profiles = [make_profile(id=new_ulid(now), start_ns=now) for _ in range(4)]
    for profile in profiles:
        live_profiler.storage.put(profile)
    return [profile.id for profile in profiles]


@pytest.fixture(scope="module")
def schema() -> Any:
    """The document as schemathesis has it; it takes a while to read."""
    # Not credentials: what it makes of them is not sent, since these tests have some, and would count as wrong.
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_dict({**document(ROUTES), "servers": [{"url": "/"}]}, config=config)


@pytest.mark.parametrize(
    ("route", "mode"), CASES, ids=[f"{named(route)} {mode.value}" for route, mode in CASES]
)
def test_in_process(
    schema: Any,
    endpoints: DiagnosticEndpoints,
    stored: list[str],
    bearer: Headers,
    route: Any,
    mode: GenerationMode,
) -> None:
    schema.app = endpoints
    unfit = [checks.positive_data_acceptance] if named(route) in RULES else []

    @settings(
        max_examples=2 if named(route) in LONG or not route.parameters else 5,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[route.path][route.method].as_strategy(mode))
    def tried(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and stored and case.path_parameters:
            case.path_parameters = {"id": stored.pop()}
        case.call_and_validate(headers=bearer(), excluded_checks=unfit)
        refused = case.call()
        assert refused.status_code == 401
        case.validate_response(refused)

    tried()


def test_through_a_server(
    endpoints: DiagnosticEndpoints,
    live_profiler: PerformanceProfiler,
    stored: list[str],
    serve: Serve,
    bearer: Headers,
    tmp_path: Path,
) -> None:
    """By its command, with the cases at the bounds of what the document says, and methods that it does not have."""
    names = ", ".join(f'"{name}"' for name in sorted(RULES))
    (tmp_path / "schemathesis.toml").write_text(
        f"[[operations]]\ninclude-name = [{names}]\nchecks.positive_data_acceptance.enabled = false\n"
    )
    with serve(Starlette(routes=[Mount("/debug", endpoints)])) as client:
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "schemathesis.cli",
                    "run",
                    str(client.base_url.join("/debug/openapi.json")),
                ),
                *("--header", f"Authorization: {bearer()['Authorization']}"),
                *("--phases", "examples,coverage", "--continue-on-failure", "--no-color"),
                *(word for name in sorted(LONG) for word in ("--exclude-name", name)),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": hooks.__name__,
                "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert live_profiler.faults.counts() == {}
