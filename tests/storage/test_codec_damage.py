import hashlib
import os
import struct
import subprocess
import sys
import tracemalloc

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from profkit_storage import (
    CorruptProfile,
    Enclosing,
    decode,
    encode,
)
from profkit_storage.codec import HEADER_SIZE
from profkit_storage.document import to_document

texts = st.text(max_size=30)


def seal(raw, *, magic=b"\x89PKP", version=1, flags=1, length=None, body=None):
    """Bytes with a right checksum around whatever is given."""
    if body is None:
        body = zstandard.ZstdCompressor().compress(raw)
    prefix = struct.pack(">4sHHI", magic, version, flags, len(raw) if length is None else length)
    return prefix + hashlib.blake2b(prefix + body, digest_size=16).digest() + body


STEADY = "01KKPEA9M7AKP4SCB84F91771J"  # the id of `make_profile`'s time: one size in every run of a property


AROUND = (Enclosing(8, True), Enclosing(3, False))


def refusal(data):
    with pytest.raises(CorruptProfile) as caught:
        decode(data, "some/key")
    assert caught.value.key == "some/key"
    return caught.value.reason


@given(data=st.data())
@settings(max_examples=200)
def test_no_damage_goes_unseen(make_profile, data):
    whole = encode(make_profile(id=STEADY))
    kind = data.draw(st.sampled_from(["flip", "cut", "append", "insert", "random"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=40))
    damaged = {
        "flip": whole[:at] + bytes([whole[at] ^ (noise[0] or 1)]) + whole[at + 1 :],
        "cut": whole[:at],
        "append": whole + noise,
        "insert": whole[:at] + noise + whole[at:],
        "random": noise * data.draw(st.integers(1, 20)),
    }[kind]
    assert refusal(damaged)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@given(data=st.data())
@settings(max_examples=200)
def test_a_well_sealed_document_with_anything_in_any_place(make_profile, data):
    document = orjson.loads(orjson.dumps(to_document(make_profile(id=STEADY, number=9, enclosing=AROUND))))
    path = data.draw(st.sampled_from(sorted(places(document), key=repr)))
    new = data.draw(json_values)
    if path:
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = new
    else:
        document = new
    try:
        profile = decode(seal(orjson.dumps(document)))
    except CorruptProfile:
        return
    assert decode(encode(profile)) == profile, "what is read is valid"


@given(st.binary(max_size=200))
def test_any_bytes_well_sealed(raw):
    assert refusal(seal(raw))
    assert refusal(seal(raw, body=raw))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("id", "nonsense", "id is 'nonsense'"),
        ("id", "00000000000000000000000001", "has another time than start_ns"),
        ("start_ns", -1, "start_ns is out of range"),
        ("start_ns", 2**63, "start_ns is out of range"),
        ("start_ns", 1.5, "start_ns holds a float: must be an integer"),
        ("wall", -0.5, "wall is out of range"),
        ("wall", True, "wall holds a bool"),
        ("wall", "1", "wall holds a str"),
        ("cpu", -1, "cpu is out of range"),
        ("weight", -1, "weight is out of range"),
        ("status", "fine", "status holds 'fine': must be one of ok, error, cancelled, running"),
        ("trigger", None, "trigger holds a NoneType"),
        ("operation", 5, "operation holds a int"),
        ("tags", [], "tags is no object"),
        ("tags", {"a": [1]}, "tags.a is a list"),
        ("frames", None, "frames is no object"),
        ("frames.origin", ["stdlib"], "the columns of frames differ in length"),
        ("frames.origin", "stdlib", "frames.origin is no array"),
        ("nodes.parent", [0, 0, 1, 2, 0, 5, 6, 0], "nodes.parent of 0 is 0"),
        ("nodes.parent", [-1, 2, 1, 2, 0, 5, 6, 0], "nodes.parent of 1 is 2"),
        ("nodes.parent", [-2, 0, 1, 2, 0, 5, 6, 0], "nodes.parent is out of range"),
        ("nodes.frame", [0, 1, 2, 3, 4, 5, 6, 8], "nodes.frame is out of range"),
        ("nodes.frame", [0, 1, 2, 3, 4, 5, 6, -1], "nodes.frame is out of range"),
        ("samples.node", [0, 1, 2, 8], "samples.node is out of range"),
        ("samples.wall", [0, 1, 2, -1], "samples.wall is out of range"),
        ("samples.branch", [-1, -1, -1, 1], "samples.branch is out of range"),
        ("samples.holder", [-1, -1, -1, 8], "samples.holder is out of range"),
        ("samples.state", ["running", "running", "running", "asleep"], "samples.state holds 'asleep'"),
        ("samples.inferred", [0, 0, 0, 0], "samples.inferred holds a int: must be true or false"),
        ("children.parent", [0], "children.parent goes in a circle"),
        ("children.tags", [None], "children.tags is no object"),
        ("branches.parent", [0], "branches.parent goes in a circle"),
        ("number", 1.0, "number holds a float"),
        ("enclosing", [], "enclosing is no object"),
        ("enclosing.number", [8], "the columns of enclosing differ in length"),
        ("enclosing.number", [8, -3], "enclosing.number is out of range"),
        ("enclosing.slow", [1, 0], "enclosing.slow holds a int"),
        ("sampling.ticks", -1, "sampling.ticks is out of range"),
    ],
)
def test_what_is_wrong_is_named(make_profile, path, value, reason):
    document = orjson.loads(orjson.dumps(to_document(make_profile(number=9, enclosing=AROUND))))
    *way, last = path.split(".")
    inner = document
    for key in way:
        inner = inner[key]
    assert last in inner
    inner[last] = value
    assert reason in refusal(seal(orjson.dumps(document)))


