# SPDX-License-Identifier: Apache-2.0
"""Batches under requests that are called off, run late, fail and meet swaps: all of them end.

DS2_TF_STRESS_SECONDS says for how long, 8 by default, and DS2_TF_STRESS_SEED how.
"""

import collections
import faulthandler
import os
import pathlib
import random
import sys
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf

SECONDS = float(os.environ.get("DS2_TF_STRESS_SECONDS", "8"))
SEED = int(os.environ.get("DS2_TF_STRESS_SEED", "0"))
CLIENTS = 24
# No call has a longer deadline, and a server that loses a request would let it run into that.
LONGEST = 60.0
PARAMETERS = """
max_batch_size { value: 16 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 3 }
pad_variable_length_inputs: true
"""
OF_THE_LOAD = {
    grpc.StatusCode.UNAVAILABLE,  # the queue is full
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # the deadline passed in the queue
}

pytestmark = pytest.mark.slow


class Client(threading.Thread):
    """Sends requests of all kinds, each of which must end well or as it was meant to."""

    def __init__(self, connection, helpers, seed: int, stop: threading.Event):
        super().__init__(daemon=True)
        self._connection, self._helpers, self._stop_event = connection, helpers, stop
        self._random = random.Random(seed)
        self.ends = collections.Counter()
        self.wrong = []

    def run(self) -> None:
        while not self._stop_event.is_set():
            kind = self._random.choice(["answered", "late", "cancelled", "bad"])
            try:
                self.ends[kind, self._send(kind)] += 1
            except Exception as error:
                self.wrong.append(f"{kind}: {error!r}")

    def _send(self, kind: str) -> str:
        """What became of a request: OK, or the name of its code."""
        rows = self._random.randint(1, 16)
        request = self._helpers.scores_request(rows=rows)
        if kind == "bad":
            narrow = tf.make_tensor_proto(np.ones([rows, 2], np.float32))
            request.inputs["features"].CopyFrom(narrow)
        timeout = self._random.uniform(0.001, 0.02) if kind == "late" else LONGEST
        call = self._connection.prediction.Predict.future(request, timeout=timeout)
        if kind == "cancelled":
            time.sleep(self._random.uniform(0, 0.01))
            call.cancel()
        try:
            reply = call.result(2 * LONGEST)
        except grpc.FutureCancelledError:
            assert kind == "cancelled"
            return "CANCELLED"
        except grpc.RpcError as error:
            expected = set(OF_THE_LOAD)
            if kind == "bad":
                expected.add(grpc.StatusCode.INVALID_ARGUMENT)
            elif kind != "late":
                expected.remove(grpc.StatusCode.DEADLINE_EXCEEDED)
            assert error.code() in expected, error
            return error.code().name
        assert kind != "bad"
        version = reply.model_spec.version.value
        np.testing.assert_array_equal(reply.outputs["logits"].float_val, [3.0 * version] * 2 * rows)
        return "OK"


def test_every_request_ends(base_path, saved_models, start_server, helpers, tmp_path):
    parameters = tmp_path / "batching.txt"
    parameters.write_text(PARAMETERS)
    models = pathlib.Path(base_path(1))
    server, _ = start_server(
        str(models),
        enable_batching=True,
        batching_parameters_file=str(parameters),
        file_system_poll_wait_seconds=0.05,
    )
    stop = threading.Event()
    clients = [
        Client(helpers.Connection(server.address), helpers, 1000 * SEED + index, stop)
        for index in range(CLIENTS)
    ]
    # Where anything hangs, the threads' stacks say where.
    faulthandler.dump_traceback_later(SECONDS + 3 * LONGEST, file=sys.__stderr__)
    for client in clients:
        client.start()
    try:
        end, swaps = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            (models / "2").symlink_to(saved_models[2])
            _wait_for_versions(server, [2])
            (models / "2").unlink()
            _wait_for_versions(server, [1])
            swaps += 1
    finally:
        stop.set()
        for client in clients:
            client.join(2 * LONGEST)
        faulthandler.cancel_dump_traceback_later()
    assert [client for client in clients if client.is_alive()] == []
    assert [wrong for client in clients for wrong in client.wrong[:1]] == []
    ends = sum((client.ends for client in clients), collections.Counter())
    for kind in ("answered", "late", "cancelled", "bad"):
        assert sum(count for (of, _), count in ends.items() if of == kind) > CLIENTS, ends
    assert ends["answered", "OK"] > CLIENTS and ends["bad", "INVALID_ARGUMENT"] > CLIENTS
    assert swaps > 0
    # Nothing is left behind: the models unload, which waits for every request that holds one.
    assert server.stop(grace=LONGEST)


def _wait_for_versions(server, versions: list[int]) -> None:
    deadline = time.monotonic() + LONGEST
    while server.core.manager.available_versions("tiny") != versions:
        assert time.monotonic() < deadline
        time.sleep(0.01)
