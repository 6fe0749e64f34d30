"""Fixtures for every room: `make_profile` builds realistic profiles without a capture engine, `browser` a Chromium.

`postgres` and `redis_server` are servers of the real thing, started once.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from profkit_storage import Branch, ChildOperation, Frame, Node, Origin, Profile, Sample, Sampling, State
from profkit_storage.ulid import new_ulid
from tests.chromium import HINT, NoChromium, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell begins a job in the background so
    signal.signal(signal.SIGINT, signal.default_int_handler)

BY_THE_CLOCK = Path(__file__).parent / "capture"
"""Tests that hold what a sampler saw against a clock, on a machine that others use too."""


_HERE = Path(__file__).parent
_ONCE = _HERE / "analyzers", _HERE / "formats", _HERE / "storage" / "s3"
_EVERYWHERE = {
    _HERE / "analyzers" / name
    for name in (
        "findings",
        "test_analyzer.py",
        "test_attribution.py",
        "test_cache.py",
        "test_parts.py",
        "test_stacks.py",
    )
}
"""Of these rooms what captures, or pickles, or begins processes: what a Python may do otherwise than another."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is decided by the same code on every Python, and give tests by the clock a second try.

    The longest files come first, so that no worker is left with one at the end.
    """
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: -tests[item.path])
    for item in items:
        if BY_THE_CLOCK in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["AssertionError"]))
        places = {item.path, *item.path.parents}
        if (places.intersection(_ONCE) and not places & _EVERYWHERE) or "[s3" in item.name:
            item.add_marker("once")


POSTGRES_PASSWORD = "pg-Xk29fLqv7"
REDIS_PASSWORD = "rd-Wm84hTzc3"

START = datetime(2026, 3, 14, 15, 9, 26, 535_000, tzinfo=UTC)
Stack = tuple[Sequence["Frame | str"], float]

HANDLER = Frame("handle_message", "/srv/app/agent.py", 40, "app.agent", "", Origin.APPLICATION)
LOOKUP = Frame("Orders.lookup", "/srv/app/orders.py", 12, "app.orders", "", Origin.APPLICATION)
EXECUTE = Frame(
    "Session.execute",
    "/srv/venv/lib/python3.11/site-packages/sqlalchemy/orm/session.py",
    2300,
    "sqlalchemy.orm.session",
    "SQLAlchemy",
    Origin.SITE_PACKAGES,
)
CURSOR = Frame("cursor.execute", "", 0, "sqlite3", "", Origin.NATIVE)
COMPLETE = Frame("complete", "/srv/app/llm.py", 77, "app.llm", "", Origin.APPLICATION)
CREATE = Frame(
    "AsyncCompletions.create",
    "/srv/venv/lib/python3.11/site-packages/openai/resources/chat/completions/completions.py",
    2600,
    "openai.resources.chat.completions.completions",
    "openai",
    Origin.SITE_PACKAGES,
)
AWAIT = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)
DUMPS = Frame("dumps", "/usr/lib/python3.11/json/__init__.py", 183, "json", "", Origin.STDLIB)


def frame(name: str) -> Frame:
    """Return an application frame for "module:qualname" (or only "qualname")."""
    module, _, qualname = name.rpartition(":")
    module = module or "app.main"
    return Frame(qualname, f"/srv/{module.replace('.', '/')}.py", 10, module, "", Origin.APPLICATION)


def tree(
    stacks: Sequence[Stack], states: Sequence[State]
) -> tuple[tuple[Frame, ...], tuple[Node, ...], tuple[Sample, ...]]:
    """Return frames, nodes and samples for (frames from root to leaf, seconds), in time order."""
    frames: dict[Frame, int] = {}
    nodes: dict[Node, int] = {}
    samples: list[Sample] = []
    for index, (stack, seconds) in enumerate(stacks):
        node = -1
        for entry in stack:
            item = frame(entry) if isinstance(entry, str) else entry
            number = frames.setdefault(item, len(frames))
            line = item.first_line + 3 if item.first_line else 0
            node = nodes.setdefault(Node(node, number, line), len(nodes))
        state = states[index] if index < len(states) else State.RUNNING
        samples.append(Sample(node, seconds, seconds if state is State.RUNNING else 0.0, state=state))
    return tuple(frames), tuple(nodes), tuple(samples)


def build_profile(
    *, stacks: Sequence[Stack] | None = None, states: Sequence[State] = (), **fields: Any
) -> Profile:
    """Return a Profile of an agent's request (2.4 s: database, LLM, JSON); every field can be given.

    It has no `number` and runs inside nothing (`enclosing`) unless given, so that any of them fit together.

    `stacks`: pairs of (frames from root to leaf, seconds) in time order; a frame is a `Frame` or "module:qualname".
    They set `frames`, `nodes`, `samples` and, unless given, `wall`. `states`: the states of those samples.
    """
    plain = stacks is None
    if stacks is None:
        wall = fields.get("wall", 2.4)
        stacks = [
            ([HANDLER], wall * 0.05),
            ([HANDLER, LOOKUP, EXECUTE, CURSOR], wall * 0.25),
            ([HANDLER, COMPLETE, CREATE, AWAIT], wall * 0.5),
            ([HANDLER, DUMPS], wall * 0.15),
        ]
        states = states or (State.RUNNING, State.RUNNING, State.WAITING, State.RUNNING)
    frames, nodes, samples = tree(stacks, states)
    seconds = sum(sample.wall for sample in samples)
    wall = fields.setdefault("wall", seconds)
    start_ns = fields.setdefault("start_ns", int(START.timestamp()) * 1_000_000_000 + 535_123_456)
    profile = Profile(
        id=fields.pop("id", None) or new_ulid(start_ns),
        operation=fields.pop("operation", "agent.route"),
        category=fields.pop("category", "agent"),
        start_ns=fields.pop("start_ns"),
        wall=fields.pop("wall"),
        service=fields.pop("service", "orders"),
        cpu=sum(sample.cpu for sample in samples),
        version="2026.3.1",
        host="web-1",
        pid=4242,
        python="3.11.9",
        request_id="7f3c2a",
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        span_id="00f067aa0ba902b7",
        tags={"tenant": "acme", "retries": 2, "cached": False} if plain else {},
        number=fields.pop("number", 0),
        enclosing=tuple(fields.pop("enclosing", ())),
        frames=frames,
        nodes=nodes,
        samples=samples,
        children=(ChildOperation("llm.chat", "llm", wall * 0.3, wall * 0.8, {"model": "m-large"}),)
        if plain
        else (),
        branches=(Branch("fetch_context", -1, wall * 0.05, wall * 0.3),) if plain else (),
        sampling=Sampling(ticks=int(seconds / 0.01), sampler_cpu=0.004, unobserved=max(0.0, wall - seconds)),
    )
    return dataclasses.replace(profile, **fields)


@pytest.fixture(scope="session")
def make_profile() -> Callable[..., Profile]:
    """`make_profile(**fields) -> Profile`, see `build_profile`."""
    return build_profile


@pytest.fixture(scope="session")
def make_frame() -> Callable[[str], Frame]:
    """`make_frame("module:qualname") -> Frame` of the application, see `frame`."""
    return frame


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium. Without one the tests skip; under CI they fail."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(chromium())
        except NoChromium as error:
            missing("Chromium", HINT, str(error))
        yield found


def missing(what: str, hint: str, detail: str = "") -> NoReturn:
    """Skip a test for which something is not installed, saying what to do; under CI it fails."""
    said = f"no {what} here: `{hint}`"
    if os.environ.get("CI"):
        pytest.fail(f"{said}\n{detail}".rstrip())
    pytest.skip(said)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL of its own, with a password that must be right."""
    found = shutil.which("initdb") or max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    if found is None:
        missing("PostgreSQL", "apt-get install postgresql")
    programs = Path(found).resolve().parent
    # It does not run as root, and must get at its directory.
    user = _lesser_user()
    with tempfile.TemporaryDirectory(prefix="profkit-postgres-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        (directory / "password").write_text(POSTGRES_PASSWORD)
        if user is not None:
            for one in (directory, directory / "password"):
                shutil.chown(one, user)
        as_user: dict[str, Any] = (
            {} if user is None else {"user": user, "group": _group(user), "extra_groups": []}
        )
        subprocess.run(
            [
                programs / "initdb", "-D", directory / "data", "-U", "tester", "-E", "UTF8", "--locale=C",
                "--auth=scram-sha-256", f"--pwfile={directory / 'password'}", "--no-sync",
            ],
            check=True, capture_output=True, cwd=directory, **as_user,
        )  # fmt: skip
        port = free_port()
        command = [
            programs / "postgres", "-D", directory / "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={directory}", "-c", "fsync=off", "-c", "max_connections=60",
        ]  # fmt: skip
        with running(command, port, directory / "log", signal.SIGQUIT, cwd=directory, **as_user):
            yield f"postgresql://tester:{POSTGRES_PASSWORD}@127.0.0.1:{port}/postgres"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis of its own, with a password that must be right."""
    found = shutil.which("redis-server")
    if found is None:
        missing("Redis", "apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="profkit-redis-") as name:
        port = free_port()
        command = [
            found, "--port", str(port), "--bind", "127.0.0.1", "--requirepass", REDIS_PASSWORD, "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--dir", name,
        ]  # fmt: skip
        with running(command, port, Path(name) / "log", signal.SIGKILL):
            yield f"redis://:{REDIS_PASSWORD}@127.0.0.1:{port}/0"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path], port: int, log: Path, ending: signal.Signals, **options: Any
) -> Iterator[None]:
    """Run a server, from when it takes connections."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        give_up = time.monotonic() + 30
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > give_up:
                pytest.fail(f"{Path(command[0]).name} does not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(ending)
        process.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def _lesser_user() -> str | None:
    """Return whom a server runs as that refuses to be root, None if nobody is root here."""
    if os.name != "posix" or os.getuid() != 0:
        return None
    import pwd

    names = {one.pw_name for one in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in names), None)


def _group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid
