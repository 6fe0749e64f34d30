"""The route that captures the whole process for a while."""

from __future__ import annotations

import threading
from typing import Annotated, TypedDict

from starlette.responses import Response

from profkit.debug.answers import json_answer
from profkit.debug.forms import FORMAT, FORMS, rendered
from profkit.debug.negotiation import HTML
from profkit.debug.parameters import number
from profkit.debug.presence import while_there
from profkit.debug.problems import busy
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope
from profkit.debug.summary import ProfileSummary, summary
from profkit.process_capture import MAX_SECONDS as MAX_CAPTURE
from profkit.process_capture import CaptureBusy
from profkit_storage import Profile

MIN_CAPTURE = 0.1
CAPTURE_SECONDS = number(
    "seconds", "for how long it is watched", low=MIN_CAPTURE, high=MAX_CAPTURE, default=5.0
)
_STORED_WITHIN = 2.0


class Capture(TypedDict):
    """A capture of the whole process that was just made."""

    id: str
    stored: Annotated[
        bool, "it goes to the store; without one it can be had here until three others are made"
    ]
    links: Annotated[dict[str, str], "where it is in each format, relative to the routes' root"]
    profile: ProfileSummary


async def capture(call: Call) -> Response:
    """Capture the whole process now; ends early, and keeps nothing, when the caller goes away."""
    seconds, form = call.parameters[CAPTURE_SECONDS], call.parameters[FORMAT]
    profiler = call.context.current_profiler()

    def work(stop: threading.Event) -> Profile:
        made = profiler.capture(seconds, stop=stop, partial=False)
        if not stop.is_set():  # another worker may be asked for it next
            profiler.flush(_STORED_WITHIN)
        return made

    try:
        profile = await while_there(call, seconds, work)
    except CaptureBusy:
        raise busy(
            "A capture of this process is going on that was not asked for here, and there is one at a time.",
            5,
        ) from None
    call.context.recent.append(profile)
    if form is not None:
        return await rendered(call.context, profile, form)
    way = f"profile/{profile.id}"
    if call.wants == HTML:
        return Response(status_code=303, headers={"location": way})
    links = {form: f"{way}?format={form}" for form in FORMS}
    described = await call.context.workers.run_alone(lambda: summary(profile, call.context.masker))
    data: Capture = {
        "id": profile.id,
        "stored": profiler.storage is not None,
        "links": links,
        "profile": described,
    }
    return json_answer(call, data)


ROUTES = (
    DebugRoute(
        method="POST",
        path="/profile",
        scope=Scope.PROFILE,
        summary="capture the whole process now, for 0.1 to 60 seconds",
        handler=capture,
        answers=Capture,
        also=(303, 501),
        parameters=(CAPTURE_SECONDS, FORMAT),
        job="capture",
        doing="taking a profile",
    ),
)
