"""`decode_columns`: what `decode` returns, as columns, and refused where it refuses."""

from __future__ import annotations

import dataclasses

import orjson
import pytest

from profkit_storage import CorruptProfile, Enclosing, decode, encode
from profkit_storage.codec import decode_columns
from profkit_storage.document import from_document, to_document


def test_columns_hold_what_the_profile_does(make_profile):
    profile = make_profile(number=9, enclosing=(Enclosing(8, True),))
    data = encode(profile)
    columns = decode_columns(data)
    assert orjson.loads(orjson.dumps(columns)) == orjson.loads(orjson.dumps(to_document(profile)))
    assert columns["samples"]["wall"] == [sample.wall for sample in profile.samples]
    assert from_document(columns) == decode(data) == profile


def test_seconds_are_floats(make_profile):
    profile = make_profile()
    whole = tuple(sample._replace(wall=1, cpu=0) for sample in profile.samples)
    columns = decode_columns(encode(dataclasses.replace(profile, wall=4, cpu=None, samples=whole)))
    assert [type(value) for value in columns["samples"]["wall"]] == [float] * len(whole)
    assert type(columns["wall"]) is float
    assert columns["cpu"] is None


def test_damage_is_refused(make_profile):
    data = encode(make_profile())
    for damaged in (b"", data[:-1], data[:50] + bytes([data[50] ^ 1]) + data[51:]):
        with pytest.raises(CorruptProfile) as caught:
            decode_columns(damaged, "some/key")
        assert caught.value.key == "some/key"
