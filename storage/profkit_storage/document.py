"""Profile <-> the JSON document inside a stored profile: its own fields, and a column for each field of its tables."""

from __future__ import annotations

from collections.abc import Sequence

from profkit_storage.checks import Malformed, shown
from profkit_storage.fields import Columns, Fields
from profkit_storage.profile import (
    Branch,
    ChildOperation,
    Enclosing,
    Frame,
    Node,
    Origin,
    Profile,
    Sample,
    Sampling,
    State,
    Status,
    Trigger,
)
from profkit_storage.ulid import is_ulid, ulid_milliseconds

_TEXTS = "operation", "category", "service", "version", "host", "python", "request_id", "trace_id", "span_id"
_SCALARS = (
    "id",
    *_TEXTS,
    "start_ns",
    "wall",
    "status",
    "trigger",
    "cpu",
    "paused",
    "threshold",
    "weight",
    "pid",
    "number",
)
_SAMPLING = "engine", "interval", "ticks", "sampler_cpu", "unobserved", "dropped_children"
_TABLES = "enclosing", "frames", "nodes", "samples", "branches", "children"
_FIELDS = frozenset((*_SCALARS, "tags", "sampling", *_TABLES))
_MAX_WEIGHT = 1e15
_MAX_COUNT = 2**53
_MAX_ENCLOSING = 1_000


def to_document(profile: Profile) -> dict[str, object]:
    """Return the document of a profile, unchecked: `from_document` tells whether it can be read again."""
    return {
        **{name: getattr(profile, name) for name in _SCALARS},
        "tags": dict(profile.tags),
        "sampling": {name: getattr(profile.sampling, name) for name in _SAMPLING},
        "enclosing": _columns(Enclosing._fields, profile.enclosing),
        "frames": _columns(Frame._fields, profile.frames),
        "nodes": _columns(Node._fields, profile.nodes),
        "samples": _columns(Sample._fields, profile.samples),
        "branches": _columns(Branch._fields, profile.branches),
        "children": _columns(ChildOperation._fields, profile.children),
    }


def from_document(document: object) -> Profile:
    """Return the profile that a document holds. Other fields than these are refused.

    Raises:
        Malformed: something is missing, of the wrong kind, out of range or points nowhere; the message names it.
    """
    fields = Fields("", document, _FIELDS)
    frames = _frames(fields)
    nodes = _nodes(fields, len(frames))
    branches = _branches(fields)
    start_ns = fields.integer("start_ns")
    cpu = None if fields.get("cpu") is None else fields.number("cpu")
    return Profile(
        id=checked_id(fields, start_ns),
        operation=fields.text("operation"),
        category=fields.text("category"),
        start_ns=start_ns,
        wall=fields.number("wall"),
        service=fields.text("service"),
        status=fields.choice("status", Status),
        trigger=fields.choice("trigger", Trigger),
        cpu=cpu,
        paused=fields.number("paused"),
        threshold=fields.number("threshold"),
        weight=fields.number("weight", _MAX_WEIGHT),
        version=fields.text("version"),
        host=fields.text("host"),
        pid=fields.integer("pid"),
        python=fields.text("python"),
        request_id=fields.text("request_id"),
        trace_id=fields.text("trace_id"),
        span_id=fields.text("span_id"),
        tags=fields.tags("tags"),
        number=fields.integer("number"),
        enclosing=_enclosing(fields),
        frames=frames,
        nodes=nodes,
        samples=_samples(fields, len(nodes), len(branches), len(frames)),
        children=_children(fields),
        branches=branches,
        sampling=_sampling(fields),
    )


def _columns(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> dict[str, Sequence[object]]:
    if not rows:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def checked_id(fields: Fields, start_ns: int) -> str:
    """Return the id of a document; `Malformed` unless it was made from `start_ns`."""
    id = fields.text("id")
    if not is_ulid(id):
        raise Malformed(f"id is {shown(id)}: must be a ULID")
    if ulid_milliseconds(id) != start_ns // 1_000_000:
        raise Malformed(f"id {id} has another time than start_ns {start_ns}: must be made from it")
    return id


def _enclosing(fields: Fields) -> tuple[Enclosing, ...]:
    table = Columns("enclosing", fields.get("enclosing"), Enclosing._fields)
    if table.length > _MAX_ENCLOSING:
        raise Malformed(f"enclosing holds {table.length} operations, allowed are {_MAX_ENCLOSING}")
    return tuple(map(Enclosing._make, zip(table.integers("number"), table.flags("slow"), strict=True)))


def _frames(fields: Fields) -> tuple[Frame, ...]:
    table = Columns("frames", fields.get("frames"), Frame._fields)
    columns = (
        table.texts("qualname"),
        table.texts("filename"),
        table.integers("first_line"),
        table.texts("module"),
        table.texts("distribution"),
        table.choices("origin", Origin),
    )
    return tuple(map(Frame._make, zip(*columns, strict=True)))


def _nodes(fields: Fields, frames: int) -> tuple[Node, ...]:
    table = Columns("nodes", fields.get("nodes"), Node._fields)
    parent = table.integers("parent", -1, max(table.length - 2, -1))
    for index, caller in enumerate(parent):
        if caller >= index:
            raise Malformed(f"nodes.parent of {index} is {caller}: must be smaller than the node's own index")
    columns = parent, table.integers("frame", 0, frames - 1), table.integers("line")
    return tuple(map(Node._make, zip(*columns, strict=True)))


def _samples(fields: Fields, nodes: int, branches: int, frames: int) -> tuple[Sample, ...]:
    table = Columns("samples", fields.get("samples"), Sample._fields)
    columns = (
        table.integers("node", 0, nodes - 1),
        table.seconds("wall"),
        table.seconds("cpu"),
        table.integers("branch", -1, branches - 1),
        table.choices("state", State),
        table.integers("holder", -1, frames - 1),
        table.flags("inferred"),
    )
    return tuple(map(Sample._make, zip(*columns, strict=True)))


def _branches(fields: Fields) -> tuple[Branch, ...]:
    table = Columns("branches", fields.get("branches"), Branch._fields)
    columns = table.texts("name"), table.parents("parent"), table.seconds("start"), table.seconds("end")
    return tuple(map(Branch._make, zip(*columns, strict=True)))


def _children(fields: Fields) -> tuple[ChildOperation, ...]:
    table = Columns("children", fields.get("children"), ChildOperation._fields)
    columns = (
        table.texts("name"),
        table.texts("category"),
        table.seconds("start"),
        table.seconds("end"),
        table.tags("tags"),
        table.parents("parent"),
    )
    return tuple(map(ChildOperation._make, zip(*columns, strict=True)))


def _sampling(fields: Fields) -> Sampling:
    sampling = Fields("sampling", fields.get("sampling"), _SAMPLING)
    return Sampling(
        engine=sampling.text("engine"),
        interval=sampling.number("interval"),
        ticks=sampling.integer("ticks", 0, _MAX_COUNT),
        sampler_cpu=sampling.number("sampler_cpu"),
        unobserved=sampling.number("unobserved"),
        dropped_children=sampling.integer("dropped_children", 0, _MAX_COUNT),
    )
