# SPDX-License-Identifier: Apache-2.0
"""The gRPC server of unary calls, by itself: who answers what, and how calls and the server end.

The same tests run on `grpc.server`, which it stands in for.
"""

import socket
import threading
import time
from concurrent import futures

import grpc
import pytest

from serving.unary_server import UnaryServer

NUM_THREADS = 3
WAIT = 20  # seconds, for what should take none


class GrpcServer:
    """`grpc.server` behind the same interface."""

    def __init__(self, num_threads, options=()):
        self._server = grpc.server(futures.ThreadPoolExecutor(num_threads), options=options)
        self.add_generic_rpc_handlers = self._server.add_generic_rpc_handlers
        self.add_insecure_port = self._server.add_insecure_port
        self.start = self._server.start

    def stop(self, grace):
        self._server.stop(grace).wait()


class Service(grpc.GenericRpcHandler):
    """Methods that end in all ways; `hold` answers when it is let go."""

    def __init__(self):
        self.held = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.threads = set()

    def service(self, handler_call_details):
        name = handler_call_details.method.removeprefix("/test.Service/")
        if name == handler_call_details.method or not hasattr(self, f"do_{name}"):
            return None
        return grpc.unary_unary_rpc_method_handler(
            getattr(self, f"do_{name}"),
            request_deserializer=lambda message: message.decode(),
            response_serializer=lambda text: text.encode(),
        )

    def do_echo(self, request, context):
        self.threads.add(threading.get_ident())
        return request

    def do_hold(self, request, context):
        self.held.release()
        assert self.let_go.acquire(timeout=WAIT)
        return request

    def do_remaining(self, request, context):
        return str(context.time_remaining())

    def do_abort(self, request, context):
        context.abort(grpc.StatusCode.ABORTED, f"not {request}")

    def do_fail(self, request, context):
        raise ValueError(f"no {request}")

    def do_number(self, request, context):
        return 1  # which has no encode()


class Caller:
    """A channel, and calls over it."""

    def __init__(self, port):
        self.port = port
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)

    def call(self, name, message=b"", timeout=WAIT):
        return self.channel.unary_unary(f"/test.Service/{name}")(message, timeout=timeout)

    def future(self, name, message=b"", timeout=WAIT):
        return self.channel.unary_unary(f"/test.Service/{name}").future(message, timeout=timeout)

    def error(self, name, message=b"", **options):
        with pytest.raises(grpc.RpcError) as error:
            self.call(name, message, **options)
        return error.value.code(), error.value.details()


