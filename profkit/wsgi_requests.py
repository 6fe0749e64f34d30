"""A WSGI request from the call of the application to the end of its answer, which is after that call has returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Token
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a frame
from time import perf_counter
from types import TracebackType
from weakref import ref
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from profkit.live_requests import live
from profkit.operations import Operation, current
from profkit.request_context import RequestContext, end, request_context
from profkit.route_names import environ_name, note_route
from profkit.sampling.threads import this
from profkit_storage import Status

_SERVER_ERROR = 500
Entered = tuple["Token[RequestContext | None] | None", "Token[Operation | None] | None"]
"""What takes back what was set for one step: of the request's context, and of its operation."""
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class RequestOperation(Operation):
    """The operation of a request. Its stacks are those of the steps that the application makes for the answer.

    Between two steps the thread is the server's, which sends what it was given: that is part of the request too.
    """

    __slots__ = ()
    outside = "[sending the answer]"

    def start(self, root: int) -> Token[Operation | None] | None:
        """Begin, with the first step, whose stack starts at the frame with the id `root`."""
        self.begin(root)
        return self._token

    def stop(self) -> None:
        """End the operation, after its last step."""
        try:
            self.ended = ended = perf_counter()
            self.profiler.registry.discard(self)
            self._token = None
            self.settle(self.profiler, ended - self.started)
        except BaseException:
            self.take_back()
            raise


class Request:
    """One request. Its context and operation are set while the application works on it, and only then.

    A context variable that stayed set while the server sends would be there for the thread's next request if the server
    forgot to close this one. `context` is None where another tracker has one, `operation` where no profiler is at work.
    `begun` and `exhausted` tell how far the server is with the body.
    """

    __slots__ = ("__weakref__", "_context", "_inner", "_status", "begun", "environ", "exhausted", "operation")

    def __init__(
        self, environ: WSGIEnvironment, context: RequestContext | None, operation: RequestOperation | None
    ) -> None:
        self.environ = environ
        self.operation = operation
        self._context = context
        self._inner: Operation | None = operation
        self.begun = self.exhausted = False
        self._status = 0

    def call(self, app: WSGIApplication, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application. The request goes on until `close`, unless it raises."""
        operation, context = self.operation, self._context
        entered: Entered = (None if context is None else request_context.set(context), None)
        try:
            if operation is not None:
                entered = (entered[0], operation.start(id(_getframe())))
                live[operation] = ref(self)
            body = app(self.environ, start_response)
        except BaseException as error:
            self.fail(error)
            self.leave(entered)
            self.finish()
            raise
        self.leave(entered)
        return body

    def answering(self, start_response: StartResponse, header: str) -> StartResponse:
        """Return what starts an answer as `start_response` does, with the request's id in `header` if it has a name."""
        name = header.lower()
        context = self._context if header else None

        def answer(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
        ) -> Callable[[bytes], object]:
            self._note(status)
            if context is not None:
                # Not in place: an application may send one list of headers many times.
                headers = [item for item in headers if item[0].lower() != name]
                headers.append((header, context.request_id))
            if exc_info is None:
                return start_response(status, headers)
            try:
                return start_response(status, headers, exc_info)
            finally:
                exc_info = None  # it holds this frame

        return answer

    # Both are written out: a stream has two of them for each chunk.
    def enter(self, root: int) -> Entered:
        """Set what belongs to the request for one step of its body, perhaps in another thread or context.

        `root` is the id of the frame that the step starts at.
        """
        context = None if self._context is None else request_context.set(self._context)
        operation = self.operation
        if operation is None or operation.ended:
            return context, None
        operation.thread = this.thread
        operation.root = root
        inner = self._inner
        return context, current.set(operation if inner is None or inner.ended else inner)

    def leave(self, entered: Entered) -> None:
        """Take back what `enter` has set. The operation stays in flight, and is nobody's current one."""
        context, token = entered
        if token is not None and self.operation is not None:
            self.operation.root = 0
            self._inner = current.get()  # a body may yield within an operation of its own
            try:
                current.reset(token)
            except (
                ValueError,
                RuntimeError,
            ):  # in another context than it began in; or interrupted here before
                pass
        if context is not None:
            end(context)

    def fail(self, error: BaseException) -> None:
        """Note an exception of the application."""
        if self.operation is not None and self.operation.started:
            self.operation.fail(error)

    def close(self, close: Callable[[], object] | None) -> None:
        """Close the application's body, if there is something to close, and end the request."""
        if close is not None:
            entered = self.enter(id(_getframe()))
            try:
                close()
            except BaseException as error:
                self.fail(error)
                raise
            finally:
                self.leave(entered)
                self.finish()
        else:
            self.finish()

    def finish(self) -> None:
        """End the request, between two steps, unless it has ended."""
        operation = self.operation
        if operation is None:
            return
        live.pop(operation, None)
        if operation.ended or not operation.started:  # also of a process forked in its midst
            return
        operation.rename(environ_name(self.environ))
        if operation.status is Status.OK:
            operation.status = self._outcome()
        operation.stop()

    def _note(self, status: str) -> None:
        operation = self.operation
        if operation is None:
            return
        note_route(self.environ)
        try:
            self._status = int(status[:3])
        except (TypeError, ValueError):  # no HTTP status: the server's to refuse
            return
        if operation.tags is None:  # as `tag` does, without a call
            operation.tags = {"status": self._status}
        else:
            operation.tags["status"] = self._status

    def _outcome(self) -> Status:
        # The server stopped in the midst of the body: the client has left.
        if self.begun and not self.exhausted and self.environ.get("REQUEST_METHOD") != "HEAD":
            return Status.CANCELLED
        # What the application raised reaches no middleware: its framework answers it.
        return Status.ERROR if self._status >= _SERVER_ERROR else Status.OK

    def __del__(self) -> None:
        """End a request whose body nobody has closed; some middleware forgets to."""
        try:
            self.finish()
        except Exception:  # noqa: BLE001, S110 - the interpreter is ending, or this was never made
            pass
