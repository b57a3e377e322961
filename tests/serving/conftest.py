# SPDX-License-Identifier: Apache-2.0
"""Tiny models and running servers for the tests.

As a program, writes the models that the tests of the contract ask a foreign server for:
`python tests/serving/conftest.py DIRECTORY`; see README.md here.
"""

from __future__ import annotations

import os
import socket
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.core import single_model_config
from serving.server import Server, parse_flags
from tests.serving.certificates import Authority


class TinyModel(tf.Module):
    """Two rows of weights that all hold the version, so that a reply tells who answered."""

    def __init__(self, version: int):
        super().__init__()
        self.weights = tf.Variable(tf.fill([3, 2], float(version)))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 3], tf.float32, name="features"),
            tf.TensorSpec([None], tf.int32, name="lengths"),
        ]
    )
    def scores(self, features, lengths):
        return {"logits": tf.matmul(features, self.weights), "num_frames": lengths + 1}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def join(self, words):
        return {"doubled_bytes": tf.strings.join([words, words]), "size": tf.strings.length(words)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="rows")])
    def sums(self, rows):
        return {"sum": tf.reduce_sum(rows, axis=1), "width": 0 * rows + rows}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="rows")])
    def company(self, rows):
        """What batch a request was in: its rows, the sum of all, and this request's as padded."""
        ones = tf.ones([tf.shape(rows)[0]])
        return {
            "batch": ones * tf.reduce_sum(ones),
            "total": ones * tf.reduce_sum(rows),
            "padded": 1.0 * rows,
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="rounds")])
    def spin_rows(self, rounds):
        return {
            "value": self.spin(tf.reduce_max(rounds))["value"] * tf.ones_like(rounds, tf.float32)
        }

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="rounds")])
    def spin(self, rounds):
        def body(index, value):
            return index + 1, tf.linalg.matmul(value, value) / 64.0

        _, value = tf.while_loop(
            lambda index, _: index < rounds, body, (0, tf.ones([64, 64])), parallel_iterations=1
        )
        return {"value": value[0, 0]}


