"""WSGI: what requests are called and which ids they have, until the last byte; and that nothing is broken by it."""

from __future__ import annotations

import contextvars
import gc
import http.client
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from flask import Blueprint, Flask, Response, send_file, stream_with_context
from flask import request as flask_request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server as make_werkzeug_server

from profkit import PerformanceProfiler, Settings
from profkit.live_requests import live, live_requests, name_live_requests
from profkit.operations import current as current_operation
from profkit.request_context import RequestContext, current
from profkit.wsgi import ProfilingMiddleware, RequestTracker
from profkit_storage import ConfigurationError, Profile, Status
from profkit_storage.memory import MemoryStorage

TRACE = "0af7651916cd43dd8448eb211c80319c"
TEXT = [("Content-Type", "text/plain")]
App = Callable[[dict[str, Any], Any], Iterable[bytes]]


@pytest.fixture
def kept() -> list[Profile]:
    return []


@pytest.fixture
def profiler(kept: list[Profile]) -> Iterator[PerformanceProfiler]:
    settings = Settings(storage=MemoryStorage(), service="t", threshold=0.0, on_profile=kept.append)
    profiler = PerformanceProfiler(settings)
    yield profiler
    assert not profiler.registry
    assert not live
    assert profiler.shutdown(5)
    assert (current(), current_operation.get()) == (None, None)


class Server(ThreadingMixIn, WSGIServer):
    pass


class Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass

    def get_stderr(self) -> Any:
        return io.StringIO()


