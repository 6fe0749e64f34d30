"""Bodies of WSGI answers: what the server iterates and closes, passed on so that the request's end is seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a frame
from typing import Any, cast

from profkit.wsgi_requests import Request


class Body:
    """A body whose every chunk is a step of its request, which ends when the server closes it.

    Where the application's own has nothing to close, the request ends with the last chunk.
    """

    __slots__ = ("_body", "_request")

    def __init__(self, body: Iterable[bytes], request: Request) -> None:
        self._body = body
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        request, body = self._request, self._body
        request.begun = True
        root = id(_getframe())
        chunks: Iterator[bytes] | None = None
        while True:
            entered = request.enter(root)
            try:
                if chunks is None:
                    chunks = iter(body)
                chunk = next(chunks)
            except StopIteration:
                break
            except BaseException as error:
                request.fail(error)
                raise
            finally:
                request.leave(entered)
            yield chunk
            del chunk  # the server has let go of it
        request.exhausted = True
        if not hasattr(body, "close"):
            request.finish()

    def close(self) -> None:
        """Close the application's body."""
        self._request.close(getattr(self._body, "close", None))


class SizedBody(Body):
    """A body that knows its number of chunks: of a single one servers tell the length."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(cast("Sized", self._body))


class ListBody(SizedBody):
    """A list or tuple of chunks, which the application has no part in any more."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        self._request.begun = True
        yield from self._body
        self._request.exhausted = True
        self._request.finish()

    def close(self) -> None:
        """End the request: a list has nothing to close."""
        self._request.finish()


def answer(request: Request, body: Iterable[bytes]) -> Iterable[bytes]:
    """Return the body of a request that has been called, for the server."""
    watched = request.operation is not None
    if type(body) in (list, tuple):  # no code of the application's in it
        return ListBody(body, request) if watched else body
    if _is_servers_file(body, request.environ):
        # As it is, or the server would not know it, and would read what it can have the kernel send.
        if watched and not _end_with(request, body):
            request.finish()
        return body
    return SizedBody(body, request) if hasattr(body, "__len__") else Body(body, request)


def _is_servers_file(body: object, environ: dict[str, Any]) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    if not isinstance(wrapper, type) or not isinstance(body, wrapper):
        return False
    file = getattr(body, "filelike", None)
    return file is None or hasattr(file, "fileno")  # else it is code of the application's that reads


def _end_with(request: Request, body: object) -> bool:
    """Have the request end when the server closes its file; False if nothing can be told of that."""
    close = getattr(body, "close", None)
    try:
        cast("Any", body).close = lambda: request.close(close)
    except (AttributeError, TypeError):  # made in C
        return False
    return True
