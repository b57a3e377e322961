# SPDX-License-Identifier: Apache-2.0
"""A server in a process of its own, for tests that try to break it.

Its requests are batched, so that good ones meet bad ones. At the end of each file of tests it must
be alive, have written no traceback, and answer as in the beginning.
"""

from __future__ import annotations

import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import grpc
import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[3]
PREDICT = "/tensorflow.serving.PredictionService/Predict"

BATCHING = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 10000 }
num_batch_threads { value: 2 }
pad_variable_length_inputs: true
"""


class ServerProcess:
    """A running server, seen from outside.

    Attributes:
        address: of gRPC.
        rest_address: of REST and the metrics.
    """

    def __init__(self, directory: pathlib.Path, *flags: str):
        self._log = directory / "server.log"
        monitoring = directory / "monitoring.config"
        monitoring.write_text("prometheus_config { enable: true }")
        batching = directory / "batching.config"
        batching.write_text(BATCHING)
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "serving.server", "--host=127.0.0.1", "--port=0"]
                + [f"--rest_api_port={_free_port()}", f"--monitoring_config_file={monitoring}"]
                + ["--enable_batching", f"--batching_parameters_file={batching}", *flags],
                cwd=ROOT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self._process.stdout.readline()
        match = re.match("ready: gRPC at ([^,;]+), REST at ([^;]+);", line)
        assert match, self.log()
        self.address, self.rest_address = match.groups()

    def stop(self) -> int:
        """Ends it as an operator would; returns its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()
            self._process.communicate()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def megabytes(self) -> float:
        """Memory in use (resident set)."""
        return int(self._status("VmRSS").split()[0]) / 1024

    def comes_down_to(self, megabytes: float) -> bool:
        """Whether no more memory than that is in use within a minute."""
        deadline = time.monotonic() + 60
        while self.megabytes() > megabytes and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.megabytes() <= megabytes

    def num_threads(self) -> int:
        return int(self._status("Threads"))

    def num_files(self) -> int:
        """Open files, and so connections."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def metric(self, name: str) -> int:
        """Sum over the cells of a counter."""
        url = f"http://{self.rest_address}/monitoring/prometheus/metrics"
        with urllib.request.urlopen(url, timeout=60) as reply:
            page = reply.read().decode()
        pattern = rf"^:tensorflow:serving:{name}\{{.*\}} (\d+)$"
        return sum(map(int, re.findall(pattern, page, re.MULTILINE)))

    def rest_socket(self) -> socket.socket:
        return _connect(self.rest_address)

    def grpc_socket(self) -> socket.socket:
        return _connect(self.address)

    def _status(self, key: str) -> str:
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        return re.search(rf"^{key}:\s*(.*)$", status, re.MULTILINE)[1]


class RawPredict:
    """Sends any bytes as a Predict request, many at a time, and keeps code, text and reply."""

    def __init__(self, address: str):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options)
        self._call = self._channel.unary_unary(PREDICT)

    def __call__(self, data: bytes, timeout: float = 60.0):
        return outcome(self._call.future(data, timeout=timeout))

    def many(self, requests, at_once: int = 64) -> list:
        """Outcomes of all requests, in order."""
        outcomes, waiting = [], []
        for data in requests:
            waiting.append(self._call.future(data, timeout=60.0))
            if len(waiting) == at_once:
                outcomes.append(outcome(waiting.pop(0)))
        return outcomes + [outcome(call) for call in waiting]

    def begin(self, messages: Iterator[bytes]) -> grpc.Future:
        """Begins a call, and sends its message when there is one."""
        return self._channel.stream_unary(PREDICT).future(messages, timeout=120.0)


def outcome(call) -> tuple[grpc.StatusCode, str, bytes]:
    """Code, text and reply of a call once it has ended."""
    code = call.code()
    return code, call.details(), call.result() if code == grpc.StatusCode.OK else b""


class WavModel(tf.Module):
    """The reading of WAV files as exports do it, and a signature that bad input makes fail."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "words")])
    def number(self, words):
        return {"value": tf.strings.to_number(words)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")])
    def transcribe(self, wav):
        from ds2_tf.export.wav import decode_wav, resample

        def read(item):
            samples, sample_rate = decode_wav(item)
            samples = resample(samples, sample_rate, 16000)
            return tf.size(samples), tf.reduce_sum(tf.abs(samples)), sample_rate

        num_samples, loudness, sample_rate = tf.map_fn(
            read, wav, fn_output_signature=(tf.int32, tf.float32, tf.int32)
        )
        return {"num_samples": num_samples, "loudness": loudness, "sample_rate": sample_rate}


@pytest.fixture(scope="session")
def _server(tmp_path_factory, saved_models):
    directory = tmp_path_factory.mktemp("abuse")
    wav_path = directory / "wav"
    model = WavModel()
    signatures = {"transcribe": model.transcribe, "number": model.number}
    tf.saved_model.save(model, str(wav_path / "1"), signatures=signatures)
    tiny_path = directory / "tiny"
    tiny_path.mkdir()
    os.symlink(saved_models[3], tiny_path / "3")
    config = directory / "models.config"
    models = {"tiny": tiny_path, "wav": wav_path}
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}'
            for name, path in models.items()
        )
        + "}"
    )
    server = ServerProcess(directory, f"--model_config_file={config}")
    level = server.megabytes()
    yield server
    # What the threads of a thousand connections leave behind, and no more.
    assert server.comes_down_to(level + 400), (level, server.megabytes())
    # After all that, it ends like any other.
    assert server.stop() == 0, server.log()[-3000:]


@pytest.fixture(scope="module")
def server(_server) -> ServerProcess:
    """The server, which must be well after each file of tests."""
    yield _server
    assert _server.is_alive(), _server.log()[-3000:]
    assert "Traceback" not in _server.log(), _server.log()[-3000:]
    # Give back what closed connections held.
    deadline = time.monotonic() + 30
    while _server.num_files() > 100 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _server.num_files() < 100


@pytest.fixture(scope="module")
def raw_predict(server) -> RawPredict:
    return RawPredict(server.address)


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