@pytest.mark.parametrize(
    "table", ["", "frames", "nodes", "samples", "children", "branches", "enclosing", "sampling"]
)
def test_every_field_is_needed(make_profile, table):
    whole = orjson.loads(orjson.dumps(to_document(make_profile())))
    for name in whole[table] if table else whole:
        document = orjson.loads(orjson.dumps(whole))
        del (document[table] if table else document)[name]
        missing = f"{table}.{name}" if table else name
        assert refusal(seal(orjson.dumps(document))) == f"{missing} is missing"


@pytest.mark.parametrize("table", ["", "frames", "enclosing", "sampling"])
def test_unknown_fields_are_refused(make_profile, table):
    document = orjson.loads(orjson.dumps(to_document(make_profile())))
    (document[table] if table else document)["later"] = []
    expected = f"{table or 'the document'} has 'later': is no field of it"
    assert refusal(seal(orjson.dumps(document))) == expected


@pytest.mark.parametrize("place", ["id", "status", "tags", "name", "samples"])
def test_a_message_is_short_whatever_was_read(make_profile, place):
    document = orjson.loads(orjson.dumps(to_document(make_profile())))
    long = "\x00" * 1_000_000
    if place == "tags":
        document["tags"] = {long: []}
    elif place == "name":
        document[long] = 1
    elif place == "samples":
        document["samples"]["state"] = [long] * len(document["samples"]["state"])
    else:
        document[place] = long
    assert len(refusal(seal(orjson.dumps(document)))) < 300


def test_other_headers(make_profile):
    raw = orjson.dumps(to_document(make_profile()))
    assert "schema 2; this version of profkit reads schema 1" in refusal(seal(raw, version=2))
    assert "flags 0x3 are not known" in refusal(seal(raw, flags=3))
    assert "not a profile" in refusal(seal(raw, magic=b"\x89PNG"))
    assert "length" in refusal(seal(raw, length=len(raw) + 1))
    assert refusal(b"") == "0 bytes, too short for a profile"
    assert "too short" in refusal(encode(make_profile())[: HEADER_SIZE - 1])


def bombs():
    zeros = zstandard.ZstdCompressor().compress(bytes(200 * 1024 * 1024))
    stream = zstandard.ZstdCompressor().compressobj()
    unsized = stream.compress(bytes(10_000_000)) + stream.flush()
    # A frame of one repeated byte whose header promises 2**40 bytes: magic, descriptor, size, RLE block.
    lying = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**40) + b"\x03\x10\x00\x00"
    return {
        "declared small": seal(b"", length=100, body=zeros),
        "declared as it is": seal(b"", length=200 * 1024 * 1024, body=zeros),
        "of no declared size": seal(b"", length=100, body=unsized),
        "of no declared size, within bounds": seal(b"", length=10_000_000, body=unsized),
        "lying frame": seal(b"", length=0xFFFFFFFF, body=lying),
        "two frames": seal(b"", length=10, body=zstandard.compress(b"0123456789") + zeros),
        "deep": seal(b"[" * 100_000),
        "deeper": seal(b"[" * 1_000_000),
        "longer than is read": seal(b'"' + bytes(64 * 1024 * 1024)),
    }


MIB = 1024 * 1024


def crowds():
    """Documents of an allowed length that cost many times as much to parse, their ratio hidden behind noise."""
    noise = b'"' + os.urandom(MIB // 4).hex().encode() + b'",'
    return {
        "lists": seal(b"[" + noise + b"[]," * (15 * MIB // 3) + b"0]"),
        "objects": seal(b"[" + noise + b'{"a":0},' * (15 * MIB // 8) + b"0]"),
        "texts": seal(b"[" + noise + b'"ab",' * (15 * MIB // 5) + b"0]"),
        "without noise": seal(b"[" + b"0 ," * (5 * MIB // 3) + b"0]"),
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lists", "lists and objects, allowed are 100000"),
        ("objects", "lists and objects, allowed are 100000"),
        ("texts", "values, allowed are 2000000"),
        ("without noise", "allowed are 100 times as many"),
    ],
)
def test_crowds_are_refused_before_they_are_parsed(name, reason):
    data = crowds()[name]
    tracemalloc.start()
    try:
        assert reason in refusal(data)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB, "the text itself, and nothing made of it"
    finally:
        tracemalloc.stop()


POOR = """
import resource, sys
from profkit_storage import CorruptProfile, decode
data = open(sys.argv[1], "rb").read()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, resource.RLIM_INFINITY))
try:
    decode(data, "some/key")
except CorruptProfile as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what it uses from /proc")
def test_too_little_memory_is_a_profile_that_cannot_be_read(tmp_path):
    (tmp_path / "data").write_bytes(seal(b'"' + os.urandom(7 * MIB).hex().encode() + b'"'))
    command = [sys.executable, "-c", POOR, str(tmp_path / "data")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("some/key: there is not enough memory to read it\n", "")


@pytest.mark.parametrize("name", bombs())
def test_bombs_are_refused_cheaply(name):
    data = bombs()[name]
    tracemalloc.start()
    try:
        assert refusal(data)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
