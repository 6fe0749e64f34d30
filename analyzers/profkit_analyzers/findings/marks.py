"""What a frame is to the patterns: bits of one number, found once for each frame."""

from __future__ import annotations

import re
import threading
from functools import lru_cache

from profkit_analyzers.attribution.stacks import Stacks
from profkit_storage import Frame, Origin
from profkit_storage.categories import CategoryTable, Kind, Match

APPLICATION = 1 << 0
DATABASE = 1 << 1
QUERY = 1 << 2
"""Sends one query. What fetches its rows does not have it, nor what sends many at once."""
BATCH = 1 << 3
"""Sends many queries at once: those below it are no loop of the application's."""
REMOTE = 1 << 4
"""Speaks with another service: HTTP, a model."""
REQUEST = 1 << 5
"""Begins one request to another service. What reads the rest of an answer does not have it."""
SERIALIZER = 1 << 6
WAIT = 1 << 7
"""Part of what waits: a lock, a queue, a poll, a sleep, `[await]`."""
AWAIT = 1 << 8
SLEEP = 1 << 9
RETRY = 1 << 10
POOL = 1 << 11
"""Waits for a free connection (or thread) of a pool."""
CONNECT = 1 << 12
"""Makes a connection: no longer waits for a free one."""
LOCK = 1 << 13
IMPORT = 1 << 14
MODEL = 1 << 15
BLOCKING = 1 << 16
"""A C function that waits without giving way to the event loop."""

HEAD = 1 << 17
"""Waits for the beginning of an answer: seen again later, it is another request's."""

_MAX_CACHED = 100_000

_QUERY = re.compile(
    r"_*(do_)?execute(_sql|_query|_command|_insert|_on_connection|_context|_clauseelement|_internal)?"
    r"|_*fetch(row|val)|find_one(_and_\w+)?|count_documents|(insert|update|delete|replace)_one|perform_request"
)
_BATCH = re.compile(
    r"_*(do_)?execute_?(many|batch|values|pipeline|transaction)|.*insertmany.*|bulk_\w+|copy_\w+"
)
_CLIENTS = frozenset({"httpx", "httpx2", "aiohttp", "requests", "urllib3", "botocore", "aiobotocore"})
_REQUEST = re.compile(
    r"_?request|send|get|post|put|patch|delete|head|options|urlopen|_make_api_call"
    r"|a?(create|generate|invoke|complete|completion|embed|embedding|rerank|chat)(_content)?"
)
_HEAD = re.compile(r"\w*Connection\._receive_response(_headers)?|HTTPResponse\.begin|ClientResponse\.start")
_RETRY = re.compile(r"retry|retries|retrying|backoff|tenacity|stamina", re.IGNORECASE)
_SLEEPERS = frozenset(
    {"time", "asyncio.tasks", "tenacity.nap", "gevent.hub", "trio._timeouts", "anyio._core._eventloop"}
)

_POOLS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("sqlalchemy.util.queue", re.compile(r"\w*Queue\.get")),
    ("psycopg_pool", re.compile(r"Waiting\w*\.wait|\w*Client\.wait")),
    ("asyncpg.pool", re.compile(r"Pool\._acquire(\..*)?")),
    ("aiomysql.pool", re.compile(r"Pool\._acquire")),
    ("aiopg.pool", re.compile(r"Pool\._acquire")),
    ("redis", re.compile(r"BlockingConnectionPool\.get_connection")),
    ("urllib3.connectionpool", re.compile(r"\w+\._get_conn")),
    ("httpcore", re.compile(r"\w+\.wait_for_connection")),
    ("httpcore2", re.compile(r"\w+\.wait_for_connection")),
    ("aiohttp.connector", re.compile(r"\w+\._wait_for_available_connection")),
    ("pymongo", re.compile(r"Pool\._get_conn")),
    ("anyio._backends", re.compile(r"CapacityLimiter\.acquire\w*")),
)
_CONNECT = re.compile(
    r".*connect|_?new_conn|create_connection|.*handshake|PoolConnectionHolder\.acquire|_?ping|check_health"
)
_LOCK = frozenset({"acquire", "__enter__", "__aenter__"})


class Marker:
    """Gives frames their marks, by a table of categories; remembers them."""

    def __init__(self, table: CategoryTable) -> None:
        self._table = table
        self._known: dict[Frame, int] = {}

    def marks(self, frame: Frame) -> int:
        """Return the marks of a frame."""
        found = self._known.get(frame)
        if found is None:
            if len(self._known) >= _MAX_CACHED:
                self._known.clear()
            found = self._known[frame] = _marks(frame, self._table)
        return found


