"""Writes what the debug routes take and answer, from the tables they are made of: `python scripts/debug_api.py FILE`.

Without a file it prints it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from profkit.debug.context import Snapshot
from profkit.debug.endpoints import ROUTES
from profkit.debug.openapi import document
from profkit.debug.parameters import Parameter
from profkit.debug.routing import DebugRoute
from profkit.debug.schemas import REFERENCE, Schemas
from profkit.debug.statuses import EVERY_POST, EVERY_ROUTE, STATUSES

Schema: TypeAlias = Mapping[str, Any]
INTRODUCTION = """\
# The debug routes: what they take and what they answer

Written by `make docs` from the tables that the routes are made of. `GET /debug/openapi.json` (scope `read`) tells the
same as OpenAPI 3.1. Paths are below the place where the routes are mounted.

Credentials are a token: `Authorization: Bearer TOKEN`, or the password of HTTP Basic under any name. Parameters are in
the query, or those of a POST in a form (`application/x-www-form-urlencoded`, up to 16 fields and 4 KiB): each once, in
one or the other. A body of another kind is read up to 4 KiB, and passed over. A POST with Basic has to have the token
of the page's form, in the header `x-profkit-form-token` or as `form_token` of the form. A job whose caller goes away
ends early, and a capture that it ended is not stored.

Answers are JSON, and where it says so a page for `Accept: text/html`. JSON, but for files and `/openapi.json`, has
`answered_by`: the [process](#process) that answers; the header `X-Profkit-Process` tells it too. Answers may get more
names, so a reader has to allow for ones it does not know. A name is always there; what is not known is null. Text that
may hold a secret is masked.

What cannot be done is answered `{"error": {"status": 422, "message": "..."}}`:

| status | when |
|---|---|
"""
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}


def render() -> str:
    """Return the whole page."""
    routes = [route for route in ROUTES if route.listed]
    paths: Any = document(ROUTES)["paths"]
    schemas = Schemas()
    schemas.of(Snapshot)
    for route in routes:
        for kind in (route.answers, route.to_anybody):
            if kind is not None:
                schemas.of(kind)
    parts = [INTRODUCTION, *_refusals()]
    parts += [_route(route, paths[route.path][route.method.lower()]) for route in routes]
    parts.append(
        "\n## The file of `profkit.debug.dump`\n\nIts sections are those of a [Snapshot](#snapshot).\n"
    )
    parts.append("\n## What is in answers\n")
    parts += [_kind_section(name, schema) for name, schema in sorted(schemas.named.items())]
    return "".join(parts)


def _refusals() -> Iterable[str]:
    for number, status in STATUSES.items():
        where = "" if number in EVERY_ROUTE else " (POST)" if number in EVERY_POST else " (where it is named)"
        header = f" `{status.header[0]}`: {status.header[1]}." if status.header else ""
        yield f"| {number} | {status.meaning[:-1]}{where}.{header} |\n"


def _route(route: DebugRoute, operation: Schema) -> str:
    common = EVERY_ROUTE | EVERY_POST
    named = [status for status in operation["responses"] if int(status) not in common]
    kinds = ", ".join(f"`{kind}`" for kind in operation["responses"]["200"]["content"])
    text = f"\n## {route.method} {route.path}\n\n{route.summary[0].upper()}{route.summary[1:]}.\n\n"
    text += f"Scope `{route.scope}`; answers {', '.join(named)}, as {kinds}.{_answers(route)}\n"
    if route.parameters:
        text += "\n| parameter | what it is | allowed | if not given |\n|---|---|---|---|\n"
        text += "".join(map(_parameter, route.parameters))
    return text


def _answers(route: DebugRoute) -> str:
    shape = f" JSON: {_link(route.answers.__name__)}." if route.answers else ""
    if 503 in route.statuses:
        shape += " 503 has the same."
    if route.to_anybody:
        shape += f" Without credentials, where `probes=True`: {_link(route.to_anybody.__name__)}."
    return shape


def _parameter(one: Parameter[Any]) -> str:
    default = "has to be" if one.required else "" if one.default is None else f"{one.default:g}"
    return f"| `{one.name}` | {one.description} | {one.allowed} | {default} |\n"


def _kind_section(name: str, schema: Schema) -> str:
    about = " ".join(schema.get("description", "").split())
    rows = "".join(
        f"| `{key}` | {_kind(one)} | {one.get('description', '')} |\n"
        for key, one in schema["properties"].items()
    )
    return f"\n### {name}\n\n{about}\n\n| name | type | what it is |\n|---|---|---|\n{rows}"


def _kind(schema: Schema) -> str:
    if "$ref" in schema:
        return _link(schema["$ref"].removeprefix(REFERENCE))
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"`{str(value).lower()}`" for value in values)
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "additionalProperties" in schema:
        inside = _kind(schema["additionalProperties"])
        return "object" if inside == "anything" else f"object of {inside}"
    names = schema.get("type", "anything")
    return " or ".join(_WORDS.get(name, name) for name in ([names] if isinstance(names, str) else names))


def _link(name: str) -> str:
    shown = name.lstrip("_")
    return f"[{shown}](#{shown.lower()})"


if __name__ == "__main__":
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(render(), encoding="utf-8")
    else:
        sys.stdout.write(render())
