"""Profiles of any shape, for properties that hold of all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from profkit_storage import Branch, ChildOperation, Frame, Node, Origin, Profile, Sample, Sampling, State

names = st.sampled_from(
    [
        "app.a:f",
        "app.b:g",
        "redis.client:get",
        "json:dumps",
        "httpx:get",
        "openai:create",
        "x:y",
        "asyncio:f",
        ":[await]",
    ]
)
origins = st.sampled_from(list(Origin))


@st.composite
def any_profiles(draw: st.DrawFn) -> Profile:
    """Profiles of random stacks, states, children and branches, as odd as the codec lets through."""
    frames = tuple(
        Frame(name.partition(":")[2], "", 1, name.partition(":")[0], "redis", origin)
        for name, origin in draw(st.lists(st.tuples(names, origins), min_size=1, max_size=6))
    )
    frame = st.integers(0, len(frames) - 1)
    count = draw(st.integers(1, 12))
    nodes = tuple(
        Node(draw(st.integers(-1, index - 1)), draw(frame), draw(st.integers(0, 9))) for index in range(count)
    )
    seconds = st.floats(0, 2, allow_nan=False)
    branches = tuple(
        Branch(f"b{n}", -1, draw(seconds), draw(seconds)) for n in range(draw(st.integers(0, 2)))
    )
    samples = tuple(
        Sample(
            draw(st.integers(0, count - 1)),
            draw(seconds),
            branch=draw(st.integers(-1, len(branches) - 1)),
            state=draw(st.sampled_from(State)),
            holder=draw(st.integers(-1, len(frames) - 1)),
        )
        for _ in range(draw(st.integers(0, 8)))
    )
    total = draw(st.integers(0, 4))
    children = tuple(
        ChildOperation(
            draw(st.sampled_from("fgh")),
            draw(st.sampled_from(["", "db", "agent", "mine"])),
            *sorted((draw(seconds), draw(seconds))),
            {},
            draw(st.integers(-1, number - 1)),
        )
        for number in range(total)
    )
    unobserved = draw(seconds)
    return Profile(
        id="0" * 26,
        operation="op",
        category=draw(st.sampled_from(["", "agent", "llm", "wait", "mine"])),
        start_ns=0,
        wall=sum(sample.wall for sample in samples) + unobserved,
        service="s",
        frames=frames,
        nodes=nodes,
        samples=samples,
        children=children,
        branches=branches,
        sampling=Sampling(unobserved=unobserved),
    )
