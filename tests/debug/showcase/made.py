"""Profiles that are made, for what is too large or too seldom to wait for."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from profkit_storage import Branch, ChildOperation, Frame, Origin, Profile, Sampling, State, Status, Trigger
from profkit_storage.ulid import new_ulid
from tests.conftest import (
    AWAIT,
    COMPLETE,
    CREATE,
    CURSOR,
    DUMPS,
    EXECUTE,
    HANDLER,
    LOOKUP,
    build_profile,
    frame,
)
from tests.debug.showcase.hostile import LONG, NAMES, SCRIPT
from tests.debug.showcase.scene import Scene

NODES = 5_000
STATES = (State.RUNNING, State.WAITING, State.STARVED, State.HELD, State.GC)


def made(scene: Scene) -> dict[str, Profile]:
    """Return them by what they are."""
    found = {
        "large": large(),
        "states": states(),
        "hostile": hostile(NAMES),
        "empty": dated(stacks=[], wall=1.0, operation="nothing.seen", tags={}),
        "deep": deep(400),
    }
    if scene.name_length:
        found["long"] = hostile((scene.name,))
    return found


def dated(*, ago: float = 60.0, **fields: object) -> Profile:
    """Return a profile of a minute ago."""
    start = time.time_ns() - int(ago * 1e9)
    return build_profile(id=new_ulid(start), start_ns=start, **fields)


def large() -> Profile:
    """One of 5,000 nodes: an import of a catalogue, by way of every kind of code."""
    draw = random.Random(7)
    library = [EXECUTE, CURSOR, CREATE, DUMPS, AWAIT]
    stacks: list[tuple[Sequence[Frame | str], float]] = []
    seen: set[tuple[Frame | str, ...]] = set()
    while len(seen) < NODES:
        number = len(stacks)
        own = [f"shop.part_{number % 40}:Step{(number * 7 + depth) % 97}.run_{depth}" for depth in range(12)]
        names: list[Frame | str] = [HANDLER, *own, f"shop.leaf:leaf_{number}", draw.choice(library)]
        stacks.append((names, draw.uniform(0.0005, 0.02)))
        seen |= {tuple(names[: depth + 1]) for depth in range(len(names))}
    return dated(
        stacks=stacks,
        states=[draw.choice(STATES) for _ in stacks],
        operation="catalogue.import",
        category="etl",
    )


def states() -> Profile:
    """One that has been in every state, with what held the loop named, child operations and branches."""
    stacks = [
        ([HANDLER], 0.2),
        ([HANDLER, LOOKUP, EXECUTE, CURSOR], 0.9),
        ([HANDLER, COMPLETE, CREATE, AWAIT], 1.4),
        ([HANDLER, DUMPS], 0.5),
        ([HANDLER, LOOKUP, frame("shop.orders:merge")], 0.3),
        ([frame("shop.context:fetch"), EXECUTE], 0.4),
    ]
    profile = dated(
        stacks=stacks,
        states=[State.RUNNING, State.WAITING, State.HELD, State.STARVED, State.GC, State.WAITING],
        operation="agent.route",
        children=(
            ChildOperation("orders.read", "db", 0.2, 1.1, {"rows": 104_000}),
            ChildOperation("llm.chat", "llm", 1.1, 2.5, {"model": "m-large", "note": SCRIPT}),
            ChildOperation("http.post", "http", 1.2, 2.4, {}, 1),
            ChildOperation("at once", "", 2.5, 2.5, {}),
            ChildOperation("encode", "serialization", 2.5, 3.0, {}),
        ),
        branches=(
            Branch("fetch_context", -1, 0.1, 0.6),
            Branch(SCRIPT, 0, 0.2, 0.3),
            Branch(LONG, -1, 3.0, 3.7),
        ),
        sampling=Sampling(ticks=312, sampler_cpu=0.011, unobserved=0.3, dropped_children=4),
    )
    holders = [-1, -1, 3, 4, -1, -1]
    samples = [
        sample._replace(holder=holder, inferred=index == 0, branch=0 if index == 5 else -1)
        for index, (sample, holder) in enumerate(zip(profile.samples, holders, strict=True))
    ]
    return dated(
        **{name: getattr(profile, name) for name in ("frames", "nodes", "operation", "children", "branches")},
        samples=tuple(samples),
        sampling=profile.sampling,
        wall=4.0,
        weight=3.0,
        tags={"tenant": "acme", "retries": 2, "cached": False},
    )


def hostile(names: Sequence[str]) -> Profile:
    """One whose every text is an attack."""
    frames = [
        Frame(name, f"/srv/{name}.py", 7, name, name if index % 2 else "", Origin.SITE_PACKAGES)
        for index, name in enumerate(names)
    ]
    whole = names[0]
    return dated(
        stacks=[([HANDLER, one, frames[0]], 0.2) for one in frames],
        operation=whole,
        category=whole,
        service=whole,
        version=whole,
        host=whole,
        python=whole,
        request_id=whole,
        trace_id=whole,
        span_id=whole,
        status=Status.ERROR,
        trigger=Trigger.ERROR,
        tags=dict(zip(names, reversed(names), strict=True)),
        children=tuple(ChildOperation(name, name, 0.1, 0.3, {name: name}) for name in names),
        branches=tuple(Branch(name, -1, 0.0, 0.2) for name in names),
    )


def deep(levels: int) -> Profile:
    """One whose stack is as deep as a recursion gets."""
    stack: list[Frame | str] = [f"shop.tree:visit_{level}" for level in range(levels)]
    return dated(stacks=[(stack[: levels - 10 * index], 0.1) for index in range(8)], operation="tree.visit")
