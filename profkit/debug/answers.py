"""Answers: data as JSON or as a page, problems in the form the caller takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from profkit.debug.context import DebugContext
from profkit.debug.excerpt import excerpt
from profkit.debug.negotiation import HTML, JSON, preferred
from profkit.debug.pages import POLICY, Pages
from profkit.debug.problems import ErrorAnswer, Problem
from profkit.debug.routing import PRINCIPAL_KEY, Call

MENU = (
    ("", "overview"),
    ("profile", "profiles"),
    ("tasks", "tasks"),
    ("threads", "threads"),
    ("connections", "connections"),
    ("memory", "memory"),
    ("health", "health"),
    ("config", "config"),
)


def base_of(request: Request) -> str:
    """Return the way from the page to the index, relative: right behind any proxy and below any mount."""
    path, root = request.scope["path"], request.scope.get("root_path", "")
    return "../" * (path.removeprefix(root).count("/") - 1) or "./"


def json_answer(call: Call, data: Mapping[str, object], status: int = 200) -> Response:
    """Return the data with the process's name."""
    return Response(to_json({"answered_by": call.context.process(), **data}), status, media_type=JSON)


async def answer(
    call: Call,
    data: Mapping[str, object],
    template: str,
    *,
    status: int = 200,
    shown: Callable[[], Mapping[str, object]] | None = None,
    **more: object,
) -> Response:
    """Return the data with the process's name, as JSON or, shortened to what can be read, as a page.

    `shown` makes what the page has instead of the data; `more` is for the page alone, and never cut.
    """
    if call.wants == JSON:
        return json_answer(call, data, status)
    process = call.context.process()

    def render() -> str:
        part, shortened = excerpt(data if shown is None else shown())
        values = {
            "base": base_of(call.request),
            "menu": MENU,
            "principal": call.principal,
            "form_token": call.principal.form_token,
            "process": process,
            "data": part,
            "shortened": shortened,
            "posts": {route.path: route for route in call.routes if route.method == "POST"},
            "refreshable": call.request.method != "POST",
            **more,
        }
        return call.pages.render(template, values)

    return _page(await call.context.workers.run_alone(render), status, {})


def problem_answer(request: Request, problem: Problem, context: DebugContext, pages: Pages) -> Response:
    """Return a problem in the form the caller prefers, JSON if none; before auth it does not say which process."""
    known = PRINCIPAL_KEY in request.scope
    process = context.process() if known else None
    if known and preferred(request.headers.get("accept", ""), (JSON, HTML)) == HTML:
        values = {"base": base_of(request), "menu": MENU, "process": process, "problem": problem}
        values["phrase"] = HTTPStatus(problem.status).phrase
        values["principal"] = request.scope[PRINCIPAL_KEY]
        return _page(pages.render("problem.html", values), problem.status, problem.headers)
    error: ErrorAnswer = {"error": {"status": problem.status, "message": problem.message}}
    document = error if process is None else {"answered_by": process, **error}
    return Response(to_json(document), problem.status, problem.headers, JSON)


def to_json(document: object) -> bytes:
    """Return JSON, whatever text is in it: what came from the system may hold half characters."""
    try:
        return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(document, default=lambda value: type(value).__name__).encode("ascii")


def _page(text: str, status: int, headers: Mapping[str, str]) -> Response:
    content = text.encode("utf-8", "replace")
    return Response(content, status, {**headers, "content-security-policy": POLICY}, HTML)
