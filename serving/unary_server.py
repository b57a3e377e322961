# SPDX-License-Identifier: Apache-2.0
"""A gRPC server for unary methods whose threads take turns in waiting for the network.

`grpc.server` has one thread that waits and a pool that answers: a call crosses between them four
times, and on two cores each crossing costs about as much as it takes to answer a small request.
Here the thread that hears of a request answers it, while another takes its place in waiting
(benchmarks/transport.py compares the two). No thread belongs to a call before its message is
complete, either, so that callers who send half of one hold up nobody.

grpcio offers no public way to write this, so it stands on the layer below `grpc.server`,
`grpc._cython.cygrpc`. Nothing else here does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

import grpc
from grpc._cython import cygrpc

_LOG = logging.getLogger(__name__)

# While one answers, the other waits for what comes next, and nobody needs to be woken for it.
_MOST_WAITING = 2
_NO_FLAGS = 0


class UnaryServer:
    """Answers unary calls; what it has of the methods of `grpc.Server`, it has by the same names.

    Handlers get a context with `time_remaining` and `abort` alone. Metadata and compression are
    not for them.

    Args:
        num_threads: calls that are answered at the same time; further ones wait.
        options: channel arguments, as for `grpc.server`.

    Attributes:
        cancelled: whether the calls were cancelled, and none is to be answered any more.
    """

    def __init__(self, num_threads: int, options: Iterable[tuple[str, int | str]] = ()):
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._threads = [self._make_thread() for _ in range(num_threads)]
        # Guards what follows; notified when a thread is to take a place among those that wait.
        self._places = threading.Condition()
        self._waiting: set[int] = set()
        self._calls = 0
        self._stopping = self.cancelled = False
        self._shut_down = threading.Event()  # the network's part has ended
        self._idle = threading.Event()  # and so has every answer

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Registers a service, before the server starts; its methods must be unary."""
        self._handlers.extend(handlers)

    def add_insecure_port(self, address: str) -> int:
        """Listens on `host:port`, 0 for any free port, or `unix:path`.

        Returns:
            The port.

        Raises:
            RuntimeError: the address cannot be listened on.
        """
        return self._bound(address, self._server.add_http2_port(address.encode()))

    def add_secure_port(self, address: str, credentials: grpc.ServerCredentials) -> int:
        """Like `add_insecure_port`, with TLS."""
        return self._bound(
            address, self._server.add_http2_port(address.encode(), credentials._credentials)
        )

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()
        self._expect_call()
        for thread in self._threads:
            thread.start()

    def stop(self, grace: float) -> None:
        """Refuses new calls and waits for those in progress; called again, waits for that.

        Args:
            grace: seconds after which they are cancelled: their callers hear so at once, and the
                threads that are answering them are left to it.
        """
        if not self._threads[0].ident:  # never started
            return
        with self._places:
            stopping, self._stopping = self._stopping, True
        if stopping:
            self._shut_down.wait()
            return
        self._server.shutdown(self._queue, self._on_shut_down)
        if not self._idle.wait(grace):
            self.cancelled = True
            self._server.cancel_all_calls()
            # All others may be in the middle of an answer.
            self._threads.append(self._make_thread())
            self._threads[-1].start()
            self._shut_down.wait()
        with self._places:
            if self._calls:  # whoever answers them still needs the queue
                return
        self._server.destroy()
        self._queue.shutdown()
        with self._places:
            self._places.notify_all()
        for thread in self._threads:
            thread.join()

    def find_handler(self, method: str) -> grpc.RpcMethodHandler | None:
        """The handler of a method by its full name, as in "/package.Service/Method"."""
        details = _HandlerCallDetails(method, ())
        found = (handler.service(details) for handler in self._handlers)
        return next((handler for handler in found if handler and handler.unary_unary), None)

    def leave_place(self) -> None:
        """To be called by a thread that is about to answer; another waits then if none did."""
        with self._places:
            self._waiting.discard(threading.get_ident())
            if not self._waiting:
                self._places.notify()

    def end_call(self) -> None:
        """To be called once for each call, after its last event."""
        with self._places:
            self._calls -= 1
            self._set_if_idle()

    def _bound(self, address: str, port: int) -> int:
        if not port:
            raise RuntimeError(f"Failed to bind to address {address}")
        return port

    def _make_thread(self) -> threading.Thread:
        return threading.Thread(target=self._serve, name="grpc", daemon=True)

    def _serve(self) -> None:
        """What each thread does."""
        while True:
            self._take_place()
            event = self._queue.poll()
            if event.completion_type == cygrpc.CompletionType.queue_shutdown:
                return
            try:
                event.tag(event)
            except Exception:
                _LOG.exception("A call could not be handled")
            # It holds a call with all that came, and this thread may be idle from here on.
            event = None

    def _take_place(self) -> None:
        """Returns when this thread is one of those that wait for the network."""
        thread = threading.get_ident()
        with self._places:
            while not self._idle.is_set() and (
                thread not in self._waiting and len(self._waiting) >= _MOST_WAITING
            ):
                self._places.wait()
            self._waiting.add(thread)

    def _expect_call(self) -> None:
        self._server.request_call(self._queue, self._queue, self._on_call)

    def _on_call(self, event: cygrpc.RequestCallEvent) -> None:
        if not event.success:  # the server is shutting down
            return
        with self._places:
            self._calls += 1
            if not self._stopping:
                self._expect_call()
        _Call(self, event).begin()

    def _on_shut_down(self, event: cygrpc.ServerShutdownEvent) -> None:
        with self._places:
            self._shut_down.set()
            self._set_if_idle()

    def _set_if_idle(self) -> None:
        if self._shut_down.is_set() and not self._calls:
            self._idle.set()


