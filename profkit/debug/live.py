"""The live settings: from how long on operations are slow, and whether they are watched at all."""

from __future__ import annotations

import logging
from typing import Annotated, TypedDict

from starlette.responses import Response

from profkit.debug.answers import answer, json_answer
from profkit.debug.negotiation import HTML
from profkit.debug.parameters import flag, number, or_word, text
from profkit.debug.problems import Problem
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope
from profkit_storage import ConfigurationError

audit = logging.getLogger("profkit.audit")
_MOST_SECONDS = 86_400.0
ENABLED = flag("enabled", "whether operations are watched at all")
NAME = text("name", "the operation or category that the threshold is for; all, if not given")
THRESHOLD = or_word(
    number(
        "threshold", "seconds from which on an operation is slow", low=0.0, high=_MOST_SECONDS, default=None
    ),
    "default",
)

_INPUTS = {"threshold": THRESHOLD, "name": NAME}


class LiveSettings(TypedDict):
    """What can be changed in the live process."""

    enabled: Annotated[bool, "operations are to be watched"]
    active: Annotated[bool, "they are watched: enabled, and configured"]
    threshold: Annotated[float, "seconds from which on an operation is slow"]
    thresholds: Annotated[dict[str, float], "the same for some, by operation or category"]


async def settings(call: Call) -> Response:
    """Show what can be changed."""
    return await answer(call, _settings(call), "settings.html", inputs=_INPUTS, refreshable=False)


async def change(call: Call) -> Response:
    """Change it in this process, until it is configured again or ends."""
    given = call.parameters
    enabled, name, threshold = given[ENABLED], given[NAME], given[THRESHOLD]
    if enabled is None and threshold is None:
        raise Problem(422, "Give enabled (true or false), or threshold in seconds, for all or for a name.")
    if name is not None and threshold is None:
        raise Problem(
            422, "A name is for a threshold: give threshold too. Watching is turned off for all or none."
        )
    profiler = call.context.current_profiler()
    if threshold is not None:
        seconds = None if isinstance(threshold, str) else threshold
        if seconds is None and name is None:
            raise Problem(422, "threshold=default needs a name, whose own threshold is taken back.")
        if seconds is None and name not in profiler.settings.thresholds:
            raise Problem(422, "There is no threshold of this name to take back.")
        try:
            profiler.set_threshold(seconds, name)
        except ConfigurationError as error:
            raise Problem(422, str(error)) from None
    if enabled is not None:
        profiler.enabled = enabled
    mask = call.context.masker.mask_text
    fields = {
        "principal": call.principal.name,
        "enabled": given.texts["enabled"] or None,
        "threshold": given.texts["threshold"] or None,
        "name": None if name is None else mask(name),
    }
    line = " ".join(f"{key}={value!a}" for key, value in fields.items() if value is not None)
    audit.warning("changed: %s", line, extra={"audit": fields})
    if call.wants == HTML:
        return Response(status_code=303, headers={"location": "settings"})
    return json_answer(call, _settings(call))


def _settings(call: Call) -> LiveSettings:
    profiler = call.context.current_profiler()
    mask = call.context.masker.mask_text
    return {
        "enabled": profiler.enabled,
        "active": profiler.active,
        "threshold": profiler.settings.threshold,
        "thresholds": {mask(name): seconds for name, seconds in profiler.settings.thresholds.items()},
    }


ROUTES = (
    DebugRoute(
        method="GET",
        path="/profile/settings",
        scope=Scope.READ,
        summary="from how long on operations are slow, and whether they are watched",
        handler=settings,
        answers=LiveSettings,
    ),
    DebugRoute(
        method="POST",
        path="/profile/settings",
        scope=Scope.MANAGE,
        summary="change that in the live process, until it is configured again or ends",
        handler=change,
        answers=LiveSettings,
        also=(303,),
        parameters=(ENABLED, THRESHOLD, NAME),
    ),
)
