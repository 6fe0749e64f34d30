"""The route that captures the whole process for a while."""

from __future__ import annotations

from starlette.responses import Response

from profkit.debug.answers import answer
from profkit.debug.forms import FORMS, rendered
from profkit.debug.negotiation import HTML
from profkit.debug.presence import while_there
from profkit.debug.problems import busy
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope
from profkit.debug.summary import summary
from profkit.process_capture import MAX_SECONDS as MAX_CAPTURE
from profkit.process_capture import CaptureBusy

MIN_CAPTURE = 0.1


async def capture(call: Call) -> Response:
    """Capture the whole process now; ends early when the caller goes away."""
    parameters = call.parameters()
    seconds = parameters.number("seconds", 5.0, MIN_CAPTURE, MAX_CAPTURE)
    form = parameters.choice("format", FORMS)
    profiler = call.context.current_profiler()
    try:
        profile = await while_there(
            call.request,
            call.context,
            seconds,
            lambda stop: profiler.capture(seconds, stop=stop),
        )
    except CaptureBusy:
        raise busy("A capture of this process is going on, and there is one at a time.", 5) from None
    call.context.recent.append(profile)
    if form is not None:
        return await rendered(call.context.workers, profile, form)
    way = f"profile/{profile.id}"
    if call.wants == HTML:
        return Response(status_code=303, headers={"location": way})
    links = {form: f"{way}?format={form}" for form in FORMS}
    described = await call.context.workers.run_alone(lambda: summary(profile, call.context.masker))
    data = {"id": profile.id, "stored": profiler.storage is not None, "links": links, "profile": described}
    return await answer(call, data, "report.html")


ROUTES = (
    DebugRoute(
        method="POST",
        path="/profile",
        scope=Scope.PROFILE,
        summary="capture the whole process now, for 0.1 to 60 seconds",
        handler=capture,
        parameters=frozenset({"seconds", "format"}),
        job="capture",
    ),
)
