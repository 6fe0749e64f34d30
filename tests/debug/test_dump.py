"""Snapshots and dumps: all that the routes show, masked, whatever fails on the way."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from profkit import PerformanceProfiler
from profkit.debug import DebugContext, DiagnosticEndpoints, TokenAuth, dump
from profkit.debug.context import SECTIONS
from profkit_storage import ConfigurationError

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF"


@pytest.fixture
def context(token_auth: TokenAuth, live_profiler: PerformanceProfiler) -> DebugContext:
    settings = {"llm_api_key": SECRET, "dsn": f"postgres://me:{SECRET}@db/shop", "debug": False}
    return DiagnosticEndpoints(auth=token_auth, profiler=live_profiler, config=settings).context


def test_a_dump_holds_what_the_routes_show_and_no_secret(
    context: DebugContext, live_profiler: PerformanceProfiler, tmp_path: Path
) -> None:
    with live_profiler.operation("agent.route"):
        file = dump(tmp_path / "bundle.json", context=context)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file], "nothing else is left"
    text = file.read_text()
    assert SECRET not in text
    found = json.loads(text)
    assert set(found) == {"answered_by", "taken_at", *SECTIONS}
    assert not [name for name in SECTIONS if "error" in found[name]]
    assert [one["name"] for one in found["operations"]] == ["agent.route"]
    assert found["configuration"]["application"]["values"]["debug"] is False
    assert {"MainThread"} <= {row["name"] for row in found["threads"]["threads"]}


def test_some_sections_are_enough(context: DebugContext) -> None:
    assert list(context.snapshot("threads", "recorder")) == ["answered_by", "taken_at", "threads", "recorder"]
    with pytest.raises(ConfigurationError, match=r"section 'heap'.*operations, recorder"):
        context.snapshot("threads", "heap")


def test_what_fails_is_said_and_spoils_nothing(
    live_profiler: PerformanceProfiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"no {SECRET} here")

    monkeypatch.setattr("profkit.debug.context.threads_report", fails)
    found = DebugContext(profiler=live_profiler).snapshot("threads", "tasks")
    assert set(found["threads"]) == {"error"}  # type: ignore[call-overload]
    assert SECRET not in str(found)
    assert "total" in found["tasks"]  # type: ignore[operator]


def test_a_dump_that_cannot_be_written_leaves_what_was_there(context: DebugContext, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        dump(tmp_path / "gone" / "bundle.json", "recorder", context=context)
    there = tmp_path / "bundle.json"
    there.mkdir()
    with pytest.raises(OSError, match="directory"):
        dump(there, "recorder", context=context)
    assert list(tmp_path.iterdir()) == [there]


def test_without_a_context_it_is_the_process_as_it_is(tmp_path: Path) -> None:
    assert json.loads(dump(tmp_path / "d.json", "threads").read_bytes())["threads"]["total"] >= 1
