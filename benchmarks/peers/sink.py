"""A server on this machine for what the peers send, so that nothing leaves it."""

from __future__ import annotations

import itertools
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ANSWERS_AFTER = 0.02
"""Seconds, as a collector some way off takes: one that answered at once would be sent more than a real one."""


class Sink:
    """Answers every request with `{}` and 200; keeps the bodies as files in `keeps_in` while that is set."""

    def __init__(self) -> None:
        self.keeps_in: Path | None = None
        self._numbers = itertools.count()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """The URL to send to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def keep(self, path: str, body: bytes) -> None:
        """Write one body, in order of arrival, under the last part of the path it was sent to."""
        if self.keeps_in is not None:
            kind = path.partition("?")[0].rstrip("/").rpartition("/")[2]
            (self.keeps_in / f"{next(self._numbers):06}.{kind}").write_bytes(body)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a process that has ended leaves its connection as it was."""


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sink.keep(self.path, self._body())
            time.sleep(ANSWERS_AFTER)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the table is all there is to read."""

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = bytearray()
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(body)

    return Handler
