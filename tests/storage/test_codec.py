import dataclasses
import math
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit_storage import (
    Branch,
    ChildOperation,
    CorruptProfile,
    Enclosing,
    Frame,
    Node,
    Origin,
    Profile,
    Sample,
    Sampling,
    State,
    Status,
    StorageError,
    Trigger,
    decode,
    encode,
)
from profkit_storage.codec import MAX_DOCUMENT
from profkit_storage.ulid import new_ulid

texts = st.text(max_size=30)  # hypothesis leaves out lone surrogates, which have their own test


seconds = st.floats(0, 1e10)


counts = st.integers(0, 2**53)


numbers = st.integers(0, 2**63 - 1)


tags = st.dictionaries(
    texts,
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    max_size=4,
)


frame_tuples = st.builds(Frame, texts, texts, st.integers(0, 10**6), texts, texts, st.sampled_from(Origin))


def parents(length):
    return st.tuples(*(st.integers(-1, index - 1) for index in range(length)))


def rows(kind, draw, *columns):
    return tuple(kind(*row) for row in zip(*map(draw, columns), strict=True))


@st.composite
def profiles(draw):
    start_ns = draw(st.integers(0, 2**63 - 1))
    frames = tuple(draw(st.lists(frame_tuples, max_size=5)))
    nodes = (
        tuple(
            Node(parent, draw(st.integers(0, len(frames) - 1)), draw(st.integers(0, 10**6)))
            for parent in draw(parents(draw(st.integers(0, 6))))
        )
        if frames
        else ()
    )
    branches = tuple(
        Branch(draw(texts), parent, draw(seconds), draw(seconds))
        for parent in draw(parents(draw(st.integers(0, 3))))
    )
    samples = st.builds(
        Sample,
        st.integers(0, len(nodes) - 1),
        seconds,
        seconds,
        st.integers(-1, len(branches) - 1),
        st.sampled_from(State),
        st.integers(-1, len(frames) - 1),
        st.booleans(),
    )
    return Profile(
        id=new_ulid(start_ns),
        operation=draw(texts),
        category=draw(texts),
        start_ns=start_ns,
        wall=draw(seconds),
        service=draw(texts),
        status=draw(st.sampled_from(Status)),
        trigger=draw(st.sampled_from(Trigger)),
        cpu=draw(st.none() | seconds),
        threshold=draw(seconds),
        weight=draw(st.floats(0, 1e15)),
        version=draw(texts),
        host=draw(texts),
        pid=draw(counts),
        python=draw(texts),
        request_id=draw(texts),
        trace_id=draw(texts),
        span_id=draw(texts),
        tags=draw(tags),
        number=draw(numbers),
        enclosing=tuple(draw(st.lists(st.builds(Enclosing, numbers, st.booleans()), max_size=4))),
        frames=frames,
        nodes=nodes,
        samples=tuple(draw(st.lists(samples, max_size=6))) if nodes else (),
        branches=branches,
        children=tuple(
            ChildOperation(draw(texts), draw(texts), draw(seconds), draw(seconds), draw(tags), parent)
            for parent in draw(parents(draw(st.integers(0, 3))))
        ),
        sampling=Sampling(
            engine=draw(texts),
            interval=draw(seconds),
            ticks=draw(counts),
            sampler_cpu=draw(seconds),
            unobserved=draw(seconds),
            dropped_children=draw(counts),
        ),
    )


@given(profiles())
def test_round_trip_is_exact(profile):
    data = encode(profile)
    back = decode(data)
    assert back == profile
    assert repr(back) == repr(profile), "1 is not 1.0, and -0.0 is not 0.0"
    assert encode(back) == data


def test_enum_members_and_types_come_back(make_profile):
    back = decode(encode(make_profile(wall=2, pid=7)))
    assert type(back.wall) is float
    assert {type(sample.state) for sample in back.samples} == {State}
    assert {type(frame.origin) for frame in back.frames} == {Origin}
    assert pickle.loads(pickle.dumps(back)) == back


