"""Real operations, captured, and what the patterns say of them; and an HTTP service that is slow where asked."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from profkit import PerformanceProfiler, Settings
from profkit_analyzers.findings import Finding, Findings
from profkit_storage import Profile
from profkit_storage.categories import default_categories


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is captured by the clock, beside other tests, has a second try."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "watch" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["AssertionError"]))


class Watch:
    """A profiler, and the findings of what it captured."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.profiler = PerformanceProfiler(
            Settings(
                on_profile=self.profiles.append, threshold=0.05, interval=0.005, service="tests",
                max_overhead=1.0, max_profiles_per_operation=0, max_profiles=0,
            )
        )  # fmt: skip

    def __call__(self, name: str) -> Callable[[Any], Any]:
        return self.profiler.profile(name)

    def captured(self, *names: str) -> list[Profile]:
        assert self.profiler.flush(5)
        assert not self.profiler.faults.counts()
        found = [profile for profile in self.profiles if not names or profile.operation in names]
        assert {profile.operation for profile in found} >= set(names), "it was not slow enough to be kept"
        return found

    def findings(self, *names: str) -> list[Finding]:
        """What is found in the operations of these names, all if none are given."""
        findings = Findings()
        for profile in self.captured(*names):
            findings.see(profile, default_categories())
        return list(findings.results())

    def patterns(self, *names: str) -> set[str]:
        """The patterns found, but for the collector's: it runs when it likes."""
        return {finding.pattern for finding in self.findings(*names)} - {"gc_pause"}

    def one(self, pattern: str, *names: str) -> Finding:
        """The only finding of a pattern."""
        found = [finding for finding in self.findings(*names) if finding.pattern == pattern]
        assert len(found) == 1
        return found[0]


@pytest.fixture
def watch() -> Iterator[Watch]:
    found = Watch()
    yield found
    found.profiler.shutdown()


def evidence(finding: Finding) -> dict[str, float | str]:
    return {fact.label: fact.value for fact in finding.evidence}


@pytest.fixture(scope="session")
def facts() -> Callable[[Finding], dict[str, float | str]]:
    """`facts(finding)`: its evidence by label."""
    return evidence


class _Service(http.server.BaseHTTPRequestHandler):
    """`/slow` takes 150 ms; `/busy/NAME` says 503 three times before it answers; `/items` is quick."""

    protocol_version = "HTTP/1.1"
    refused: dict[str, int] = {}  # noqa: RUF012  its server's for one test run

    def do_GET(self) -> None:
        status, body = 200, b'{"answer": 42}'
        if self.path.startswith("/busy/") and self.refused.setdefault(self.path, 0) < 3:
            self.refused[self.path] += 1
            status, body = 503, b"{}"
        elif self.path.startswith("/slow"):
            time.sleep(0.15)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.wfile.write(b"".join(self._headers_buffer) + b"\r\n" + body)
        self._headers_buffer.clear()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """The address of an HTTP service."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
