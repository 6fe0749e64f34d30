"""Reads the part of pprof that shares need: stacks, values and labels of the samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

Field = tuple[int, int | bytes]
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


@dataclass(frozen=True)
class PprofSample:
    """One sample: function names from leaf to root, a value by its type's name, and labels."""

    functions: list[str]
    values: dict[str, int]
    labels: dict[str, str | int]


class Pprof:
    """A decompressed pprof profile (github.com/google/pprof, profile.proto)."""

    def __init__(self, encoded: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = defaultdict(list)
        for number, value in fields(encoded):
            self._fields[number].append(value)
        self._texts = [bytes_of(value).decode() for value in self._fields[6]]
        self._types = [self._texts[_number(_message(value), 1)] for value in self._fields[1]]
        self._names = {
            _number(function, 1): self._texts[_number(function, 2)]
            for function in map(_message, self._fields[5])
        }
        self._locations = {
            _number(place, 1): [self._names[_number(_message(line), 1)] for line in place[4]]
            for place in map(_message, self._fields[4])
        }

    def samples(self) -> Iterator[PprofSample]:
        """Yield every sample."""
        for sample in map(_message, self._fields[2]):
            places = (place for part in sample[1] for place in _numbers(part))
            functions = [name for place in places for name in self._locations[place]]
            values = [value for part in sample[2] for value in _numbers(part)]
            labels = dict(map(self._label, sample[3]))
            yield PprofSample(functions, dict(zip(self._types, values, strict=True)), labels)

    def _label(self, encoded: int | bytes) -> tuple[str, str | int]:
        label = _message(encoded)
        text = _number(label, 2)
        return self._texts[_number(label, 1)], self._texts[text] if text else _number(label, 3)


def fields(encoded: bytes) -> Iterator[Field]:
    """Yield number and value of each field of a protobuf message; numbers unsigned, all else as bytes."""
    position = 0
    while position < len(encoded):
        key, position = _varint(encoded, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(encoded, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(encoded, position)
        else:
            size = {_FIXED_64: 8, _FIXED_32: 4}[kind]
        yield key >> 3, encoded[position : position + size]
        position += size


def bytes_of(value: int | bytes) -> bytes:
    """Return what must be bytes: a text or an inner message."""
    if isinstance(value, int):
        raise TypeError("a number where a text or a message was expected")
    return value


def _message(encoded: int | bytes) -> dict[int, list[int | bytes]]:
    message: dict[int, list[int | bytes]] = defaultdict(list)
    for number, value in fields(bytes_of(encoded)):
        message[number].append(value)
    return message


def _number(message: dict[int, list[int | bytes]], field: int) -> int:
    values = message[field]
    return values[-1] if values and isinstance(values[-1], int) else 0


def _numbers(value: int | bytes) -> Iterator[int]:
    """Yield the numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        yield value
        return
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        yield number


def _varint(encoded: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = encoded[position]
        position += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, position