class Traits:
    """What stacks are to the patterns, by their numbers: lists that grow as more become known.

    `marks` are those of the function that a stack ends in, `every` those of all its functions, `near` those of the
    library code that its innermost application function called, down to its end. `sites` are the stacks down to that
    application function, -1 if there is none; what an import runs belongs to the function that imports. `queries` are
    those down to the innermost near query, `requests` down to the outermost near request; -1 if there is none.
    """

    def __init__(self, table: CategoryTable) -> None:
        self.marks: list[int] = []
        self.every: list[int] = []
        self.near: list[int] = []
        self.sites: list[int] = []
        self.queries: list[int] = []
        self.requests: list[int] = []
        self._marker = marker(table)
        self._lock = threading.Lock()

    def learn(self, stacks: Stacks) -> None:
        """Find those of all stacks: always the same ones, of which there are more each time."""
        if len(self.requests) < len(stacks):  # they are added last
            with self._lock:
                for number in range(len(self.requests), len(stacks)):
                    self._add(number, stacks.callers[number], self._marker.marks(stacks.frames[number]))

    def _add(self, number: int, caller: int, bits: int) -> None:
        near = self._near(caller, bits)
        self.marks.append(bits)
        self.every.append(bits | (self.every[caller] if caller >= 0 else 0))
        self.near.append(near)
        own = bits & APPLICATION and not near & IMPORT
        self.sites.append(number if own else self.sites[caller] if caller >= 0 else -1)
        # What is near begins anew at each function of the application's.
        query = near & QUERY and not near & BATCH
        self.queries.append(-1 if not query else number if bits & QUERY else self.queries[caller])
        above = self.requests[caller] if caller >= 0 and near & REQUEST else -1
        self.requests.append(-1 if not near & REQUEST else above if above >= 0 else number)

    def _near(self, caller: int, bits: int) -> int:
        above, outer = (self.near[caller], self.marks[caller]) if caller >= 0 else (0, 0)
        if (above | bits) & IMPORT:
            return IMPORT
        if bits & APPLICATION:
            return bits & RETRY
        if bits & LOCK and (above & POOL or outer & WAIT):
            bits &= ~LOCK
        if bits & CONNECT:
            above &= ~POOL
        return bits | above


@lru_cache(maxsize=4)
def marker(table: CategoryTable) -> Marker:
    """Return the one that goes by `table`."""
    return Marker(table)


def _marks(frame: Frame, table: CategoryTable) -> int:
    name = frame.qualname.rpartition(".")[2]
    if frame.origin is Origin.SYNTHETIC:
        return WAIT | (AWAIT if frame.qualname == "[await]" else 0)
    if frame.origin is Origin.APPLICATION:
        return APPLICATION | (RETRY if _RETRY.search(name) else 0)
    found = _of_match(frame, table.match(frame), name) | _of_wait(frame, name)
    if frame.module == "importlib._bootstrap" and name == "_find_and_load":
        found |= IMPORT
    if _HEAD.fullmatch(frame.qualname):
        found |= HEAD
    if _RETRY.search(frame.module) or _RETRY.search(frame.qualname):
        found |= RETRY
    return found


def _of_match(frame: Frame, match: Match | None, name: str) -> int:
    if match is None:
        return 0
    category, native = match.category, frame.origin is Origin.NATIVE
    found = BLOCKING if native and match.owner != "poll" and category.name != "serialization" else 0
    if category.kind is Kind.WAIT:
        return found | WAIT
    if category.name == "serialization":
        return found | SERIALIZER
    if category.reported == "db":
        found |= DATABASE
        found |= BATCH if _BATCH.fullmatch(name) else QUERY if _QUERY.fullmatch(name) else 0
    elif category.kind is Kind.TRANSPORT or category.reported == "llm":
        model = category.reported == "llm"
        found |= REMOTE | (MODEL if model else 0)
        client = model or frame.module.partition(".")[0] in _CLIENTS
        if client and not native and _REQUEST.fullmatch(name):
            found |= REQUEST
    return found


def _of_wait(frame: Frame, name: str) -> int:
    found = 0
    if name == "sleep" and (frame.module in _SLEEPERS or frame.qualname == "time.sleep"):
        found |= SLEEP | WAIT
    # A lock may have any name: no other C function of these names waits.
    if name in _LOCK and (frame.origin is Origin.NATIVE or _waits(frame.module)):
        found |= LOCK | WAIT
    if any(_inside(frame.module, package) and form.fullmatch(frame.qualname) for package, form in _POOLS):
        found |= POOL
    elif _CONNECT.fullmatch(frame.qualname) or _CONNECT.fullmatch(name):
        found |= CONNECT
    return found


def _waits(module: str) -> bool:
    return module in ("threading", "asyncio.locks") or module.startswith("anyio._core._synchronization")


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
