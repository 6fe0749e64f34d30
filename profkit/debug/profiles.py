"""The routes of profiles: operations in flight, what is stored, one profile in each of its forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, TypedDict, TypeVar

from starlette.responses import Response

from profkit.counts import Stats
from profkit.debug.answers import answer, json_answer
from profkit.debug.context import MOST_OPERATIONS, DebugContext, OperationRow
from profkit.debug.forms import DOWNLOADS, FORMAT, rendered
from profkit.debug.negotiation import HTML
from profkit.debug.parameters import Parameters, choice, moment, number, text, whole
from profkit.debug.problems import Problem, bad_parameter, not_found, overloaded
from profkit.debug.profile_page import profile_page
from profkit.debug.request_search import RequestSearch
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope
from profkit.debug.stored import ORDERS, Order, find
from profkit.debug.summary import ProfileRow, ProfileSummary, describe_entry, summary
from profkit_storage import CorruptProfile, Profile, ProfileNotFound, ProfileQuery, StorageError
from profkit_storage.formats.flamegraph import SCRIPTS
from profkit_storage.ulid import is_ulid

T = TypeVar("T")
MAX_LISTED = 500
MAX_PAGES = 20
OPERATION = text("operation", "only stored profiles of this operation")
CATEGORY = text("category", "only stored profiles of this category")
SERVICE = text("service", "only stored profiles of this service")
MIN_DURATION = number(
    "min_duration", "only stored profiles that took so many seconds", low=0.0, high=1e6, default=None
)
SINCE = moment("since", "only stored profiles that began then or later; a week before until, if not given")
UNTIL = moment("until", "only stored profiles that began before")
REQUEST_ID = text("request_id", "only stored profiles of this request; each has to be opened for that")
TRACE_ID = text("trace_id", "only stored profiles of this trace, likewise")
ORDER = choice("order", "newest, or the slowest of the time that is searched, first", ORDERS)
LIMIT = whole("limit", "how many stored profiles at the most", low=1, high=MAX_LISTED, default=50)
PAGE = whole("page", "which so many of them: 1 for the first", low=1, high=MAX_PAGES, default=1)
FILTERS = (
    OPERATION, CATEGORY, SERVICE, MIN_DURATION, SINCE, UNTIL, REQUEST_ID, TRACE_ID, ORDER, LIMIT, PAGE,
)  # fmt: skip
_LOOK_TIMEOUT = 15.0
_STORED_WITHIN = 5.0
_PAGE_TIMEOUT = 15.0


class StoredProfiles(TypedDict):
    """Stored profiles, in the order asked for."""

    storage: Annotated[str | None, "the store's address, masked; null if there is none"]
    profiles: list[ProfileRow]
    more: Annotated[bool, "there may be more that match"]
    partial: Annotated[bool, "the search ran out of time"]
    problems: Annotated[int, "files that are no profile"]
    searched_since: Annotated[str | None, "everything from this time on was looked at: UTC, ISO 8601"]


_NOTHING_STORED: StoredProfiles = {
    "storage": None,
    "profiles": [],
    "more": False,
    "partial": False,
    "problems": 0,
    "searched_since": None,
}


class ProfilesReport(TypedDict):
    """Operations in flight, stored profiles, and what the recorder counts."""

    in_flight: Annotated[list[OperationRow], "the oldest first, at most 200"]
    stored: StoredProfiles
    recorder: Stats


class OneProfile(TypedDict):
    """One profile."""

    profile: ProfileSummary


class DeletedProfile(TypedDict):
    """A profile that is no more."""

    id: str
    deleted: Literal[True]


async def overview(call: Call) -> Response:
    """Operations in flight, the newest stored profiles, what the recorder counts; all of it as it is now."""
    context, listed = call.context, _listed(call.parameters)
    flying = await context.workers.run("operations", context.operations)
    unreadable = ""
    try:
        stored = await context.workers.run(("stored", listed), lambda: _stored(context, listed))
    except Problem as problem:
        if call.wants != HTML or problem.status != 503:
            raise
        # A person sees what is in flight nevertheless: it may be why.
        stored, unreadable = _NOTHING_STORED, problem.message
    data: ProfilesReport = {
        "in_flight": flying,
        "stored": stored,
        "recorder": context.current_profiler().stats(),
    }
    return await answer(
        call,
        data,
        "profiles.html",
        filters=call.parameters.texts,
        most_pages=MAX_PAGES,
        unreadable=unreadable,
        flying=len(context.current_profiler().registry) if len(flying) == MOST_OPERATIONS else len(flying),
    )


async def profile(call: Call) -> Response:
    """One profile: a summary, pyinstrument's page, a flame graph, or a file."""
    form = call.parameters[FORMAT]
    if form in DOWNLOADS:
        call.require(Scope.PROFILE)
    found = await _load(call)
    context = call.context
    if form is not None:
        return await rendered(context, found, form)
    if call.wants != HTML:
        described = await context.workers.run_alone(lambda: summary(found, context.masker))
        data: OneProfile = {"profile": described}
        return json_answer(call, data)
    page = await context.workers.run_alone(lambda: profile_page(found, context.masker), within=_PAGE_TIMEOUT)
    shown: OneProfile = {"profile": {**page.profile, "children": []}}  # the view has them
    return await answer(call, shown, "profile.html", page=page, scripts=SCRIPTS, refreshable=False)


