"""The format of `go tool pprof` and Pyroscope: a gzip-compressed protocol buffer, stacks summed.

Two values a sample: wall and CPU, both nanoseconds; wall is the default. Labels: `operation`, `category`, `status`,
`state`, and `request_id` where all samples are of one request. A function is named `module.qualname`; its mapping is
the distribution it comes from, `python` for the standard library, else what kind of code it is.
"""

from __future__ import annotations

import gzip
from typing import Any

from profkit_storage.errors import ConfigurationError
from profkit_storage.formats.names import writable
from profkit_storage.formats.pprof_schema import profile_class
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile, Part, Spent
from profkit_storage.profile import Frame, Origin, Profile

_MOST = 2**63 - 1
_UNIT = "nanoseconds"


def render(profile: Profile) -> bytes:
    """Return the profile, its weight not applied.

    Raises:
        ConfigurationError: protobuf is not installed.
    """
    return render_merged(MergedProfile.of(profile))


def render_merged(merged: MergedProfile) -> bytes:
    """Return a merge.

    Raises:
        ConfigurationError: protobuf is not installed.
    """
    try:
        message = profile_class()()
    except ModuleNotFoundError as error:
        raise ConfigurationError('pprof needs protobuf: pip install "profkit[analyze]"') from error
    _Writer(merged, message).write()
    return gzip.compress(message.SerializeToString(deterministic=True), mtime=0)


class _Writer:
    """Fills in the message; each string, function and location is written once."""

    def __init__(self, merged: MergedProfile, message: Any) -> None:  # noqa: ANN401 - made at run time
        self._merged = merged
        self._message = message
        self._strings: dict[str, int] = {}
        self._mappings: dict[str, int] = {}
        self._functions: dict[int, int] = {}
        self._locations: dict[tuple[int, int], int] = {}

    def write(self) -> None:
        merged, message = self._merged, self._message
        self._string("")
        for kind in ("wall", "cpu"):
            message.sample_type.add(type=self._string(kind), unit=self._string(_UNIT))
        message.default_sample_type = self._string("wall")
        message.period_type.type, message.period_type.unit = self._string("wall"), self._string(_UNIT)
        message.period = _nanoseconds(merged.interval)
        message.time_nanos = merged.since
        message.duration_nanos = _nanoseconds(merged.wall)
        message.comment.append(self._string(f"profkit: {merged.title}"))
        self._mapping("application")  # the first one names the program
        for part, spent in merged.in_order():
            self._sample(part, spent)
        message.string_table.extend(self._strings)

    def _sample(self, part: Part, spent: Spent) -> None:
        sample = self._message.sample.add(value=[_nanoseconds(spent.wall), _nanoseconds(spent.cpu)])
        node = part.node
        while node >= 0:
            parent, frame, line = self._merged.nodes[node]
            sample.location_id.append(self._location(frame, line))
            node = parent
        source = self._merged.sources[self._merged.source_of[part.node]]
        labels = {
            "operation": source.operation,
            "category": source.category,
            "status": source.status,
            "state": part.state,
            "request_id": self._merged.request_id,
        }
        for key, text in labels.items():
            if text:
                sample.label.add(key=self._string(key), str=self._string(text))

    def _location(self, frame: int, line: int) -> int:
        known = self._locations.get((frame, line))
        if known is None:
            known = self._locations[frame, line] = len(self._locations) + 1
            mapping = self._mapping(_mapping_name(self._merged.frames[frame]))
            location = self._message.location.add(id=known, mapping_id=mapping)
            location.line.add(function_id=self._function(frame), line=line)
        return known

    def _function(self, index: int) -> int:
        known = self._functions.get(index)
        if known is None:
            known = self._functions[index] = len(self._functions) + 1
            frame = self._merged.frames[index]
            name = function_name(frame)
            self._message.function.add(
                id=known,
                name=self._string(name),
                # A name that is the system's too is taken for C++, and loses its <locals> as template arguments.
                system_name=self._string(frame.qualname if frame.qualname != name else ""),
                filename=self._string(frame.filename),
                start_line=frame.first_line,
            )
        return known

    def _mapping(self, name: str) -> int:
        known = self._mappings.get(name)
        if known is None:
            known = self._mappings[name] = len(self._mappings) + 1
            # All is told already: there is no binary to look for names in.
            self._message.mapping.add(
                id=known,
                filename=self._string(name),
                has_functions=True,
                has_filenames=True,
                has_line_numbers=True,
                has_inline_frames=True,
            )
        return known

    def _string(self, text: str) -> int:
        return self._strings.setdefault(writable(text), len(self._strings))


def _mapping_name(frame: Frame) -> str:
    if frame.distribution:
        return frame.distribution
    return "python" if frame.origin is Origin.STDLIB else str(frame.origin)


def _nanoseconds(seconds: float) -> int:
    return min(round(seconds * 1e9), _MOST)
