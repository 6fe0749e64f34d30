"""Threads, and the work handed to worker threads: hooks on executors, on threads and on anyio."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.thread import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from types import MethodType
from typing import Any, cast

from profkit.handover.work import ThreadWork, Work, called_by, in_flight
from profkit.operations import Operation, current
from profkit.sampling.branches import add

Function = Callable[..., Any]

_SERVERS = frozenset(
    """
    aiosqlite anyio asyncio concurrent ddtrace elasticapm grpc kafka langfuse langsmith logging multiprocessing newrelic
    opentelemetry posthog profkit psycopg_pool pymongo sentry_sdk trio uvloop
    """.split()
)
"""Packages whose threads serve everybody, and only happen to be started by an operation."""
_BACKENDS = {"anyio._backends._asyncio": "AsyncIOBackend", "anyio._backends._trio": "TrioBackend"}
"""Modules and classes of anyio that run functions in worker threads."""


_hooks: dict[int, tuple[Function, object]] = {}
"""By its id, each of our hooks and what it replaced: a wrapper of others may well be equal to what it wraps."""


class _State:
    installed = False


class _Here(threading.local):
    handing = False
    """True while work is handed over: a thread that a pool starts meanwhile is a worker, not work."""


_here = _Here()


def install() -> None:
    """Hook `ThreadPoolExecutor.submit`, `Thread.start` and anyio's worker threads; once, however often it is called."""
    _State.installed = True
    _hook(ThreadPoolExecutor, "submit", _submit_for)
    _hook(threading.Thread, "start", _start_for)
    hook_anyio()


def uninstall() -> None:
    """Take the hooks out; one that others have wrapped stays, and passes through."""
    _State.installed = False
    _unhook(ThreadPoolExecutor, "submit")
    _unhook(threading.Thread, "start")
    for backend in _backends():
        _unhook(backend, "run_sync_in_worker_thread")


def hook_anyio() -> None:
    """Hook anyio's worker threads if the application has imported it; called again when it may have done so since.

    Its backend for asyncio, which it imports when it is first used, is imported here: the first call counts too.
    """
    if not _State.installed or "anyio" not in sys.modules:
        return
    try:
        import_module("anyio._backends._asyncio")
    except Exception:  # noqa: BLE001 - the application will hear of it when it uses anyio
        return
    for backend in _backends():
        _hook(backend, "run_sync_in_worker_thread", _run_sync_for)


def _backends() -> Iterator[type]:
    for module, name in _BACKENDS.items():
        backend = getattr(sys.modules.get(module), name, None)
        if isinstance(backend, type) and "run_sync_in_worker_thread" in vars(backend):
            yield backend


def _hook(owner: type, name: str, make: Callable[[Any], Function]) -> None:
    """Replace a method by what `make` returns for it, a function for a class method too."""
    owner = _definer(owner, name)
    replaced = vars(owner)[name]
    if any(id(function) in _hooks for function in _layers(replaced)):
        return
    # Through the class, as the application has it: what others put there may be a descriptor.
    original = getattr(owner, name)
    hook = functools.wraps(original)(make(original))
    setattr(owner, name, classmethod(hook) if isinstance(original, MethodType) else hook)
    _hooks[id(hook)] = hook, replaced


def _definer(owner: type, name: str) -> type:
    """Return the class that a method is defined in: gevent puts a subclass in a class's place."""
    return next((kind for kind in owner.__mro__ if name in vars(kind)), owner)


def _unhook(owner: type, name: str) -> None:
    owner = _definer(owner, name)
    attribute = vars(owner)[name]
    hook = cast("Any", attribute).__func__ if isinstance(attribute, classmethod) else attribute
    if id(hook) in _hooks:
        _, replaced = _hooks.pop(id(hook))
        setattr(owner, name, replaced)


def _layers(function: object) -> Iterator[object]:
    """Yield a function, and what it wraps as far as it says so."""
    while function is not None:
        yield function
        function = getattr(function, "__func__", None) or getattr(function, "__wrapped__", None)


def _operation() -> Operation | None:
    """Return the operation that what is handed over now belongs to."""
    operation = current.get()
    if operation is None or not _State.installed or _here.handing:
        return None
    return in_flight(operation)


def _submit_for(original: Function) -> Function:
    def submit(self: ThreadPoolExecutor, fn: Function, /, *args: object, **kwargs: object) -> object:
        operation = _operation()
        if operation is None:
            return original(self, fn, *args, **kwargs)
        work = Work(operation, fn, called_by(fn, args))
        _here.handing = True
        try:
            future = original(self, work, *args, **kwargs)
        finally:
            _here.handing = False
        add(operation, work.branch)
        with suppress(Exception):  # a future of somebody's own making
            future.add_done_callback(work.branch.done)  # it may be cancelled before it runs
        return future

    return submit


def _start_for(original: Function) -> Function:
    def start(self: threading.Thread) -> None:
        operation = _operation()
        if operation is None or not _is_work(self):
            original(self)
            return
        work = ThreadWork(operation, self, _function_of(self))
        _here.handing = True
        try:
            original(self)
        except BaseException:
            work.give_back(self)
            raise
        finally:
            _here.handing = False
        add(operation, work.branch)

    return start


def _is_work(thread: threading.Thread) -> bool:
    """Tell whether a thread about to start is work of its own, not one that will serve everybody."""
    function = _function_of(thread)
    while isinstance(function, functools.partial):
        function = cast("functools.partial[object]", function).func
    package = str(getattr(function, "__module__", "")).partition(".")[0]
    if package in _SERVERS:
        hook_anyio()  # imported only now, if it is this that starts
        return False
    with suppress(Exception):  # one that was not made properly
        return thread.ident is None  # or starting it again will fail
    return False


def _function_of(thread: threading.Thread) -> object:
    return getattr(thread, "_target", None) or type(thread).run


def _run_sync_for(original: Function) -> Function:
    def run_sync_in_worker_thread(
        _cls: type, func: Function, args: tuple[object, ...], *rest: object, **options: object
    ) -> object:
        operation = _operation()
        if operation is None or isinstance(func, Work):
            return original(func, args, *rest, **options)
        return _run_sync(operation, original, func, args, *rest, **options)

    return run_sync_in_worker_thread


async def _run_sync(
    operation: Operation,
    original: Function,
    func: Function,
    args: tuple[object, ...],
    *rest: object,
    **options: object,
) -> object:
    work = Work(operation, func, called_by(func, args))
    add(operation, work.branch)
    try:
        return await original(work, args, *rest, **options)
    finally:
        if not work.branch.root:  # cancelled before it ran; one that was abandoned runs on
            work.branch.end()
