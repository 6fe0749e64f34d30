"""What one WebSocket does, step by step: an operation for its handshake, and one for each message."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import ref

from profkit import live_requests
from profkit.asgi_types import Message, Receive, Scope, Send
from profkit.operations import Operation, running_task
from profkit.requests import SCOPE_KEY

if TYPE_CHECKING:
    from profkit.profiler import PerformanceProfiler
    from profkit.tallies import Tally

_HANDSHAKE_ENDS = frozenset({"websocket.accept", "websocket.close", "websocket.http.response.start"})


class WebSocketSteps:
    """Makes operations of one WebSocket: from connect to accept, then from each message until the next is awaited.

    The time between, when it waits for its client or only sends, is nobody's: a WebSocket may stay open for days.

    Args:
        profiler: the profiler to use.
        tally: returns what counts the steps of this route, as far as the route is known.
        scope: the connection's.
        receive: the server's.
        send: the server's.
    """

    def __init__(
        self,
        profiler: PerformanceProfiler,
        tally: Callable[[], Tally],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._profiler = profiler
        self._tally = tally
        self._scope = scope
        self._receive = receive
        self._send = send
        self._operation: Operation | None = None
        self._in_handshake = False
        self._over = False
        self._coroutine: ref[object] | None = None
        self._task: ref[Any] | None = None
        self._receiver: ref[Any] | None = None

    async def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Await the application's coroutine, which was given `receive` and `send`."""
        self._coroutine = ref(coroutine)
        self._task = running_task()
        live_requests.websockets[self] = self._scope, perf_counter()
        self._in_handshake = True
        self._begin()  # not at the message that asks for it: frameworks read that when they accept
        try:
            await coroutine
        except BaseException as error:
            if self._operation is not None:
                self._operation.fail(error)
            raise
        finally:
            self._over = True  # a task of the application's may receive still
            self._end()
            live_requests.websockets.pop(self, None)

    async def receive(self) -> Message:
        """Return the next message; what was done with the last one has ended."""
        if not self._in_handshake:
            self._end()
        message = await self._receive()
        if message["type"] != "websocket.connect":
            self._end()
            self._begin()
        return message

    async def send(self, message: Message) -> None:
        """Send a message; the handshake has ended with its answer."""
        await self._send(message)
        if self._in_handshake and message["type"] in _HANDSHAKE_ENDS:
            self._end()

    def _begin(self) -> None:
        profiler = self._profiler
        if self._over or not (profiler.active or profiler.activate()):
            return
        self._operation = operation = Operation(profiler, self._tally())
        task = running_task()
        if _same(task, self._task):
            operation.task, operation.coroutine = task, self._coroutine
        else:  # received in a task of its own, which may handle what it gets, or only hand it over
            operation.task, operation.coroutine = task, None
            self._follow(task)
        operation.request = self._scope.get(SCOPE_KEY)
        live_requests.live[operation] = self._scope
        operation.begin(0)

    def _end(self) -> None:
        operation, self._operation = self._operation, None
        self._in_handshake = False
        if operation is not None:
            live_requests.live.pop(operation, None)
            operation.tally = self._tally()  # routed by now
            operation.end()

    def _follow(self, task: ref[Any] | None) -> None:
        """Look at the application again once a task that receives has ended; `asyncio.wait_for` has one before 3.12."""
        running: Any = None if task is None else task()
        if not hasattr(running, "add_done_callback") or _same(task, self._receiver):  # one of trio, or none
            return

        def ended(_: object) -> None:
            self._give_back(task)

        self._receiver = task
        running.add_done_callback(ended)

    def _give_back(self, task: ref[Any] | None) -> None:
        operation = self._operation
        if operation is not None and operation.task is task:
            operation.task, operation.coroutine = self._task, self._coroutine


def _same(one: ref[Any] | None, other: ref[Any] | None) -> bool:
    """Tell whether two references are to the same task, of asyncio or of trio."""
    first, second = None if one is None else one(), None if other is None else other()
    if first is None or second is None:
        return first is second
    return first.get_coro() is second.get_coro()