def test_names_that_utf8_cannot_carry_are_spelled_out(make_profile):
    frame = Frame("f", "/srv/\udce9.py", 1, "m", "", Origin.APPLICATION)
    back = decode(encode(make_profile(stacks=[([frame], 1.0)], tags={"\udc80": "\ud800"}, host="é")))
    assert back.frames[0].filename == "/srv/\\udce9.py"
    assert back.tags == {"\\udc80": "\\ud800"}
    assert back.host == "é"


class Odd:
    pass


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"wall": math.nan}, "wall is out of range"),
        ({"wall": math.inf}, "wall is out of range"),
        ({"wall": -1e-9}, "wall is out of range"),
        ({"cpu": math.nan}, "cpu is out of range"),
        ({"threshold": math.inf}, "threshold is out of range"),
        ({"tags": {"a": Odd()}}, "tags.a is a Odd: must be str, int, float, bool or None"),
        ({"tags": {1: "a"}}, "tags has the name 1"),
        ({"tags": {"a": math.nan}}, "tags.a is nan"),
        ({"tags": {"a": 2**64}}, "tags.a is out of range: must fit into 64 bits"),
        ({"id": new_ulid(0)}, "has another time"),
        ({"number": -1}, "number is out of range"),
        ({"number": 2**63}, "number is out of range"),
        ({"enclosing": (Enclosing(1, True),) * 1_001}, "enclosing holds 1001 operations, allowed are 1000"),
        ({"enclosing": (Enclosing(-1, True),)}, "enclosing.number is out of range"),
        ({"enclosing": (Enclosing(1, 1),)}, "enclosing.slow holds a int"),
        ({"pid": -1}, "pid is out of range"),
        ({"samples": (Sample(99, 1.0),)}, "samples.node is out of range"),
        ({"samples": (Sample(0, 1.0), Sample(0, math.nan))}, "samples.wall is out of range"),
        ({"nodes": (Node(-1, 0, 1), Node(1, 0, 1), Node(0, 0, 1))}, "nodes.parent of 1 is 1"),
        ({"branches": (Branch("a", 1, 0, 1), Branch("b", 0, 0, 1))}, "branches.parent goes in a circle at 0"),
        ({"service": None}, "service holds a NoneType"),
    ],
)
def test_encoding_refuses_what_could_not_be_read(make_profile, fields, reason):
    profile = dataclasses.replace(make_profile(), **fields)
    with pytest.raises(StorageError, match="cannot be encoded: ") as caught:
        encode(profile)
    assert reason in str(caught.value)
    assert not isinstance(caught.value, CorruptProfile)


def test_encoding_refuses_what_is_too_long(make_profile):
    with pytest.raises(StorageError, match=f"allowed are {MAX_DOCUMENT}"):
        encode(make_profile(tags={"a": "x" * MAX_DOCUMENT}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 5_000_000, "allowed are 100 times as many"),
        ("[" * 100_001, "lists and objects, allowed are 100000"),
        ("," * 2_000_001, "values, allowed are 2000000"),
    ],
)
def test_encoding_refuses_what_decoding_would(make_profile, text, reason):
    with pytest.raises(StorageError, match=reason):
        encode(make_profile(tags={"a": text}))


def test_a_long_profile_fits(make_profile):
    draw = random.Random(1)
    nodes = tuple(Node(draw.randrange(-1, index) if index else -1, 0, 1) for index in range(20_000))
    samples = tuple(Sample(draw.randrange(20_000), draw.random(), draw.random()) for _ in range(100_000))
    profile = dataclasses.replace(make_profile(), nodes=nodes, samples=samples)
    assert decode(encode(profile)) == profile


def test_parents_that_end_later_than_their_children_are_allowed(make_profile):
    late = (ChildOperation("inner", "db", 0.1, 0.2, {}, 1), ChildOperation("outer", "db", 0.0, 0.3, {}))
    profile = make_profile(children=late)
    assert decode(encode(profile)) == profile
