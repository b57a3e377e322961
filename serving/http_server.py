# SPDX-License-Identifier: Apache-2.0
"""Carries REST calls and the metrics page over HTTP/1.1."""

from __future__ import annotations

import http.server
import logging
import socket
import threading
import time
from collections.abc import Callable

from serving.http_body import BodyError, read_body
from serving.rest_api import Reply

_LOG = logging.getLogger(__name__)

Handler = Callable[[str, str, bytes], Reply]

# A connection holds a thread while it is open.
_MAX_CONNECTIONS = 4096
# Without a byte from or to the client for so long, its connection is closed.
_IDLE_SECONDS = 60.0


class HttpServer:
    """An HTTP server around a function.

    Args:
        host: address to listen on, IPv6 with or without brackets.
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

        host = host.removeprefix("[").removesuffix("]")
        server = _ThreadingServerOfIPv6 if ":" in host else _ThreadingServer
        self._server = server((host, port), RequestHandler)
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
    # The kernel turns connections away while more than these wait to be accepted.
    request_queue_size = 1024

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._places = threading.BoundedSemaphore(_MAX_CONNECTIONS)

    def process_request(self, request, client_address) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._places.release()
            raise

    def process_request_thread(self, request, client_address) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request, client_address) -> None:
        _LOG.exception("The connection from %s failed", client_address)


class _ThreadingServerOfIPv6(_ThreadingServer):
    address_family = socket.AF_INET6


class _RequestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # What is no request line gets a whole reply, too.
    default_request_version = "HTTP/1.0"
    wbufsize = -1  # headers and body leave together
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    handle_limited: Handler

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):  # the client went away
            self.close_connection = True

    def _answer(self) -> None:
        try:
            body = read_body(self.headers, self.rfile)
        except BodyError as error:
            # Where the next request would begin is unknown.
            self.close_connection = True
            text = f"Cannot read the body: {error}\n"
            self._send(Reply(error.status, "text/plain", text.encode()))
            return
        path = self.path.partition("?")[0]
        try:
            reply = self.handle_limited(self.command, path, body)
        except Exception:
            _LOG.exception("%s %s failed", self.command, path)
            reply = Reply(500, "application/json", b'{"error": "Internal error"}')
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are counted, not logged."""
