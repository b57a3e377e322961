# SPDX-License-Identifier: Apache-2.0
"""Carries REST calls and the metrics page over HTTP/1.1."""

from __future__ import annotations

import gzip
import http.server
import logging
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable

from serving.rest_api import Reply

_LOG = logging.getLogger(__name__)

Handler = Callable[[str, str, bytes], Reply]


class HttpServer:
    """An HTTP server around a function.

    Args:
        host: address to listen on.
        port: port to listen on; 0 picks a free one.
        handler: answers a method, a path without its query, and a body.
        num_threads: requests that are handled at the same time.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, host: str, port: int, handler: Handler, *, num_threads: int):
        slots = threading.BoundedSemaphore(num_threads)
        self._slots, self._num_threads = slots, num_threads

        class RequestHandler(_RequestHandler):
            handle_limited = staticmethod(_limited(handler, slots))

        self._server = _ThreadingServer((host, port), RequestHandler)
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="http"
        )

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Takes no new connections and waits for the requests in progress.

        Args:
            grace: seconds to wait at most.
        """
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        deadline = time.monotonic() + grace
        for _ in range(self._num_threads):
            self._slots.acquire(timeout=max(deadline - time.monotonic(), 0))


def _limited(handler: Handler, slots: threading.Semaphore) -> Handler:
    def handle(method: str, path: str, body: bytes) -> Reply:
        with slots:
            return handler(method, path, body)

    return handle


class _ThreadingServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # An idle connection of a client must not hold up the end of the server.
    block_on_close = False
    request_queue_size = 128


class _RequestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together
    disable_nagle_algorithm = True

    handle_limited: Handler

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):  # the client went away
            self.close_connection = True

    def _answer(self) -> None:
        try:
            body = self._body()
        except (ValueError, OSError, EOFError, zlib.error) as error:
            self.close_connection = True
            self._send(Reply(400, "text/plain", f"Cannot read the body: {error}\n".encode()))
            return
        path = urllib.parse.urlsplit(self.path).path
        try:
            reply = self.handle_limited(self.command, path, body)
        except Exception:
            _LOG.exception("%s %s failed", self.command, path)
            reply = Reply(500, "application/json", b'{"error": "Internal error"}')
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding", "").lower() == "gzip":
            body = gzip.decompress(body)
        return body

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()  # the line end after each chunk
        return chunk

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are counted, not logged."""