@pytest.fixture(params=[UnaryServer, GrpcServer], ids=["ours", "grpc"])
def make_server(request):
    """Starts servers: (server, service, caller)."""
    started = []

    def start(num_threads=NUM_THREADS):
        server, service = request.param(num_threads), Service()
        server.add_generic_rpc_handlers((service,))
        caller = Caller(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        started.append((server, service, caller))
        return started[-1]

    yield start
    for server, service, caller in started:
        service.let_go.release(100)
        caller.channel.close()
        server.stop(0)


def test_answers(make_server):
    _, _, caller = make_server()
    for size in (0, 1, 3_000_000):
        assert caller.call("echo", b"x" * size) == b"x" * size


def test_many_calls_at_once(make_server):
    _, service, caller = make_server()
    calls = [caller.future("echo", str(index).encode()) for index in range(500)]
    assert [call.result() for call in calls] == [str(index).encode() for index in range(500)]
    assert len(service.threads) <= NUM_THREADS


def test_deadlines_reach_the_handler(make_server):
    _, _, caller = make_server()
    assert 5 < float(caller.call("remaining", timeout=7)) < 7.5  # the wire rounds it
    assert float(caller.call("remaining", timeout=None)) > 1e8


@pytest.mark.parametrize(
    "name, message, code, details",
    [
        ("abort", b"so", grpc.StatusCode.ABORTED, "not so"),
        ("abort", "Ünïcödé".encode(), grpc.StatusCode.ABORTED, "not Ünïcödé"),
        ("fail", b"way", grpc.StatusCode.UNKNOWN, "Exception calling application: no way"),
        ("missing", b"", grpc.StatusCode.UNIMPLEMENTED, "Method not found!"),
        ("echo", b"\xff", grpc.StatusCode.INTERNAL, "Exception deserializing request!"),
        ("number", b"", grpc.StatusCode.INTERNAL, "Failed to serialize response!"),
    ],
)
def test_calls_that_fail(make_server, name, message, code, details):
    _, _, caller = make_server()
    assert caller.error(name, message) == (code, details)
    assert caller.call("echo", b"still there") == b"still there"


def test_a_call_without_a_message(make_server):
    _, _, caller = make_server()
    with pytest.raises(grpc.RpcError) as error:
        caller.channel.stream_unary("/test.Service/echo")(iter(()), timeout=WAIT)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details().endswith(" requires exactly one request message.")


def test_as_many_calls_as_threads_are_answered_at_a_time(make_server):
    _, service, caller = make_server()
    calls = [caller.future("hold", str(index).encode()) for index in range(NUM_THREADS + 2)]
    for _ in range(NUM_THREADS):
        assert service.held.acquire(timeout=WAIT)
    assert not service.held.acquire(timeout=0.2)
    service.let_go.release(len(calls))
    assert [int(call.result()) for call in calls] == list(range(len(calls)))


def test_one_thread_is_enough(make_server):
    _, service, caller = make_server(num_threads=1)
    calls = [caller.future("echo", b"a"), caller.future("hold", b"b"), caller.future("echo", b"c")]
    service.let_go.release()
    assert [call.result() for call in calls] == [b"a", b"b", b"c"]


def test_calls_that_are_cancelled_or_late_free_their_threads(make_server):
    _, service, caller = make_server()
    calls = [caller.future("hold") for _ in range(NUM_THREADS)]
    for _ in calls:
        assert service.held.acquire(timeout=WAIT)
    for call in calls:
        call.cancel()
    assert caller.error("echo", timeout=0.2)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    service.let_go.release(NUM_THREADS)
    assert caller.call("echo", b"again") == b"again"


def test_stop_finishes_the_calls_in_progress(make_server):
    server, service, caller = make_server()
    call = caller.future("hold", b"finished")
    assert service.held.acquire(timeout=WAIT)
    stopping = threading.Thread(target=server.stop, args=(WAIT,))
    stopping.start()
    stopping.join(0.2)
    assert stopping.is_alive()
    late = Caller(caller.port)
    assert late.error("echo", timeout=5)[0] in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    late.channel.close()
    service.let_go.release()
    assert call.result() == b"finished"
    stopping.join(WAIT)
    assert not stopping.is_alive()


@pytest.mark.parametrize("num_threads", [1, NUM_THREADS])  # with one, all of them are busy
def test_stop_cancels_what_outlasts_its_grace(make_server, num_threads):
    server, service, caller = make_server(num_threads)
    calls = [caller.future("hold") for _ in range(NUM_THREADS)]
    for _ in range(num_threads):
        assert service.held.acquire(timeout=WAIT)
    start = time.monotonic()
    server.stop(0.1)
    assert time.monotonic() - start < WAIT / 2
    for call in calls:
        assert call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_stop_ends_all_threads_and_frees_the_port(make_server):
    before = threading.active_count()
    server, _, caller = make_server()
    assert caller.call("echo", b"x") == b"x"
    caller.channel.close()
    server.stop(WAIT)
    if isinstance(server, UnaryServer):  # the others go with their pool
        assert not any(thread.is_alive() for thread in server._threads)
        assert threading.active_count() <= before + 1  # the channel's
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", caller.port))


def test_servers_that_never_started_can_be_stopped():
    server = UnaryServer(1)
    server.add_insecure_port("127.0.0.1:0")
    server.stop(0)


def test_an_address_that_cannot_be_listened_on():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(RuntimeError, match=f"Failed to bind to address {address}"):
            UnaryServer(1, [("grpc.so_reuseport", 0)]).add_insecure_port(address)


@pytest.mark.parametrize("make_server", [UnaryServer], indirect=True)
@pytest.mark.parametrize("stopped", [False, True])
def test_callers_who_send_no_message_hold_no_thread(make_server, stopped):
    """More half-open calls than threads; `grpc.server` would have none left."""
    server, _, caller = make_server()
    complete = threading.Event()

    def message():
        complete.wait(WAIT)
        yield b"late"

    half_open = [
        caller.channel.stream_unary("/test.Service/echo").future(message(), timeout=WAIT)
        for _ in range(3 * NUM_THREADS)
    ]
    assert caller.call("echo", b"in between") == b"in between"
    assert not any(call.done() for call in half_open)
    if stopped:
        server.stop(0.1)
        complete.set()
        assert {call.code() for call in half_open} <= {
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.UNAVAILABLE,
        }
    else:
        complete.set()
        assert [call.result() for call in half_open] == [b"late"] * len(half_open)
