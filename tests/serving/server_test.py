# SPDX-License-Identifier: Apache-2.0
"""The server as a process, and its flags."""

import os
import signal
import socket
import subprocess
import sys
import threading

import grpc
import pytest
import tensorflow as tf

from serving.errors import ServingError
from serving.server import main, serve_until_signal

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def start_process():
    """Starts the server as a process; returns it and the address of its ready line."""
    processes = []

    def start(*flags: str) -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.server", "--host=127.0.0.1", "--port=0", *flags],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        line = process.stdout.readline().strip()
        assert line.startswith("ready: gRPC at 127.0.0.1:"), process.stderr.read()
        assert line.endswith("; tiny versions 3"), line
        return process, line.removeprefix("ready: gRPC at ").partition(";")[0]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_sigterm_finishes_the_calls_in_progress(base_path, start_process, helpers):
    process, address = start_process("--model_name=tiny", f"--model_base_path={base_path(2, 3)}")
    connection = helpers.Connection(address)
    assert connection.version() == 3

    request = helpers.spin_request(60_000)  # a second or more
    call = connection.prediction.Predict.future(request, timeout=60)
    # Calls of one connection start in order, so once this one is answered the other has begun.
    connection.version()
    assert not call.done(), "the call must outlast the signal; give it more rounds"
    process.send_signal(signal.SIGTERM)
    assert call.result(timeout=60).model_spec.version.value == 3
    assert process.wait(timeout=30) == 0
    code, _ = helpers.expect_error(connection.predict, helpers.scores_request())
    assert code == grpc.StatusCode.UNAVAILABLE


def test_call_that_does_not_end_is_cut_off(base_path, start_process, helpers):
    process, address = start_process(
        "--model_name=tiny", f"--model_base_path={base_path(3)}", "--shutdown_grace_seconds=0.1"
    )
    connection = helpers.Connection(address)
    request = helpers.spin_request(helpers.ENDLESS)
    call = connection.prediction.Predict.future(request)
    connection.version()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 1
    assert call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_stop_ends_the_wait_for_a_first_version(tmp_path, helpers):
    server = helpers.make_server(str(tmp_path))
    starting = threading.Thread(target=server.start)
    starting.start()
    starting.join(0.2)
    assert starting.is_alive()
    assert server.stop()
    starting.join(20)
    assert not starting.is_alive() and not server.address


def test_port_in_use_is_said(base_path, start_server):
    path = base_path(1)
    server, _ = start_server(path)
    port = server.address.rpartition(":")[2]
    with pytest.raises(ServingError, match=f"Cannot listen on 127.0.0.1:{port}. Is another"):
        start_server(path, port=port)


@pytest.mark.parametrize("flags", [{}, {"rest_api_port": "REST"}])
def test_a_port_in_use_is_said_before_anything_is_loaded(tmp_path, helpers, flags):
    # A base path without a version would be waited for.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        flags = {name: port for name in flags} or {"port": port}
        server = helpers.make_server(str(tmp_path), **flags)
        with pytest.raises(ServingError, match=f"Cannot listen on 127.0.0.1:{port}.*Is another"):
            server.start()
    assert server.stop()


@pytest.mark.parametrize(
    "host, reason",
    [
        ("nohost.invalid", r"The host is not known .*check its name"),
        # Of the addresses that are for documentation.
        ("192.0.2.1", "The host is no address of this machine"),
    ],
)
def test_a_host_that_cannot_be_listened_on(tmp_path, helpers, host, reason):
    with pytest.raises(ServingError, match=f"Cannot listen on {host}:0. {reason}"):
        helpers.make_server(str(tmp_path), host=host).start()


class Broken:
    """A server that fails to start in a way that nobody thought of."""

    address = ""

    def start(self):
        raise OverflowError("port must be 0-65535")

    def stop(self, grace):
        return True


def test_whatever_happens_at_the_start_ends_the_process(capsys):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert serve_until_signal(Broken(), 0.0) == 1
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "Error: OverflowError: port must be 0-65535" in capsys.readouterr().err


def test_missing_model_is_said(capsys):
    assert main([]) == 2
    assert "--model_base_path" in capsys.readouterr().err


def test_tensor_content_on_request(base_path, start_server, helpers):
    _, connection = start_server(base_path(2), enable_serialization_as_tensor_content=True)
    response = connection.predict(helpers.scores_request())
    assert not response.outputs["logits"].float_val
    assert tf.make_ndarray(response.outputs["logits"]).tolist() == [[6.0, 6.0]]


def test_expired_deadline_frees_the_thread(base_path, start_server, helpers):
    _, connection = start_server(base_path(2), grpc_max_threads=1)
    request = helpers.spin_request(helpers.ENDLESS)
    with pytest.raises(grpc.RpcError) as caught:
        connection.predict(request, timeout=0.2)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # The only thread answers again.
    assert connection.version() == 2


def test_signature_without_tensors_is_refused(base_path, start_server, helpers):
    _, connection = start_server(base_path(2))
    request = helpers.scores_request()
    request.model_spec.signature_name = "__saved_model_init_op"
    request.ClearField("inputs")
    assert helpers.expect_error(connection.predict, request) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "FetchOutputs NoOp: output index too large, must be < 0",
    )
    assert connection.version() == 2


def test_grpc_channel_arguments(base_path, start_server, helpers):
    arguments = "grpc.max_receive_message_length=1000"
    _, connection = start_server(base_path(2), grpc_channel_arguments=arguments)
    assert connection.version() == 2
    code, _ = helpers.expect_error(connection.predict, helpers.scores_request(rows=1000))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
