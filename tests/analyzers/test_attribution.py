"""To whom a sample's seconds go, one stack at a time, and that none are lost."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings

from profkit_analyzers.attribution.rulings import attribute
from profkit_storage import ChildOperation, State
from profkit_storage.categories import default_categories
from tests.analyzers.profiles import any_profiles

TABLE = default_categories()


def child(name: str, category: str, start: float, end: float, parent: int = -1) -> ChildOperation:
    return ChildOperation(name, category, start, end, {}, parent)


def test_the_owner_nearest_to_the_leaf_wins_and_a_driver_beats_the_orm(frames, blame):
    orm = frames.lib("sqlalchemy.orm.session:Session.execute", "SQLAlchemy")
    stack = [frames.app("app:list_orders"), orm, frames.lib("psycopg.cursor:Cursor.execute", "psycopg")]
    assert blame(stack) == ("db", "psycopg", "app.list_orders (line 13)")


def test_an_unknown_driver_gives_way_to_the_library_that_called_it(frames, blame):
    engine = frames.lib("sqlalchemy.engine.default:DefaultDialect.do_execute", "SQLAlchemy")
    assert blame([frames.app("app:f"), engine, frames.native("cursor.execute")])[:2] == ("db", "sqlalchemy")
    assert blame([frames.app("app:f"), frames.native("cursor.execute")])[:2] == ("db", "dbapi")
    assert blame([frames.app("app:f"), engine, frames.native("cursor.execute", "_sqlite3")])[1] == "sqlite3"


def test_transport_and_waits_hand_on_to_the_sdk_above(frames, blame):
    stack = [
        frames.app("app.llm:complete"),
        frames.lib("openai.resources:create", "openai"),
        frames.lib("httpx._client:Client.send", "httpx"),
        frames.lib("httpcore._sync:handle", "httpcore"),
        frames.std("ssl:SSLSocket.read"),
        frames.native("self._sslobj.read"),
    ]
    assert blame(stack) == ("llm", "openai", "app.llm.complete (line 13)")
    retry = [
        *stack[:2],
        frames.lib("openai._base_client:_sleep_for_retry", "openai"),
        frames.native("time.sleep", "time"),
    ]
    assert blame(retry, State.WAITING) == ("llm", "openai", "app.llm.complete (line 13)")


def test_transport_without_an_owner_is_http_under_the_library_the_application_called(frames, blame):
    stack = [
        frames.app("app:fetch"),
        frames.lib("httpx._api:get", "httpx"),
        frames.lib("httpcore._sync:handle", "httpcore"),
        frames.std("socket:SocketIO.readinto"),
    ]
    assert blame(stack) == ("http", "httpx", "app.fetch (line 13)")
    assert blame(stack, category="llm") == ("llm", "httpx", "app.fetch (line 13)")
    around = frames.lib("langgraph.pregel:invoke", "langgraph")
    assert blame([frames.app("app:main"), around, *stack])[0] == "http"


def test_transport_in_a_tool_goes_to_the_remote_child_operation_around_it(frames, blame):
    stack = [
        frames.app("app:main"),
        frames.app("app:ask"),
        frames.lib("httpx._api:get", "httpx"),
        frames.await_,
    ]
    assert blame(stack, children=(child("llm.chat", "llm", 0, 2),)) == (
        "llm",
        "llm.chat",
        "app.ask (line 13)",
    )
    assert blame(stack, children=(child("tool", "agent", 0, 2),))[0] == "http"


def test_a_wait_without_an_owner_is_the_operations_own(frames, blame):
    sleep = [frames.app("app:main"), frames.std("asyncio.tasks:sleep"), frames.await_]
    assert blame(sleep) == ("agent", "asyncio.sleep", "app.main (line 13)")
    assert blame([frames.app("app:main"), frames.await_]) == ("agent", "await", "app.main (line 13)")
    tenacity = [
        frames.app("app:main"),
        frames.lib("tenacity:sleep", "tenacity"),
        frames.native("time.sleep", "time"),
    ]
    assert blame(tenacity, category="")[:2] == ("application", "tenacity")


def test_locks_and_processes_say_what_they_are_where_the_category_is_the_operations(frames, blame):
    lock = [frames.app("app:main"), frames.native("self._lock.__enter__")]
    assert blame(lock) == ("agent", "lock", "app.main (line 13)")
    process = [
        frames.std("subprocess:run"),
        frames.std("subprocess:Popen._wait"),
        frames.native("os.waitpid", "posix"),
    ]
    assert blame([frames.app("app:main"), *process], category="") == (
        "application",
        "subprocess",
        "app.main (line 13)",
    )


def test_serialization_names_the_sdk_it_serves_and_else_the_outermost_serializer(frames, blame):
    dumps = [frames.std("json:dumps"), frames.std("json.encoder:JSONEncoder.encode")]
    sdk = frames.lib("openai.resources:create", "openai")
    assert blame([frames.app("app:f"), sdk, frames.lib("httpx._models:encode", "httpx"), *dumps])[:2] == (
        "serialization",
        "openai",
    )
    assert blame([frames.app("app:f"), *dumps])[:2] == ("serialization", "json")
    model = frames.lib("pydantic.main:BaseModel.model_dump_json", "pydantic")
    core = frames.native("SchemaSerializer.to_json", "pydantic_core._pydantic_core")
    assert blame([frames.app("app:f"), model, core])[:2] == ("serialization", "pydantic")
    agent = frames.lib("langgraph.pregel:invoke", "langgraph")
    assert blame([frames.app("app:f"), agent, frames.app("app:node"), *dumps]) == (
        "serialization",
        "json",
        "app.node (line 13)",
    )


def test_plain_code_is_the_operations_own_as_one_place_whatever_line_it_is_at(frames, blame):
    assert blame([frames.app("app:main"), frames.app("app:crunch")]) == ("agent", "application", "app.crunch")
    assert blame([frames.app("app:crunch"), frames.native("len", "builtins")])[2] == "app.crunch"
    assert blame([frames.app("app:crunch"), frames.std("re:sub")])[2] == "app.crunch (line 13)"
    assert blame([frames.app("app:crunch")], category="")[0] == "application"
    assert blame([frames.app("app:crunch")], category="payments")[0] == "payments"


def test_a_framework_above_the_application_comes_after_the_child_operation_below_it(frames, blame):
    stack = [
        frames.app("app:main"),
        frames.lib("langgraph.pregel:invoke", "langgraph"),
        frames.app("app:tool"),
    ]
    assert blame(stack, category="http") == ("agent", "langgraph", "app.tool")
    found = blame(stack, category="http", children=(child("orders.tool", "db", 0, 2),))
    assert found == ("db", "orders.tool", "app.tool")


def test_library_code_inside_a_child_operation_is_the_librarys(frames, blame):
    stack = [frames.app("app:main"), frames.app("app:tool"), frames.std("json:dumps")]
    assert blame(stack, children=(child("tool", "db", 0, 2),))[:2] == ("serialization", "json")


def test_a_stack_without_application_code_has_no_call_site_and_never_a_librarys_line(frames, blame):
    middleware = frames.lib("starlette.middleware.exceptions:ExceptionMiddleware.__call__", "starlette")
    worker = frames.lib("anyio.to_thread:run_sync", "anyio")
    stack = [middleware, frames.lib("starlette.routing:run", "starlette"), worker, frames.await_]
    assert blame(stack, State.WAITING, category="http") == ("http", "anyio.to_thread", "")
    assert blame([middleware, frames.lib("redis.client:get", "redis")]) == ("db/cache", "redis", "")
    assert blame([middleware, frames.app("app:view")])[2] == "app.view"
    assert blame([middleware], State.GC)[1:] == ("gc", "")


def test_a_colliding_name_of_the_applications_own_is_plain_code(frames, blame):
    assert blame([frames.app("agents:run"), frames.app("json:dumps")]) == (
        "agent",
        "application",
        "json.dumps",
    )


@pytest.mark.parametrize(
    ("state", "holder", "expected"),
    [
        (State.STARVED, 1, ("runtime", "event_loop", "app.report.encode")),
        (State.HELD, 1, ("runtime", "event_loop", "app.report.encode")),
        (State.HELD, -1, ("runtime", "event_loop", "[not known]")),
        (State.GC, -1, ("runtime", "gc", "app.main (line 13)")),
    ],
)
def test_what_the_loop_or_the_collector_had_is_the_runtimes(make_profile, frames, state, holder, expected):
    profile = make_profile(
        stacks=[([frames.app("app:main"), frames.lib("openai.x:y", "openai")], 2.0)],
        children=(child("llm", "llm", 0, 2),),
    )
    sample = profile.samples[0]._replace(state=state, holder=holder)
    fields = {"frames": (*profile.frames[:1], frames.app("app.report:encode"), *profile.frames[1:])}
    nodes = tuple(node._replace(frame=node.frame + 1) if node.frame else node for node in profile.nodes)

    profile = dataclasses.replace(profile, samples=(sample,), nodes=nodes, **fields)
    (key,) = attribute(profile, TABLE).seconds
    assert (key.category, key.owner, str(key.call_site)) == expected


@settings(max_examples=200, deadline=None)
@given(profile=any_profiles())
def test_every_second_goes_to_exactly_one_blame(profile):
    found = attribute(profile, TABLE)
    assert sum(found.seconds.values()) == pytest.approx(sum(sample.wall for sample in profile.samples))
    assert sum(found.seconds.values()) + found.unobserved == pytest.approx(profile.wall)
    runtime = sum(seconds for key, seconds in found.seconds.items() if key.category == "runtime")
    lost = (State.STARVED, State.HELD, State.GC)
    assert runtime == pytest.approx(sum(sample.wall for sample in profile.samples if sample.state in lost))
    assert all(
        key.category not in ("wait", "transport") or profile.category == "wait" for key in found.seconds
    )
    assert all(key.category and key.owner for key in found.seconds)
    assert all(key.call_site.name or key.call_site.line == 0 for key in found.seconds)


def test_the_work_grows_with_distinct_stacks_and_not_with_samples(make_profile, frames, monkeypatch):
    calls = []
    match = TABLE.match
    monkeypatch.setattr(TABLE, "match", lambda frame: calls.append(frame) or match(frame))
    stack = [frames.app("app:never_seen_before"), frames.lib("redis.client:get_never_seen", "redis")]
    profile = make_profile(stacks=[(stack, 0.01), (stack[:1], 0.01)] * 500)
    found = attribute(profile, TABLE)
    assert len(calls) == 2
    assert attribute(dataclasses.replace(profile, id="another"), TABLE) == found
    assert len(calls) == 2  # of another profile with the same stacks nothing has to be looked up
