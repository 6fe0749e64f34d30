"""The OpenAPI 3.1 document of the debug routes, made of their table and of the types of their answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NotRequired
from urllib.parse import quote

from starlette.responses import Response

import profkit
from profkit.debug.answers import to_json
from profkit.debug.context import Process
from profkit.debug.forms import DOWNLOADS, FORMAT
from profkit.debug.negotiation import HTML, JSON
from profkit.debug.origin import HEADER
from profkit.debug.parameters import Parameter
from profkit.debug.problems import ErrorAnswer
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.schemas import REFERENCE, Schema, Schemas
from profkit.debug.scopes import Scope
from profkit.debug.statuses import EVERY_POST, EVERY_ROUTE, STATUSES

_ABOUT = (
    "What a live process is doing. Every answer is that of one process; with several workers the next may be "
    "another's. Answers may get more names, so a reader has to allow for ones it does not know."
)
_IN_PATH = re.compile(r"\{(\w+)\}")
_ABOUT_ID = "a profile's id; to look at one also that of its request or trace"
_ID: Schema = {"type": "string", "pattern": "^[^/]{1,128}$"}
_TEXT: Schema = {"type": "string"}
_PROBLEM: Schema = {"$ref": REFERENCE + "Problem"}
_SECURITY: Schema = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token."},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A token as the password, under any user's name: for a browser.",
    },
}


async def openapi(call: Call) -> Response:
    """The document, for where these routes are mounted."""
    made = await call.context.workers.run("openapi", lambda: document(call.routes))
    root = str(call.request.scope.get("root_path", ""))
    return Response(to_json({**made, "servers": [{"url": quote(root) or "/"}]}), media_type=JSON)


@functools.cache
def document(routes: tuple[DebugRoute, ...]) -> Mapping[str, object]:
    """Return the document of a table of routes, but for `servers`. It is made once, and not to be changed."""
    schemas = Schemas()
    schemas.named["Problem"] = schemas.fields(ErrorAnswer, {"answered_by": NotRequired[Process]})
    paths: dict[str, Schema] = {}
    for route in (route for route in routes if route.listed):
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "profkit's debug routes", "version": profkit.__version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": schemas.named, "securitySchemes": _SECURITY},
    }


def _operation(route: DebugRoute, schemas: Schemas) -> Schema:
    return {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", route.path)]),
        "summary": route.summary,
        "description": f"Needs the scope `{route.scope}`.",
        "security": [{name: [route.scope.value]} for name in _SECURITY],
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
    }


def _parameters(route: DebugRoute) -> list[Schema]:
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "description": _ABOUT_ID, "schema": _ID}
        for name in _IN_PATH.findall(route.path)
    ]
    found += [_in_query(one) for one in route.parameters]
    if route.method == "POST":
        about = "the token of the page's form: a POST with Basic has to have it"
        found.append({"name": HEADER, "in": "header", "description": about, "schema": _TEXT})
    return found


def _in_query(one: Parameter[object]) -> Schema:
    default = {} if one.default is None else {"default": one.default}
    return {
        "name": one.name,
        "in": "query",
        "description": f"{one.description}: {one.allowed}",
        # An empty field of a form is one that was not filled in.
        **({"required": True} if one.required else {"allowEmptyValue": True}),
        "schema": {**one.schema, **default},
    }


def _responses(route: DebugRoute, schemas: Schemas) -> Schema:
    answer = _answer(route, schemas)
    refusals = {*EVERY_ROUTE, *route.also}
    if route.method == "POST":
        refusals |= EVERY_POST
    if route.job is not None:
        refusals.add(409)
    found = {status: _refusal(status, route) for status in refusals}
    for status in route.statuses:
        mixed: Schema = {"anyOf": [answer, _PROBLEM]} if status in refusals else answer
        found[status] = {
            **found.get(status, {}),
            "description": route.summary,
            "content": _content(route, mixed),
        }
    return {str(status): found[status] for status in sorted(found)}


def _refusal(status: int, route: DebugRoute) -> Schema:
    meaning, header = STATUSES[status]
    found: Schema = {"description": meaning}
    if header is not None:
        name, about, kind = header
        found["headers"] = {name: {"description": about, "schema": {"type": kind}}}
    if status != 303:
        pages = {HTML: {"schema": _TEXT}} if HTML in route.offers else {}
        found["content"] = {JSON: {"schema": _PROBLEM}, **pages}
    return found


def _content(route: DebugRoute, answer: Schema) -> Schema:
    content: Schema = {kind: {"schema": answer if kind == JSON else _TEXT} for kind in route.offers}
    if FORMAT in route.parameters:
        for file in DOWNLOADS.values():
            kind = file.kind.partition(";")[0]
            content.setdefault(kind, {"schema": _TEXT} if kind.startswith("text/") else {})
    return content


def _answer(route: DebugRoute, schemas: Schemas) -> Schema:
    """Return the schema of a route's JSON; what is no report of this process on itself does not name it."""
    if route.answers is None:
        return {"type": "object"}
    report = schemas.fields(route.answers, {"answered_by": Process})
    others: list[Schema] = []
    if FORMAT in route.parameters:
        others.append({"type": "object", "description": "With `format=`: a file."})
    if route.to_anybody is not None:
        others.append(schemas.fields(route.to_anybody))
    unnamed: Schema = {"not": {"required": ["answered_by"]}}
    return {"anyOf": [report, *({**one, **unnamed} for one in others)]} if others else report


ROUTES = (
    DebugRoute(
        method="GET",
        path="/openapi.json",
        scope=Scope.READ,
        summary="these routes, their parameters and their answers, as OpenAPI 3.1",
        handler=openapi,
        offers=(JSON,),
    ),
)
