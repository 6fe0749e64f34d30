"""profkit's own plain JSON: everything a profile holds, under the names `Profile` has for it.

One object. `schema` is `SCHEMA_VERSION`; then every field of `profkit_storage.Profile`, in its units:

- `frames`: objects `qualname`, `filename`, `first_line`, `module`, `distribution`, `origin`;
- `nodes`: objects `parent`, `frame`, `line`; indices into `nodes` (-1 for a root) and `frames`;
- `samples`: objects `node`, `wall`, `cpu`, `branch`, `state`, `holder`, `inferred`, in time order;
- `children`, `branches`, `enclosing`, `sampling`: objects with the fields of `ChildOperation`, `Branch`, `Enclosing`
  and `Sampling`;
- `status`, `trigger`, `state` and `origin` are their words; what is not known is null or "".

A reader has to allow for fields it does not know. A tag that JSON has no form for is written as its text.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import cast

from profkit_storage.profile import (
    SCHEMA_VERSION,
    Branch,
    ChildOperation,
    Enclosing,
    Frame,
    Node,
    Profile,
    Sample,
)

_TABLES = ("frames", "nodes", "samples", "children", "branches", "enclosing")
_Row = Frame | Node | Sample | ChildOperation | Branch | Enclosing


def render(profile: Profile) -> str:
    """Return the profile as one JSON object, in ASCII.

    Raises:
        ValueError: a number in it is not finite (a profile from a store has none).
    """
    document: dict[str, object] = {"schema": SCHEMA_VERSION}
    for field in dataclasses.fields(profile):
        document[field.name] = getattr(profile, field.name)
    for name in _TABLES:
        rows: Iterable[_Row] = getattr(profile, name)
        document[name] = [row._asdict() for row in rows]
    document["sampling"] = dataclasses.asdict(profile.sampling)
    return json.dumps(document, default=_plain, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): item for key, item in cast("Mapping[object, object]", value).items()}
    return str(value)
