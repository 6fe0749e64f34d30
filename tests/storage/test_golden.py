"""One stored profile and one set of rollups of every schema there has been: they stay readable for good.

The files are never written again. A new schema adds its own: running this module writes what is missing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import zstandard

from profkit_storage import (
    ROLLUP_SCHEMA_VERSION,
    SCHEMA_VERSION,
    Branch,
    ChildOperation,
    Enclosing,
    Frame,
    Histogram,
    Node,
    Origin,
    Profile,
    Rollup,
    RollupSet,
    Sample,
    Sampling,
    State,
    Status,
    Trigger,
    decode,
    decode_rollups,
    encode,
    encode_rollups,
)
from profkit_storage.codec import HEADER_SIZE

GOLDEN = Path(__file__).parent / "golden"

PROFILE = Profile(
    id="01KKPEA9TQ0123456789ABCDEF",
    operation="Orders.look up ☂",
    category="db",
    start_ns=1_773_500_966_743_123_456,
    wall=2.5,
    service="orders",
    status=Status.ERROR,
    trigger=Trigger.SLOW,
    cpu=0.75,
    paused=0.125,
    threshold=1.5,
    weight=3.0,
    version="2026.3.1",
    host="web-1",
    pid=4242,
    python="3.12.4",
    request_id="req-7",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    span_id="00f067aa0ba902b7",
    tags={"tenant": "acme", "retries": 2, "ratio": 0.5, "cached": False, "model": None},
    number=17,
    enclosing=(Enclosing(3, True), Enclosing(1, False)),
    frames=(
        Frame("handle", "app/agent.py", 40, "app.agent", "", Origin.APPLICATION),
        Frame("Session.execute", "site-packages/orm/session.py", 2300, "orm.session", "ORM", Origin.SITE_PACKAGES),
        Frame("cursor.execute", "", 0, "sqlite3", "", Origin.NATIVE),
        Frame("dumps", "stdlib/json/__init__.py", 183, "json", "", Origin.STDLIB),
        Frame("[await]", "", 0, "", "", Origin.SYNTHETIC),
    ),
    nodes=(Node(-1, 0, 44), Node(0, 1, 2310), Node(1, 2, 0), Node(0, 3, 185), Node(0, 4, 0)),
    samples=(
        Sample(2, 1.0, 0.25, state=State.WAITING),
        Sample(3, 0.5, 0.5, state=State.RUNNING, inferred=True),
        Sample(4, 0.75, 0.0, branch=0, state=State.STARVED, holder=3),
    ),
    branches=(Branch("ask_llm", -1, 0.5, 2.25), Branch("retry", 0, 1.0, 2.0)),
    children=(
        ChildOperation("llm.chat", "llm", 0.5, 2.25, {"model": "m"}),
        ChildOperation("llm.parse", "", 2.0, 2.25, {}, 0),
    ),
    sampling=Sampling(
        engine="pyinstrument", interval=0.02, ticks=120, sampler_cpu=0.03, unobserved=0.25, dropped_children=5
    ),
)  # fmt: skip
ROLLUPS = RollupSet(
    id="01KKPEA9TQ0123456789ABCDEG",
    service="orders",
    version="2026.3.1",
    host="web-1",
    pid=4242,
    start_ns=1_773_500_966_743_000_000,
    end_ns=1_773_501_026_743_000_000,
    rollups=(
        Rollup(
            "Orders.look up ☂", "db", 3, 1, 1.521, 1, 0, {"rate": 1}, 1.0, Histogram({72: 1, 103: 1, 149: 1})
        ),
    ),
)


def _path(kind: str, schema: int) -> Path:
    return GOLDEN / f"{kind}-{schema}.bin"


def _document(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data[HEADER_SIZE:])


@pytest.mark.parametrize("schema", range(1, SCHEMA_VERSION + 1))
def test_a_profile_of_each_schema_is_read(schema: int) -> None:
    assert decode(_path("profile", schema).read_bytes()) == PROFILE


@pytest.mark.parametrize("schema", range(1, ROLLUP_SCHEMA_VERSION + 1))
def test_rollups_of_each_schema_are_read(schema: int) -> None:
    assert decode_rollups(_path("rollups", schema).read_bytes()) == ROLLUPS


def test_the_golden_profile_has_something_in_every_field() -> None:
    bare = Profile(id=PROFILE.id, operation="", category="", start_ns=PROFILE.start_ns, wall=0.0, service="")
    same = {
        field.name
        for field in dataclasses.fields(Profile)
        if field.name not in {"id", "start_ns"} and getattr(PROFILE, field.name) == getattr(bare, field.name)
    }  # fmt: skip
    assert same == {"trigger"}


def test_what_is_written_now_is_what_was_written_then() -> None:
    """Another field, or another form of one, needs another schema: who has this version only must read it too."""
    for data, path in (
        (encode(PROFILE), _path("profile", SCHEMA_VERSION)),
        (encode_rollups(ROLLUPS), _path("rollups", ROLLUP_SCHEMA_VERSION)),
    ):
        assert _document(data) == _document(path.read_bytes())


def write_missing() -> None:
    """Write the files of the present schemas, once in their lives."""
    GOLDEN.mkdir(exist_ok=True)
    for path, data in (
        (_path("profile", SCHEMA_VERSION), encode(PROFILE)),
        (_path("rollups", ROLLUP_SCHEMA_VERSION), encode_rollups(ROLLUPS)),
    ):
        if not path.exists():
            path.write_bytes(data)


if __name__ == "__main__":
    write_missing()