async def delete(call: Call) -> Response:
    """Remove one profile from the store, and from the latest captures."""
    id, context = str(call.request.path_params["id"]), call.context
    profiler = context.current_profiler()
    storage = profiler.storage
    gone = False
    if storage is not None and is_ulid(id):
        # It may be on its way to the store still, a capture just made for one.
        if not await context.workers.run_alone(lambda: profiler.flush(_STORED_WITHIN), within=_LOOK_TIMEOUT):
            raise overloaded("Profiles are still being stored.")
        gone = await context.workers.run_alone(
            lambda: _read(lambda: storage.delete(id)), within=_LOOK_TIMEOUT
        )
    for one in [one for one in tuple(context.recent) if one.id == id]:
        context.recent.remove(one)
        gone = True
    if not gone:
        raise not_found("There is no profile with this id in this process's store.")
    if call.wants == HTML:
        return Response(status_code=303, headers={"location": "../../profile"})
    done: DeletedProfile = {"id": id, "deleted": True}
    return json_answer(call, done)


class _Listed(NamedTuple):
    """Which stored profiles are asked for."""

    query: ProfileQuery
    request_id: str | None
    trace_id: str | None
    order: Order
    limit: int
    page: int


def _listed(given: Parameters) -> _Listed:
    since, until = given[SINCE], given[UNTIL]
    if since and until and since >= until:
        raise bad_parameter("since", since.isoformat(), "a time before until")
    query = ProfileQuery(
        since=since,
        until=until,
        service=given[SERVICE],
        operation=given[OPERATION],
        category=given[CATEGORY],
        min_duration=given[MIN_DURATION] or None,
    )
    trace_id, order = given[TRACE_ID], given[ORDER]
    return _Listed(
        query,
        given[REQUEST_ID],
        trace_id.lower() if trace_id else None,
        order or "newest",
        given[LIMIT],
        given[PAGE],
    )


def _stored(context: DebugContext, listed: _Listed) -> StoredProfiles:
    storage = context.current_profiler().storage
    if storage is None:
        return _NOTHING_STORED
    request = RequestSearch(listed.request_id, listed.trace_id, ids=context.request_ids)
    wanted = request if listed.request_id or listed.trace_id else None
    count = listed.limit * listed.page
    found = _read(lambda: find(storage, listed.query, count, order=listed.order, request=wanted))
    return {
        "storage": context.masker.mask_text(storage.url),
        "profiles": [
            describe_entry(entry, context.masker) for entry in found.entries[count - listed.limit :]
        ],
        "more": found.more,
        "partial": found.partial,
        "problems": found.problems,
        "searched_since": found.searched_since.isoformat(timespec="seconds"),
    }


async def _load(call: Call) -> Profile:
    """Return the profile that the path names, from the latest captures or from the store.

    By its own id, or by that of a request or trace: then the one that took the longest of it.
    """
    id, context = str(call.request.path_params["id"]), call.context
    missing = not_found("There is no profile with this id in this process's store.")
    recent = [one for one in tuple(context.recent) if id == one.id]
    if recent:
        return recent[0]
    storage = context.current_profiler().storage
    if storage is None:
        raise missing

    def load() -> Profile:
        if is_ulid(id):
            return storage.load(id)
        request = RequestSearch(id, id.lower(), either=True, ids=context.request_ids)
        found = find(storage, ProfileQuery(), 1, order="slowest", request=request)
        if not found.entries:
            raise ProfileNotFound(id)
        return storage.load_entry(found.entries[0])

    try:
        return await context.workers.run_alone(lambda: _read(load), within=_LOOK_TIMEOUT)
    except ProfileNotFound:
        raise missing from None


def _read(read: Callable[[], T]) -> T:
    """Read from a store; what is wrong with it is told without its paths."""
    try:
        return read()
    except ProfileNotFound:
        raise
    except CorruptProfile:
        raise Problem(500, "The profile with this id is damaged.") from None
    except StorageError:
        raise Problem(503, "The profile store cannot be read now.") from None


ROUTES = (
    DebugRoute(
        method="GET",
        path="/profile",
        scope=Scope.READ,
        summary="this process's operations in flight, stored profiles, the recorder's counts",
        handler=overview,
        answers=ProfilesReport,
        parameters=FILTERS,
    ),
    DebugRoute(
        method="GET",
        path="/profile/{id}",
        scope=Scope.READ,
        summary="one profile, by its id or its request's or trace's: a summary, a view (format=html, flamegraph), "
        "or, with scope profile, a file to keep",
        handler=profile,
        answers=OneProfile,
        also=(404, 501),
        parameters=(FORMAT,),
    ),
    DebugRoute(
        method="POST",
        path="/profile/{id}/delete",
        scope=Scope.MANAGE,
        summary="remove one profile",
        handler=delete,
        answers=DeletedProfile,
        also=(303, 404),
    ),
)
