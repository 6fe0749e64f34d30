"""What a validation error says without the input it refused."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import cast

MAX_PARTS = 20
_INPUT = re.compile(r"\binput(?:_value)?=(?:[^\n]*(?=, input_type=)|[^\n]*)")


def invalid_parts(error: BaseException) -> list[tuple[str, str]] | None:
    """What was wrong where, of an exception such as pydantic's: `[("options.port", "int_parsing")]`, at most 20.

    `None` for an exception that has no `errors()` which returns mappings with a `loc` and a `type`.
    """
    method: object = getattr(type(error), "errors", None)
    if not callable(method) or inspect.iscoroutinefunction(method):
        return None
    try:
        found = _errors(error, method)
    except Exception:  # noqa: BLE001 - the exception's own code; its message is masked as any other
        return None
    if not isinstance(found, list):
        return None
    parts = [_part(one) for one in cast("list[object]", found)[:MAX_PARTS]]
    return [part for part in parts if part is not None] if parts and None not in parts else None


def without_input(message: str) -> str:
    """`message` without the refused values that pydantic prints, `input_value='...'`."""
    return _INPUT.sub("input=***", message) if "input" in message else message


def _errors(error: BaseException, method: Callable[..., object]) -> object:
    try:
        return method(error, include_url=False, include_context=False, include_input=False)
    except TypeError:  # not pydantic's
        return method(error)


def _part(one: object) -> tuple[str, str] | None:
    if not isinstance(one, dict):
        return None
    entry = cast("dict[str, object]", one)
    place, kind = entry.get("loc"), entry.get("type")
    if not isinstance(place, tuple | list) or not isinstance(kind, str):
        return None
    names = cast("tuple[object, ...]", place)
    return ".".join(str(name)[:128] for name in names if isinstance(name, str | int)), kind[:128]