@contextmanager
def serving(app: App, kind: str = "wsgiref") -> Iterator[int]:
    """Serve by a real server, a thread for each request; the value is its port."""
    server: Any
    if kind == "wsgiref":
        server = make_server("127.0.0.1", 0, app, Server, Handler)
    else:
        server = make_werkzeug_server("127.0.0.1", 0, app, threaded=True)
        server.log = lambda *args: None
        server.daemon_threads = False  # so that closing the server waits for what is served
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def get(
    port: int, path: str = "/", method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def environ_of(method: str = "GET", **more: Any) -> dict[str, Any]:
    environ = {"REQUEST_METHOD": method, **more}
    setup_testing_defaults(environ)
    return environ


class Answers:
    """A server's `start_response`, which notes what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []

    def __call__(self, *args: Any) -> Callable[[bytes], None]:
        self.calls.append(args)
        return self.written.append

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.calls[-1][1] if key.lower() == name]


def run(app: App, environ: dict[str, Any] | None = None) -> tuple[list[bytes], Answers]:
    """Do what a server does; nothing of a request may be left while it is the server's turn."""
    answers = Answers()
    body = app(environ or environ_of(), answers)
    chunks = []
    try:
        assert (current(), current_operation.get()) == (None, None)
        for chunk in body:
            assert (current(), current_operation.get()) == (None, None)
            chunks.append(chunk)
    finally:
        if hasattr(body, "close"):
            body.close()
        assert (current(), current_operation.get()) == (None, None)
    return chunks, answers


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [b"hello"]


class Closable:
    """A body that notes what is done with it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        self.closed += 1


def answering(body: Any, status: str = "200 OK") -> App:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, list(TEXT))
        return body

    return app


# Names


def flask_app() -> Flask:
    app = Flask("t", static_folder=str(Path(__file__).parent), static_url_path="/static")
    blueprint = Blueprint("b", "b", url_prefix="/b")

    @app.route("/users/<int:user>", methods=["GET", "PUT"])
    def user(user: int) -> str:
        return f"user {user}"

    @blueprint.get("/things/<path:rest>")
    def thing(rest: str) -> str:
        return rest

    @app.get("/fail")
    def fail() -> str:
        raise LookupError("the application's own")

    @app.get("/redirects/")
    def redirects() -> str:
        return "here"

    app.register_blueprint(blueprint)
    return app


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/users/7", "GET /users/<int:user>", 200),
        ("HEAD", "/users/7", "HEAD /users/<int:user>", 200),
        ("PUT", "/users/7", "PUT /users/<int:user>", 200),
        ("DELETE", "/users/7", "DELETE (unmatched)", 405),
        ("GET", "/users/seven", "GET (unmatched)", 404),
        ("GET", "/b/things/a/b", "GET /b/things/<path:rest>", 200),
        ("GET", "/fail", "GET /fail", 500),
        ("GET", "/redirects", "GET (unmatched)", 308),
        ("GET", "/static/test_wsgi.py", "GET /static/<path:filename>", 200),
        ("BREW", "/users/7", "(other method) (unmatched)", 405),
        ("GET", "/%3Cscript%3E", "GET (unmatched)", 404),
    ],
)
def test_a_flask_request_is_named_by_its_rule(
    profiler: PerformanceProfiler, kept: list[Profile], method: str, path: str, name: str, status: int
) -> None:
    with serving(ProfilingMiddleware(flask_app(), profiler)) as port:
        assert get(port, path, method)[0] == status
    assert profiler.flush()
    assert [profile.operation for profile in kept] == [name]
    assert kept[0].tags["status"] == status
    assert kept[0].status is (Status.ERROR if status == 500 else Status.OK)


def test_an_application_can_tell_its_route(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["profkit.route"] = "/things/{thing}"
        return hello(environ, start_response)

    def app_with_no_text(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["profkit.route"] = 7
        return hello(environ, start_response)

    run(ProfilingMiddleware(app, profiler), environ_of(PATH_INFO="/things/1"))
    run(ProfilingMiddleware(app_with_no_text, profiler), environ_of("POST", PATH_INFO="/things/1"))
    run(ProfilingMiddleware(hello, profiler), environ_of(PATH_INFO="/things/1"))
    assert profiler.flush()
    names = ["GET /things/{thing}", "POST (unmatched)", "GET (unmatched)"]
    assert [profile.operation for profile in kept] == names


def test_what_is_told_goes_before_what_is_found(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    app = flask_app()

    @app.after_request
    def tell(response: Response) -> Response:
        flask_request.environ["profkit.route"] = "/told"
        return response

    with serving(ProfilingMiddleware(app, profiler)) as port:
        get(port, "/users/7")
    assert profiler.flush()
    assert kept[0].operation == "GET /told"


def test_a_request_class_of_the_applications_own_breaks_nothing(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    class Broken:
        @property
        def url_rule(self) -> object:
            raise RuntimeError("not now")

    run(ProfilingMiddleware(hello, profiler), environ_of(**{"werkzeug.request": Broken()}))
    assert profiler.flush()
    assert kept[0].operation == "GET (unmatched)"


def test_an_application_below_a_mount_is_named_too(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    app = DispatcherMiddleware(hello, {"/inner": flask_app()})
    with serving(ProfilingMiddleware(app, profiler)) as port:
        assert get(port, "/inner/users/7")[0] == 200
    assert profiler.flush()
    assert kept[0].operation == "GET /users/<int:user>"


def test_a_request_in_flight_has_the_name_of_its_route(profiler: PerformanceProfiler) -> None:
    entered, go_on = threading.Event(), threading.Event()
    app = flask_app()

    @app.get("/slow/<n>")
    def slow(n: str) -> str:
        entered.set()
        assert go_on.wait(10)
        return n

    with serving(ProfilingMiddleware(app, profiler)) as port:
        caller = threading.Thread(target=get, args=(port, "/slow/1", "GET", {"X-Request-ID": "r-1"}))
        caller.start()
        try:
            assert entered.wait(10)
            assert name_live_requests() == 1
            (one,) = profiler.in_flight()
        finally:
            go_on.set()
            caller.join(10)
    assert (one.name, one.request_id) == ("GET /slow/<n>", "r-1")
    assert any(line.startswith("flask_app.<locals>") or "slow" in line for line in one.stack)


# Ids


def test_ids_are_taken_made_and_echoed(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    seen: list[RequestContext | None] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(current())
        assert environ["profkit.request"] is current()
        return hello(environ, start_response)

    sent = {"X-Request-ID": "req-77", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=1"}
    with serving(ProfilingMiddleware(app, profiler)) as port:
        assert get(port, headers=sent)[1]["x-request-id"] == "req-77"
        made = get(port)[1]["x-request-id"]
    assert profiler.flush()
    assert seen[0] is not None
    assert seen[0][:2] == ("req-77", TRACE)
    assert seen[0][3:] == ("b7ad6b7169203331", "01", "a=1")
    assert len(made) == 36
    assert {(one.request_id, one.trace_id) for one in kept} >= {("req-77", TRACE)}
    assert made in {one.request_id for one in kept}


@pytest.mark.parametrize("kind", ["wsgiref", "werkzeug"])
def test_two_of_one_header_are_none(kind: str) -> None:
    """Servers join them with a comma."""
    with (
        serving(RequestTracker(hello), kind) as port,
        socket.create_connection(("127.0.0.1", port), 10) as peer,
    ):
        lines = ["GET / HTTP/1.0", "X-Request-ID: one", "X-Request-ID: two"]
        lines += [f"traceparent: 00-{TRACE}-b7ad6b7169203331-01"] * 2
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: peer.recv(65536), b"")).decode()
    (line,) = (line for line in answer.split("\r\n") if line.lower().startswith("x-request-id:"))
    assert len(line.split(": ")[1]) == 36


def test_a_tracker_inside_another_keeps_its_id(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    app = RequestTracker(RequestTracker(ProfilingMiddleware(hello, profiler)))
    environ = environ_of()
    _, answers = run(app, environ)
    assert answers.header("x-request-id") == [environ["profkit.request"].request_id]
    assert profiler.flush()
    assert (kept[0].request_id, kept[0].span_id) == environ["profkit.request"][0:3:2]


def test_without_tracker_there_is_no_id(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    app = ProfilingMiddleware(hello, profiler, tracker=False)
    _, answers = run(app, environ_of(HTTP_X_REQUEST_ID="mine"))
    assert answers.header("x-request-id") == []
    assert profiler.flush()
    assert kept[0].request_id == ""


def test_without_a_profiler_at_work_there_are_ids_all_the_same() -> None:
    _, answers = run(ProfilingMiddleware(hello, PerformanceProfiler()), environ_of(HTTP_X_REQUEST_ID="mine"))
    assert answers.header("x-request-id") == ["mine"]
    _, answers = run(ProfilingMiddleware(hello, PerformanceProfiler(), tracker=False))
    assert answers.header("x-request-id") == []


def test_the_header_can_be_named_and_callers_distrusted() -> None:
    _, answers = run(
        RequestTracker(hello, header="X-Correlation-ID"), environ_of(HTTP_X_CORRELATION_ID="abc")
    )
    assert answers.calls[-1][1] == [*TEXT, ("X-Correlation-ID", "abc")]
    _, answers = run(RequestTracker(hello, trust=False), environ_of(HTTP_X_REQUEST_ID="abc"))
    assert len(answers.header("x-request-id")[0]) == 36


def test_an_answer_that_is_sent_twice_does_not_gather_ids() -> None:
    shared = [*TEXT, ("x-request-id", "stale")]

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", shared)
        return [b""]

    for name in ("first", "second"):
        _, answers = run(RequestTracker(app), environ_of(HTTP_X_REQUEST_ID=name))
        assert answers.header("x-request-id") == [name]
    assert shared == [*TEXT, ("x-request-id", "stale")]


@pytest.mark.parametrize("name", ["", "a b", "a\r\nb", "x" * 65])
def test_a_header_that_is_no_header_is_refused(name: str) -> None:
    for make in (RequestTracker, ProfilingMiddleware):
        with pytest.raises(ConfigurationError, match="header="):
            make(hello, header=name)


def test_an_impossible_threshold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="threshold=-1"):
        ProfilingMiddleware(hello, threshold=-1)


# Bodies


@pytest.mark.parametrize("kind", ["wsgiref", "werkzeug"])
def test_concurrent_streams_do_not_mix(profiler: PerformanceProfiler, kept: list[Profile], kind: str) -> None:
    everyone = threading.Barrier(12)
    seen: dict[str, set[str]] = {}
    app = Flask("t")

    @app.get("/<name>")
    def stream(name: str) -> Response:
        def note() -> None:
            context, operation = current(), current_operation.get()
            assert context is not None
            assert operation is not None
            assert operation.request is context
            seen.setdefault(name, set()).add(context.request_id)

        def chunks() -> Iterator[bytes]:
            for _ in range(3):
                everyone.wait(10)
                note()
                yield b"x"

        note()
        response = Response(stream_with_context(chunks()))
        response.call_on_close(note)
        return response

    answers: list[tuple[int, dict[str, str], bytes]] = []
    with serving(ProfilingMiddleware(app, profiler), kind) as port:
        callers = [
            threading.Thread(
                target=lambda n=n: answers.append(get(port, f"/r{n}", headers={"X-Request-ID": f"r{n}"}))
            )
            for n in range(12)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(20)
    assert sorted(answer[1]["x-request-id"] for answer in answers) == sorted(f"r{n}" for n in range(12))
    assert {answer[2] for answer in answers} == {b"xxx"}
    assert seen == {f"r{n}": {f"r{n}"} for n in range(12)}
    assert profiler.flush()
    assert {one.operation for one in kept} == {"GET /<name>"}
    assert profiler.rollups.totals().calls == 12


def test_a_stream_is_seen_to_its_last_byte(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    """What the application does for each chunk, and what the server does between them, each under its own name."""

    def chunks() -> Iterator[bytes]:
        for _ in range(3):
            time.sleep(0.15)
            assert [one.name for one in profiler.in_flight()] == ["GET (unmatched)"]
            yield b"x"

    body: Any = ProfilingMiddleware(answering(chunks()), profiler)(environ_of(), Answers())
    for _ in body:
        time.sleep(0.1)
        assert profiler.in_flight()
    body.close()
    assert profiler.flush()
    (profile,) = kept
    assert profile.status is Status.OK
    assert 0.75 <= profile.wall < 2
    seconds = dict.fromkeys(("chunks", "[sending the answer]"), 0.0)
    for sample in profile.samples:
        node = profile.nodes[sample.node]
        while node.parent >= 0:
            node = profile.nodes[node.parent]
        seconds[profile.frames[node.frame].qualname.rpartition(".")[2]] += sample.wall
    assert 0.3 < seconds["chunks"] < profile.wall - 0.2
    assert 0.15 < seconds["[sending the answer]"] < profile.wall - 0.35
    assert profile.sampling.unobserved < 0.2


def test_a_step_in_another_context_or_thread_is_the_requests_too(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def chunks() -> Iterator[bytes]:
        while True:
            context = current()
            yield context.request_id.encode() if context else b"none"

    environ = environ_of(HTTP_X_REQUEST_ID="mine")
    body: Any = ProfilingMiddleware(answering(Closable(chunks())), profiler)(environ, Answers())
    chunks_of_it = iter(body)
    got = [next(chunks_of_it), contextvars.copy_context().run(next, chunks_of_it)]
    thread = threading.Thread(target=lambda: got.append(next(chunks_of_it)))
    thread.start()
    thread.join(10)
    assert got == [b"mine"] * 3
    assert (current(), current_operation.get()) == (None, None)
    contextvars.copy_context().run(body.close)
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.CANCELLED]


def test_a_stream_that_moves_to_another_thread_is_seen_there(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def chunks() -> Iterator[bytes]:
        time.sleep(0.3)
        yield b"x"

    body: Any = ProfilingMiddleware(answering(chunks()), profiler)(environ_of(), Answers())
    thread = threading.Thread(target=list, args=(body,))
    thread.start()
    thread.join(10)
    body.close()
    assert profiler.flush()
    (profile,) = kept
    assert "chunks" in {frame.qualname.rpartition(".")[2] for frame in profile.frames}
    assert profile.sampling.unobserved < 0.15


def test_an_operation_within_a_stream_goes_on_over_its_chunks(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    seen: list[str] = []

    def chunks() -> Iterator[bytes]:
        with profiler.operation("export"):
            for _ in range(3):
                operation = current_operation.get()
                seen.append(operation.tally.name if operation else "")
                yield b"x"
        yield b"end"

    run(ProfilingMiddleware(answering(chunks()), profiler))
    assert seen == ["export"] * 3
    assert profiler.flush()
    (outer,) = (one for one in kept if one.operation == "GET (unmatched)")
    assert [child.name for child in outer.children] == ["export"]


def test_an_operation_that_ends_between_two_chunks_is_nobodys(profiler: PerformanceProfiler) -> None:
    def exporting() -> Iterator[bytes]:
        with profiler.operation("export"):
            yield b"x"

    export = exporting()
    seen: list[str] = []

    def chunks() -> Iterator[bytes]:
        yield next(export)
        operation = current_operation.get()
        seen.append(operation.tally.name if operation else "")
        yield b"y"

    body: Any = ProfilingMiddleware(answering(chunks()), profiler)(environ_of(), Answers())
    chunks_of_it = iter(body)
    next(chunks_of_it)
    contextvars.copy_context().run(export.close)  # type: ignore[attr-defined]
    next(chunks_of_it)
    body.close()
    assert seen == ["GET (unmatched)"]


def test_the_body_of_an_application_that_is_a_generator(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        assert current() is environ["profkit.request"]
        start_response("201 Created", TEXT)
        yield b"one"
        yield b"two"

    chunks, answers = run(ProfilingMiddleware(app, profiler), environ_of(HTTP_X_REQUEST_ID="mine"))
    assert chunks == [b"one", b"two"]
    assert answers.header("x-request-id") == ["mine"]
    assert profiler.flush()
    assert [(one.status, one.tags["status"]) for one in kept] == [(Status.OK, 201)]


@pytest.mark.parametrize(
    "body", [[b"hello"], (b"hello",), [b"he", b"llo"], [], iter([b"hello"]), {b"hello": 1}]
)
def test_a_body_that_cannot_be_closed_ends_with_its_last_chunk(
    profiler: PerformanceProfiler, kept: list[Profile], body: Any
) -> None:
    expected = len(body) if hasattr(body, "__len__") else None
    answer: Any = ProfilingMiddleware(answering(body), profiler)(environ_of(), Answers())
    assert (len(answer) if hasattr(answer, "__len__") else None) == expected
    assert len(profiler.registry) == 1
    assert b"".join(answer) == (b"hello" if expected != 0 else b"")
    assert not profiler.registry
    answer.close()
    answer.close()
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.OK]


def test_a_list_is_as_often_iterated_as_the_server_likes(profiler: PerformanceProfiler) -> None:
    answer = ProfilingMiddleware(answering([b"a", b"b"]), profiler)(environ_of(), Answers())
    assert list(answer) == list(answer) == [b"a", b"b"]
    plain = [b"a"]
    assert RequestTracker(answering(plain))(environ_of(), Answers()) is plain


@pytest.mark.parametrize(
    ("body", "length"), [([b"hello"], "5"), ([b"he", b"llo"], None), (iter([b"hello"]), None)]
)
def test_servers_still_tell_the_length_of_a_single_chunk(
    profiler: PerformanceProfiler, body: Any, length: str | None
) -> None:
    with serving(ProfilingMiddleware(answering(body), profiler)) as port:
        _, headers, got = get(port)
    assert (headers.get("content-length"), got) == (length, b"hello")


@pytest.mark.parametrize("middleware", [RequestTracker, ProfilingMiddleware])
def test_close_is_called_through_once_for_each_time(middleware: Any) -> None:
    body = Closable([b"a", b"b"])
    answer = middleware(answering(body))(environ_of(), Answers())
    assert list(answer) == [b"a", b"b"]
    assert body.closed == 0
    answer.close()
    assert body.closed == 1


def test_what_close_does_is_part_of_the_request(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    seen: list[object] = []

    class Late(Closable):
        def close(self) -> None:
            time.sleep(0.12)
            operation = current_operation.get()
            seen.extend((current(), operation.request if operation else None))

    environ = environ_of()
    run(ProfilingMiddleware(answering(Late([b"x"])), profiler), environ)
    assert seen == [environ["profkit.request"]] * 2
    assert profiler.flush()
    assert kept[0].wall >= 0.12
    assert "close" in {frame.qualname.rpartition(".")[2] for frame in kept[0].frames}


def test_an_exception_of_close_is_the_applications(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    class Fails(Closable):
        def close(self) -> None:
            raise LookupError("at the end")

    with pytest.raises(LookupError, match="at the end"):
        run(ProfilingMiddleware(answering(Fails([b"x"])), profiler))
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.ERROR]


@pytest.mark.parametrize("kind", ["wsgiref", "werkzeug"])
def test_a_client_that_leaves_closes_the_body(
    profiler: PerformanceProfiler, kept: list[Profile], kind: str
) -> None:
    def chunks() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    body = Closable(chunks())
    with serving(ProfilingMiddleware(answering(body), profiler), kind) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert peer.recv(65536)
        until = time.monotonic() + 10
        while (not body.closed or profiler.registry) and time.monotonic() < until:
            time.sleep(0.01)
    assert body.closed == 1
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.CANCELLED]


def test_the_answer_to_head_is_no_less_for_having_no_body(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    body: Any = ProfilingMiddleware(answering(Closable([b"a", b"b"])), profiler)(
        environ_of("HEAD"), Answers()
    )
    next(iter(body))
    body.close()
    ProfilingMiddleware(answering(Closable([b"a"])), profiler)(environ_of(), Answers()).close()  # type: ignore[attr-defined]
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.OK, Status.OK]


def test_middleware_that_forgets_to_close_keeps_no_request_in_flight(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def inner(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = Closable([b"a", b"b"])
        return ProfilingMiddleware(answering(body), profiler)(environ, start_response)

    def joining(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return [b"".join(inner(environ, start_response))]

    def dropping(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        next(iter(inner(environ, start_response)))
        return [b""]

    run(joining)
    run(dropping)
    gc.collect()
    assert not profiler.registry
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.OK, Status.CANCELLED]


def test_what_is_no_body_is_the_servers_to_refuse(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        run(ProfilingMiddleware(answering(None), profiler))
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.ERROR]


# Files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    return path


@pytest.mark.parametrize("kind", ["wsgiref", "werkzeug"])
@pytest.mark.parametrize("middleware", ["tracker", "profiling"])
def test_files_are_sent_and_closed(
    profiler: PerformanceProfiler, kept: list[Profile], file: Path, kind: str, middleware: str
) -> None:
    opened: list[Any] = []
    app = Flask("t")

    @app.get("/file")
    def get_file() -> Response:
        opened.append(file.open("rb"))
        return send_file(opened[0], mimetype="text/plain")

    wrapped = RequestTracker(app) if middleware == "tracker" else ProfilingMiddleware(app, profiler)
    with serving(wrapped, kind) as port:
        status, headers, body = get(port, "/file")
    assert (status, len(body), len(headers["x-request-id"])) == (200, 100_000, 36)
    assert opened[0].closed
    assert profiler.flush()
    assert [(one.operation, one.status) for one in kept] == [("GET /file", Status.OK)] * (
        middleware == "profiling"
    )


def test_a_servers_file_stays_what_it_is(
    profiler: PerformanceProfiler, kept: list[Profile], file: Path
) -> None:
    """Or the server would not find out that the kernel can send it."""
    given = FileWrapper(file.open("rb"))
    answer: Any = ProfilingMiddleware(answering(given), profiler)(
        environ_of(**{"wsgi.file_wrapper": FileWrapper}), Answers()
    )
    assert answer is given
    assert profiler.in_flight()
    answer.close()
    assert given.filelike.closed
    assert not profiler.in_flight()
    assert profiler.flush()
    assert [one.status for one in kept] == [Status.OK]


def test_a_file_of_the_applications_own_is_read_within_the_request(profiler: PerformanceProfiler) -> None:
    seen: list[object] = []

    class Own:
        def read(self, size: int) -> bytes:
            seen.append(current())
            return b"x" if len(seen) == 1 else b""

    environ = environ_of(**{"wsgi.file_wrapper": FileWrapper})
    chunks, _ = run(ProfilingMiddleware(answering(FileWrapper(Own())), profiler), environ)  # type: ignore[arg-type]
    assert chunks == [b"x"]
    assert seen == [environ["profkit.request"]] * 2


def test_a_servers_file_made_in_c_ends_the_request_at_once(profiler: PerformanceProfiler, file: Path) -> None:
    class Sealed:
        __slots__ = ()

        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

    given = Sealed()
    environ = environ_of(**{"wsgi.file_wrapper": Sealed})
    assert ProfilingMiddleware(answering(given), profiler)(environ, Answers()) is given
    assert not profiler.registry


# What the application and its server do with each other


def test_the_applications_exception_is_its_own(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    def before(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise LookupError("before")

    def after(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        raise LookupError("after")

    def amid(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"x"
        raise LookupError("amid")

    for app in (before, after, amid):
        with pytest.raises(LookupError, match=app.__name__) as caught:
            run(ProfilingMiddleware(app, profiler))
        assert caught.traceback[-1].name == app.__name__
        with pytest.raises(LookupError, match=app.__name__):
            run(RequestTracker(app))
    assert profiler.flush()
    assert [(one.status, one.tags["error"]) for one in kept] == [(Status.ERROR, "LookupError")] * 3


def test_an_answer_may_be_taken_back_for_an_error(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        try:
            int("no")
        except ValueError as error:
            start_response("500 Sorry", TEXT, (ValueError, error, error.__traceback__))
        return [b"sorry"]

    environ = environ_of(HTTP_X_REQUEST_ID="mine")
    chunks, answers = run(ProfilingMiddleware(app, profiler), environ)
    assert chunks == [b"sorry"]
    assert [call[0] for call in answers.calls] == ["200 OK", "500 Sorry"]
    assert [len(call) for call in answers.calls] == [2, 3]
    assert answers.calls[1][2][0] is ValueError
    assert answers.header("x-request-id") == ["mine"]
    with serving(ProfilingMiddleware(app, profiler)) as port:
        assert get(port)[0::2] == (500, b"sorry")
    assert profiler.flush()
    assert [(one.status, one.tags["status"]) for one in kept] == [(Status.ERROR, 500)] * 2


def test_too_late_for_an_error_the_server_raises_it(profiler: PerformanceProfiler) -> None:
    raised: list[BaseException] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", TEXT)
        yield b"x" * 10
        try:
            int("no")
        except ValueError as error:
            try:
                start_response("500 Sorry", TEXT, (ValueError, error, error.__traceback__))
            except ValueError as again:
                raised.append(again)
                raise

    with serving(ProfilingMiddleware(app, profiler)) as port:
        assert get(port)[2] == b"x" * 10
    assert len(raised) == 1


def test_what_is_written_is_part_of_the_answer(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", TEXT)
        write(b"written, ")
        return [b"returned"]

    with serving(ProfilingMiddleware(app, profiler)) as port:
        _, headers, body = get(port)
    assert body == b"written, returned"
    assert len(headers["x-request-id"]) == 36
    answers = Answers()
    ProfilingMiddleware(app, profiler)(environ_of(), answers)
    assert answers.written == [b"written, "]
    assert profiler.flush()


@pytest.mark.parametrize("status", ["", "OK", b"200 OK", None])
def test_a_status_that_is_none_is_the_servers_to_refuse(
    profiler: PerformanceProfiler, kept: list[Profile], status: Any
) -> None:
    _, answers = run(ProfilingMiddleware(answering([b""], status), profiler))
    assert answers.calls[0][0] == status
    assert profiler.flush()
    assert kept[0].tags.get("status") == (200 if status == b"200 OK" else None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("middleware", [RequestTracker, ProfilingMiddleware])
def test_by_the_standard_librarys_validator_it_is_wsgi(
    method: str, middleware: Any, profiler: PerformanceProfiler
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(TEXT))
        return [] if method == "HEAD" else [b"one", b"two"]

    options = {} if middleware is RequestTracker else {"profiler": profiler}
    checked = validator(middleware(validator(app), **options))
    environ = environ_of(method, QUERY_STRING="")
    answers = Answers()
    body: Any = checked(environ, answers)
    for _ in body:
        pass
    body.close()
    assert len(answers.header("x-request-id")[0]) == 36


def test_the_root_is_the_frame_below_the_middleware(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        time.sleep(0.12)
        return hello(environ, start_response)

    run(ProfilingMiddleware(RequestTracker(app), profiler))
    assert profiler.flush()
    roots = {kept[0].frames[node.frame].qualname for node in kept[0].nodes if node.parent < 0}
    assert {root.rpartition(".")[2] for root in roots} - {"[sending the answer]"} == {"app"}


def test_a_child_that_is_forked_amid_a_request_tells_nothing_of_it(profiler: PerformanceProfiler) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        pid = os.fork()
        if not pid:
            os._exit(3 if profiler.registry or live_requests() else 0)
        assert len(live_requests()) == 1
        return [str(os.waitpid(pid, 0)[1]).encode()]

    assert run(ProfilingMiddleware(app, profiler))[0] == [b"0"]


@pytest.mark.parametrize("body", [list, iter, Closable])
def test_a_request_leaves_nothing_to_collect(profiler: PerformanceProfiler, body: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", TEXT)
        return body([b"x"])  # type: ignore[no-any-return]

    profiler.set_threshold(60)
    wrapped = ProfilingMiddleware(RequestTracker(app), profiler)
    run(wrapped)
    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            run(wrapped)
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_a_request_that_its_own_environ_leads_to_is_kept_by_nobody(
    profiler: PerformanceProfiler,
) -> None:
    environ = environ_of()

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        environ["framework.start_response"] = start_response
        start_response("200 OK", [])
        yield b"a"

    body = ProfilingMiddleware(application, profiler)(environ, lambda *_: None)  # type: ignore[arg-type,return-value]
    assert next(iter(body)) == b"a"
    assert len(profiler.in_flight()) == 1
    del body, environ
    gc.collect()
    assert not profiler.in_flight()
