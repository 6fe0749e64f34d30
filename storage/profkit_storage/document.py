"""Profile <-> the JSON document inside a stored profile: its own fields, and a column for each field of its tables."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple, TypeVar

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

Document = dict[str, Any]
"""A document whose values were checked: scalars by name, and `Table`s."""

Table = dict[str, list[Any]]
"""A column for each field, all of one length."""

R = TypeVar("R", bound="tuple[Any, ...]")


class Tree(NamedTuple):
    """Frames and nodes that were checked: of one profile, or of many that share them."""

    frames: tuple[Frame, ...]
    nodes: tuple[Node, ...]


_STATUSES = {status.value: status for status in Status}
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}
_ORIGINS = {origin.value: origin for origin in Origin}
_STATES = {state.value: state for state in State}
_TEXTS = "operation", "category", "service", "version", "host", "python", "request_id", "trace_id", "span_id"
SCALARS = (
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
SAMPLING = "engine", "interval", "ticks", "sampler_cpu", "unobserved", "dropped_children"
_TREE = "frames", "nodes"
_TABLES = "enclosing", "samples", "branches", "children"
_WITHOUT_TREE = frozenset((*SCALARS, "tags", "sampling", *_TABLES))
_FIELDS = _WITHOUT_TREE | frozenset(_TREE)
_MAX_WEIGHT = 1e15
_MAX_COUNT = 2**53
_MAX_ENCLOSING = 1_000


def to_document(profile: Profile) -> dict[str, object]:
    """Return the document of a profile, unchecked: `from_document` tells whether it can be read again."""
    return {
        **{name: getattr(profile, name) for name in SCALARS},
        "tags": dict(profile.tags),
        "sampling": {name: getattr(profile.sampling, name) for name in SAMPLING},
        "enclosing": _columns(Enclosing._fields, profile.enclosing),
        "frames": _columns(Frame._fields, profile.frames),
        "nodes": _columns(Node._fields, profile.nodes),
        "samples": _columns(Sample._fields, profile.samples),
        "branches": _columns(Branch._fields, profile.branches),
        "children": _columns(ChildOperation._fields, profile.children),
    }


def from_document(document: object, tree: Tree | None = None) -> Profile:
    """Return the profile that a document holds. Other fields than these are refused.

    One whose frames and nodes are those of a `tree` has none itself.

    Raises:
        Malformed: something is missing, of the wrong kind, out of range or points nowhere; the message names it.
    """
    if tree is None:
        found = checked(document)
        tree = _tree(found["frames"], found["nodes"])
    else:
        found = _rest(Fields("", document, _WITHOUT_TREE), len(tree.nodes), len(tree.frames))
    scalars = {name: found[name] for name in SCALARS}
    scalars.update(status=_STATUSES[found["status"]], trigger=_TRIGGERS[found["trigger"]])
    samples = found["samples"]
    samples = {**samples, "state": [_STATES[word] for word in samples["state"]]}
    return Profile(
        **scalars,
        tags=found["tags"],
        enclosing=_rows(Enclosing, found["enclosing"]),
        frames=tree.frames,
        nodes=tree.nodes,
        samples=_rows(Sample, samples),
        children=_rows(ChildOperation, found["children"]),
        branches=_rows(Branch, found["branches"]),
        sampling=Sampling(**found["sampling"]),
    )


def tree_from_document(document: object) -> Tree:
    """Return the frames and nodes of a document that has nothing else.

    Raises:
        Malformed: as `from_document` does.
    """
    fields = Fields("", document, _TREE)
    frames = _frames(fields)
    return _tree(frames, _nodes(fields, len(frames["origin"])))


def checked(document: object) -> Document:
    """Return the columns of a document, each value of its type: seconds are floats. Nothing is made of their rows.

    Raises:
        Malformed: as `from_document` does.
    """
    fields = Fields("", document, _FIELDS)
    frames = _frames(fields)
    nodes = _nodes(fields, len(frames["origin"]))
    return {
        **_rest(fields, len(nodes["parent"]), len(frames["origin"])),
        "frames": frames,
        "nodes": nodes,
    }


def _rest(fields: Fields, nodes: int, frames: int) -> Document:
    """Return the columns of a document, but for the frames and nodes, of which there are so many."""
    branches = _branches(fields)
    start_ns = fields.integer("start_ns")
    return {
        "id": checked_id(fields, start_ns),
        **{name: fields.text(name) for name in _TEXTS},
        "start_ns": start_ns,
        "wall": fields.number("wall"),
        "status": fields.word("status", Status),
        "trigger": fields.word("trigger", Trigger),
        "cpu": None if fields.get("cpu") is None else fields.number("cpu"),
        "paused": fields.number("paused"),
        "threshold": fields.number("threshold"),
        "weight": fields.number("weight", _MAX_WEIGHT),
        "pid": fields.integer("pid"),
        "number": fields.integer("number"),
        "tags": fields.tags("tags"),
        "sampling": _sampling(fields),
        "enclosing": _enclosing(fields),
        "samples": _samples(fields, nodes, len(branches["parent"]), frames),
        "branches": branches,
        "children": _children(fields),
    }


def _tree(frames: Table, nodes: Table) -> Tree:
    origins = [_ORIGINS[word] for word in frames["origin"]]
    return Tree(_rows(Frame, {**frames, "origin": origins}), _rows(Node, nodes))


def _rows(kind: type[R], table: Table) -> tuple[R, ...]:
    # What `kind._make` does, but for its check of the length, which `checked` made: half of the time of 325 nodes.
    make = partial(tuple.__new__, kind)  # pyright: ignore[reportUnknownMemberType]
    return tuple(map(make, zip(*table.values(), strict=True)))


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


def _enclosing(fields: Fields) -> Table:
    table = Columns("enclosing", fields.get("enclosing"), Enclosing._fields)
    if table.length > _MAX_ENCLOSING:
        raise Malformed(f"enclosing holds {table.length} operations, allowed are {_MAX_ENCLOSING}")
    return {"number": table.integers("number"), "slow": table.flags("slow")}


def _frames(fields: Fields) -> Table:
    table = Columns("frames", fields.get("frames"), Frame._fields)
    return {
        "qualname": table.texts("qualname"),
        "filename": table.texts("filename"),
        "first_line": table.integers("first_line"),
        "module": table.texts("module"),
        "distribution": table.texts("distribution"),
        "origin": table.words("origin", Origin),
    }


def _nodes(fields: Fields, frames: int) -> Table:
    table = Columns("nodes", fields.get("nodes"), Node._fields)
    parent = table.integers("parent", -1, max(table.length - 2, -1))
    if any(map(operator.ge, parent, count())):
        index = next(index for index, caller in enumerate(parent) if caller >= index)
        raise Malformed(
            f"nodes.parent of {index} is {parent[index]}: must be smaller than the node's own index"
        )
    return {"parent": parent, "frame": table.integers("frame", 0, frames - 1), "line": table.integers("line")}


def _samples(fields: Fields, nodes: int, branches: int, frames: int) -> Table:
    table = Columns("samples", fields.get("samples"), Sample._fields)
    return {
        "node": table.integers("node", 0, nodes - 1),
        "wall": table.seconds("wall"),
        "cpu": table.seconds("cpu"),
        "branch": table.integers("branch", -1, branches - 1),
        "state": table.words("state", State),
        "holder": table.integers("holder", -1, frames - 1),
        "inferred": table.flags("inferred"),
    }


def _branches(fields: Fields) -> Table:
    table = Columns("branches", fields.get("branches"), Branch._fields)
    return {
        "name": table.texts("name"),
        "parent": table.parents("parent"),
        "start": table.seconds("start"),
        "end": table.seconds("end"),
    }


def _children(fields: Fields) -> Table:
    table = Columns("children", fields.get("children"), ChildOperation._fields)
    return {
        "name": table.texts("name"),
        "category": table.texts("category"),
        "start": table.seconds("start"),
        "end": table.seconds("end"),
        "tags": table.tags("tags"),
        "parent": table.parents("parent"),
    }


def _sampling(fields: Fields) -> dict[str, object]:
    sampling = Fields("sampling", fields.get("sampling"), SAMPLING)
    return {
        "engine": sampling.text("engine"),
        "interval": sampling.number("interval"),
        "ticks": sampling.integer("ticks", 0, _MAX_COUNT),
        "sampler_cpu": sampling.number("sampler_cpu"),
        "unobserved": sampling.number("unobserved"),
        "dropped_children": sampling.integer("dropped_children", 0, _MAX_COUNT),
    }
