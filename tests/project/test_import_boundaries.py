"""What each room may import, seen in a fresh interpreter; and that importing has no effects."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOOK = """
import json, sys, threading, time
before = set(sys.modules)
begun = time.perf_counter()
import {module}
seconds = time.perf_counter() - begun
print(json.dumps([sorted(set(sys.modules) - before), seconds, threading.active_count()]))
"""
TOOLS = ["click", "rich", "polars", "google.protobuf"]
WEB = ["starlette", "jinja2", "uvicorn", "anyio"]
NEVER_IN_PROCESS = ["boto3", "botocore", "objgraph", "dask", "distributed", "profkit_analyzers", *TOOLS]


def look(module: str) -> tuple[set[str], float, int]:
    """Import `module` in a fresh interpreter: (modules it pulled in, seconds, threads alive)."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK.format(module=module)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    assert (done.returncode, done.stderr) == (0, ""), f"import {module}:\n{done.stderr}"
    modules, seconds, threads = json.loads(done.stdout)
    return set(modules), seconds, threads


def pulled(modules: set[str], names: list[str]) -> list[str]:
    return [name for name in names if any(m == name or m.startswith(f"{name}.") for m in modules)]


@pytest.mark.parametrize(
    "module",
    ["profkit", "profkit.sampling", "profkit.asgi", "profkit.wsgi", "profkit.logs", "profkit.outgoing"],
)
def test_what_runs_in_the_application_pulls_no_tool_no_server_and_no_analyzer(module):
    modules, _, threads = look(module)
    assert pulled(modules, NEVER_IN_PROCESS + WEB) == []
    assert threads == 1, "importing starts no thread"


def test_the_debug_routes_pull_no_tool_and_no_analyzer():
    modules, _, threads = look("profkit.debug")
    assert pulled(modules, [*NEVER_IN_PROCESS, "uvicorn"]) == []
    assert threads == 1


@pytest.mark.parametrize("module", ["profkit_storage", "profkit_storage.formats"])
def test_storage_knows_neither_other_room(module):
    modules, _, threads = look(module)
    assert pulled(modules, ["profkit", "profkit_analyzers", "boto3", "botocore", *TOOLS, *WEB]) == []
    assert threads == 1


def test_the_analyzers_work_without_the_capturing_room():
    modules, _, threads = look("profkit_analyzers")
    assert pulled(modules, ["profkit", "boto3", "botocore", *TOOLS, *WEB]) == []
    assert threads == 1


def test_the_look_itself_sees_what_is_imported():
    modules, _, _ = look("click")
    assert pulled(modules, TOOLS) == ["click"]
    assert pulled({"profkit_storage"}, ["profkit"]) == [], "a name is not its prefix"


def test_importing_profkit_is_quick(record_property, capsys):
    seconds = min(look("profkit")[1] for _ in range(3))
    record_property("import_profkit_seconds", seconds)
    with capsys.disabled():
        print(f"\nimport profkit: {seconds * 1e3:.0f} ms")  # noqa: T201 - the figure is the point
    assert seconds < 1.0
