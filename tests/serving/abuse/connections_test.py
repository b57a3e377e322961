# SPDX-License-Identifier: Apache-2.0
"""Connections by the thousand, half open, and with readers that do not read."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time

import pytest

pytestmark = pytest.mark.slow

CONNECTIONS = 1000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"  # length 0, type 4, no flags, stream 0


@pytest.fixture
def ask(raw_predict, helpers):
    """A good request, which must be answered within seconds."""
    data = helpers.scores_request().SerializeToString()

    def call():
        code, text, _ = raw_predict(data, timeout=30)
        assert code.name == "OK", text

    return call


def close_all(server, connections, files_before: int, threads_before: int = 10_000) -> None:
    """Closes without a farewell, and waits until the server has let go of all."""
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    deadline = time.monotonic() + 60

    def is_done():
        return (
            server.num_files() <= files_before + 10 and server.num_threads() <= threads_before + 20
        )

    while not is_done() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_done(), (server.num_files(), server.num_threads())


@pytest.mark.parametrize(
    "hello",
    [b"", PREFACE[:9], PREFACE, PREFACE + EMPTY_SETTINGS, PREFACE + b"\xff" * 9, b"GET / HTTP/1.1"],
    ids=["silent", "half a preface", "no settings", "idle", "broken frame", "HTTP/1"],
)
def test_grpc_connections_that_never_ask(server, ask, hello):
    ask()
    before = server.num_files()
    num = CONNECTIONS if hello.endswith(EMPTY_SETTINGS) else 100
    connections = [server.grpc_socket() for _ in range(num)]
    for connection in connections:
        connection.sendall(hello)
    ask()
    close_all(server, connections, before)
    ask()


def test_grpc_calls_that_never_send_their_message(server, ask, raw_predict):
    ask()
    before = server.num_files()
    never = threading.Event()

    def no_message():
        never.wait(120)
        yield from ()

    calls = [raw_predict.begin(no_message()) for _ in range(100)]
    ask()
    assert not any(call.done() for call in calls)
    for call in calls:
        call.cancel()
    never.set()
    close_all(server, [], before)
    ask()


def test_a_thousand_rest_connections(server, ask):
    ask()
    threads, files = server.num_threads(), server.num_files()
    connections = [
        http.client.HTTPConnection(server.rest_address, timeout=60) for _ in range(CONNECTIONS)
    ]
    for connection in connections:
        connection.connect()
    for connection in connections:  # all at the same time
        connection.request("GET", "/v1/models/tiny")
    for connection in connections:
        response = connection.getresponse()
        assert response.status == 200 and response.read()
    ask()
    close_all(server, [connection.sock for connection in connections], files, threads)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"POST /v1/mod",
        b"POST /v1/models/tiny:predict HTTP/1.1\r\nContent-Le",
        b"POST /v1/models/tiny:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
    ],
    ids=["silent", "request line", "header", "body"],
)
def test_rest_requests_that_never_end(server, ask, head):
    threads, files = server.num_threads(), server.num_files()
    connections = [server.rest_socket() for _ in range(100)]
    for connection in connections:
        connection.sendall(head)
    assert rest_status(server) == 200
    close_all(server, connections, files, threads)


def test_rest_readers_that_do_not_read(server, ask):
    body = json.dumps({"signature_name": "join", "inputs": ["x" * 2_000_000]}).encode()
    head = b"POST /v1/models/tiny:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    files = server.num_files()
    # More than there are threads for requests.
    connections = [server.rest_socket() for _ in range(30)]
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(head + body)
    for connection in connections:  # the reply is on its way, and longer than any buffer
        assert connection.recv(12) == b"HTTP/1.1 200"
    assert rest_status(server) == 200
    ask()
    close_all(server, connections, files)


def test_grpc_readers_that_do_not_read(server, ask, helpers):
    request = helpers.scores_request(rows=0)
    request.model_spec.signature_name = "sums"
    request.ClearField("inputs")
    request.inputs["rows"].dtype = 1
    request.inputs["rows"].tensor_shape.dim.add(size=1)
    request.inputs["rows"].tensor_shape.dim.add(size=500_000)  # announced, not sent
    files = server.num_files()
    connections = [server.grpc_socket() for _ in range(60)]
    for connection in connections:
        connection.sendall(PREFACE + EMPTY_SETTINGS + grpc_call(request.SerializeToString()))
    # The reply of 2 MB meets a window of 64 KiB that nobody opens.
    for connection in connections:
        received = b""
        while len(received) < 1000:
            piece = connection.recv(4096)
            assert piece, "the server hung up"
            received += piece
    ask()
    close_all(server, connections, files)


def grpc_call(message: bytes) -> bytes:
    """The HTTP/2 frames of a Predict call, its headers spelled out."""

    def header(name: bytes, value: bytes) -> bytes:
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

    headers = b"".join(
        [
            header(b":method", b"POST"),
            header(b":scheme", b"http"),
            header(b":path", b"/tensorflow.serving.PredictionService/Predict"),
            header(b":authority", b"x"),
            header(b"content-type", b"application/grpc"),
            header(b"te", b"trailers"),
        ]
    )
    data = b"\0" + struct.pack(">I", len(message)) + message
    end_headers, end_stream = 4, 1
    return frame(1, end_headers, headers) + frame(0, end_stream, data)


def frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + b"\0\0\0\1" + payload


def rest_status(server) -> int:
    connection = http.client.HTTPConnection(server.rest_address, timeout=30)
    connection.request("GET", "/v1/models/tiny")
    status = connection.getresponse().status
    connection.close()
    return status