class TinySpeechModel(tf.Module):
    """The signatures of an exported recognizer, on trivial arithmetic.

    The transcript of a recording is its number of 16-bit samples; recordings of over five seconds
    are refused, as undecodable ones are. Frame t of utterance b has the log-probabilities
    `mean(samples[b]) * t + [0, 1, ... 28]`.
    """

    def __init__(self):
        super().__init__()
        self.steps = tf.Variable(tf.range(29.0))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="samples"),
            tf.TensorSpec([None], tf.int32, name="num_samples"),
        ]
    )
    def log_probs(self, samples, num_samples):
        means = tf.reduce_sum(samples, 1) / tf.cast(num_samples, tf.float32)
        frames = tf.cast(tf.range(tf.shape(samples)[1] // 160), tf.float32)
        grid = means[:, None, None] * frames[None, :, None] + self.steps
        return {"log_probs": grid, "num_frames": num_samples // 160}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="wav")])
    def transcribe(self, wav):
        num_samples = (tf.strings.length(wav) - 44) // 2
        rate = tf.io.decode_raw(tf.strings.substr(wav, 24, 4), tf.int32)[:, 0]
        return {
            "text": tf.strings.join(["samples ", tf.strings.as_string(num_samples)]),
            "score": -tf.cast(num_samples, tf.float32),
            "num_frames": num_samples // 160,
            "sample_rate": tf.where(num_samples > 5 * 16000, 0, rate),
        }


def save_tiny_model(base_path: str, version: int) -> str:
    """Saves a TinyModel to `base_path/version`, atomically as a poller needs it."""
    model = TinyModel(version)
    temporary = os.path.join(base_path, f"temporary-{version}")
    final = os.path.join(base_path, str(version))
    tf.saved_model.save(
        model,
        temporary,
        signatures={
            "serving_default": model.scores,
            "join": model.join,
            "sums": model.sums,
            "spin": model.spin,
            "spin_rows": model.spin_rows,
            "company": model.company,
        },
    )
    os.rename(temporary, final)
    return final


class Connection:
    """Both services of a server, as raw stubs."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None):
        self.address = address
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, request: predict_pb2.PredictRequest, timeout: float = 20.0):
        return self.prediction.Predict(request, timeout=timeout)

    def version(self, name: str = "tiny") -> int:
        """The version that answers for the latest."""
        return self.predict(scores_request(name)).model_spec.version.value


def scores_request(name: str = "tiny", rows: int = 1, version: int | None = None):
    """A request that is right in every way: features are ones, lengths are 0, 1, 2..."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    request.inputs["features"].CopyFrom(tf.make_tensor_proto(np.ones([rows, 3], np.float32)))
    request.inputs["lengths"].CopyFrom(tf.make_tensor_proto(np.arange(rows, dtype=np.int32)))
    return request


def spin_request(rounds: int):
    """A request that computes for about 20 microseconds a round, and answers 1."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "tiny"
    request.model_spec.signature_name = "spin"
    request.inputs["rounds"].CopyFrom(tf.make_tensor_proto(rounds))
    return request


# Longer than any test waits.
ENDLESS = 2_000_000_000


def expect_error(call, *arguments) -> tuple[grpc.StatusCode, str]:
    """Code and text of the error that a call must end in."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    return caught.value.code(), caught.value.details()


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Signs the certificates of a test."""
    return Authority()


@pytest.fixture
def ssl_config_file(tmp_path, authority):
    """Writes an SSLConfig with a certificate for localhost and more fields as text.

    With `client_verify`, clients must show a certificate of the authority's.
    """

    def write(more: str = "", *, client_verify: bool = False) -> str:
        key, certificate = (text.decode() for text in authority.issue("localhost"))
        if client_verify:
            more += f" custom_ca: {authority.certificate.decode()!r} client_verify: true"
        path = tmp_path / "ssl.config"
        path.write_text(f"server_key: {key!r} server_cert: {certificate!r} {more}")
        return str(path)

    return write


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory) -> dict[int, str]:
    """Paths of saved TinyModels by version; tests link to them and never change them."""
    base_path = str(tmp_path_factory.mktemp("saved"))
    return {version: save_tiny_model(base_path, version) for version in (1, 2, 3)}


@pytest.fixture(scope="session")
def speech_base_path(tmp_path_factory) -> str:
    """Base path of a TinySpeechModel, version 4."""
    base_path = str(tmp_path_factory.mktemp("speech"))
    model = TinySpeechModel()
    tf.saved_model.save(
        model,
        os.path.join(base_path, "4"),
        signatures={"serving_default": model.log_probs, "transcribe": model.transcribe},
    )
    return base_path


@pytest.fixture
def base_path(tmp_path, saved_models):
    """Makes a base path that holds the given versions, by links: `base_path(1, 2)`."""

    def make(*versions: int, name: str = "models") -> str:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        for version in versions:
            os.symlink(saved_models[version], directory / str(version))
        return str(directory)

    return make


@pytest.fixture
def start_server():
    """Starts servers in this process and stops them after the test.

    Call it with a base path or a ModelServerConfig, and flags by keyword.
    """
    servers = []

    def start(models, **flags) -> tuple[Server, Connection]:
        server = make_server(models, **flags)
        servers.append(server)
        server.start()
        return server, Connection(server.address)

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def tiny_connection(saved_models) -> Connection:
    """A server of TinyModel versions for tests that change nothing; perhaps a foreign one."""
    address = os.environ.get("DS2_TF_SERVING_ADDRESS")
    if address:
        yield Connection(address)
        return
    server = make_server(os.path.dirname(saved_models[1]))
    server.start()
    yield Connection(server.address)
    server.stop()


def make_server(models, **flags) -> Server:
    """A server that is not started yet, on a free port of this machine."""
    flags = {"port": 0, "host": "127.0.0.1", "file_system_poll_wait_seconds": 0.05, **flags}
    argv = [f"--{name}={value}" for name, value in flags.items()]
    config = single_model_config("tiny", models) if isinstance(models, str) else models
    return Server(parse_flags(argv), config)


def free_port() -> int:
    """A TCP port of this machine that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def helpers():
    """The functions of this file, for tests."""
    return sys.modules[__name__]


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for number in (1, 2, 3):
        print(save_tiny_model(sys.argv[1], number))