class _HandlerCallDetails(NamedTuple):
    """What a generic handler is asked by."""

    method: str
    invocation_metadata: tuple


class _Aborted(Exception):
    """What a handler ends with by `abort`."""

    def __init__(self, code: grpc.StatusCode, details: str):
        super().__init__(code, details)
        self.code = code
        self.details = details


class _Call:
    """A call from its request to its end, and the context of its handler."""

    __slots__ = ("_call", "_deadline", "_handler", "_method", "_server")

    def __init__(self, server: UnaryServer, event: cygrpc.RequestCallEvent):
        self._server = server
        self._call = event.call
        self._deadline = event.call_details.deadline
        self._method = event.call_details.method.decode("utf-8", "replace")
        self._handler = server.find_handler(self._method)

    def time_remaining(self) -> float:
        """Seconds until the caller's deadline; years where there is none."""
        return max(self._deadline - time.time(), 0)

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """Ends the call with an error."""
        raise _Aborted(code, details)

    def begin(self) -> None:
        """Waits for the message; the texts here and below are those of `grpc.server`."""
        if self._handler is None:
            self._end(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
            return
        self._call.start_server_batch(
            (cygrpc.ReceiveMessageOperation(_NO_FLAGS),), self._on_message
        )

    def _on_message(self, event: cygrpc.BatchOperationEvent) -> None:
        message = event.batch_operations[0].message()
        # None: the caller has ended the call without one, or gone away.
        if message is None or self._server.cancelled:
            text = f'"{self._method}" requires exactly one request message.'
            self._end(grpc.StatusCode.UNIMPLEMENTED, text)
            return
        self._server.leave_place()
        try:
            response = self._answer(message)
        except _Aborted as aborted:
            self._end(aborted.code, aborted.details)
        except Exception as error:
            _LOG.exception("%s failed", self._method)
            self._end(grpc.StatusCode.UNKNOWN, f"Exception calling application: {error}")
        else:
            self._end(grpc.StatusCode.OK, "", response)

    def _answer(self, message: bytes) -> bytes:
        try:
            request = self._handler.request_deserializer(message)
        except Exception:  # not worth a line: any stranger could fill the log
            self.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")
        response = self._handler.unary_unary(request, self)
        try:
            return self._handler.response_serializer(response)
        except Exception:
            _LOG.exception("What %s answers cannot be serialized", self._method)
            self.abort(grpc.StatusCode.INTERNAL, "Failed to serialize response!")

    def _end(self, code: grpc.StatusCode, details: str, response: bytes | None = None) -> None:
        operations = [cygrpc.SendInitialMetadataOperation((), _NO_FLAGS)]
        if response is not None:
            operations.append(cygrpc.SendMessageOperation(response, _NO_FLAGS))
        status = cygrpc.SendStatusFromServerOperation(
            (), code.value[0], details.encode("utf-8", "replace"), _NO_FLAGS
        )
        operations += [status, cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS)]
        self._call.start_server_batch(operations, self._on_end)

    def _on_end(self, event: cygrpc.BatchOperationEvent) -> None:
        self._server.end_call()
