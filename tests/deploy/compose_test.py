# SPDX-License-Identifier: Apache-2.0
"""compose.yaml, and the embedded server started with exactly its flags."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import urllib.request

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving import flags
from serving.health import CHECK, SERVING, HealthCheckRequest, HealthCheckResponse
from serving.server import Server, configured_models, parse_flags


class Length(tf.Module):
    """Counts samples; recordings of different lengths need the padding of batching.config."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, name="samples"),
            tf.TensorSpec([None], tf.int32, name="num_samples"),
        ]
    )
    def count(self, samples, num_samples):
        return {"counted": num_samples + 0 * tf.cast(samples[:, 0], tf.int32)}


@pytest.fixture
def served(tmp_path, compose_service, config_directory):
    """The server in this process: address of gRPC, port of REST."""
    config = tmp_path / "config"
    shutil.copytree(config_directory, config)
    models = tmp_path / "models"
    model = Length()
    tf.saved_model.save(
        model, str(models / "ds2" / "7"), signatures={"serving_default": model.count}
    )
    (config / "models.config").write_text(
        (config / "models.config").read_text().replace('"/models/', f'"{models}/')
    )
    argv = [
        flag.replace("=/config/", f"={config}/").replace("=8500", "=0")
        for flag in compose_service["command"]
    ]
    rest_port = free_port()
    argv = [flag.replace("=8501", f"={rest_port}") for flag in argv]
    args = parse_flags([*argv, "--host=127.0.0.1"])
    server = Server(
        args,
        configured_models(args),
        config_file=args.model_config_file,
        config_file_poll_seconds=args.model_config_file_poll_wait_seconds,
    )
    try:
        server.start()
        yield server.address, rest_port
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_healthcheck(compose_service: dict, port: int) -> int:
    """Exit status of the health check, asked of another port."""
    kind, *command = compose_service["healthcheck"]["test"]
    assert kind == "CMD"
    command = [part.replace("/8501", f"/{port}") for part in command]
    return subprocess.run(command, capture_output=True, timeout=20).returncode


def test_embedded_server_answers_with_these_flags(served, compose_service):
    address, rest_port = served
    with grpc.insecure_channel(address) as channel:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "ds2"
        request.inputs["samples"].CopyFrom(tf.make_tensor_proto(np.ones([2, 5], np.float32)))
        request.inputs["num_samples"].CopyFrom(tf.make_tensor_proto(np.int32([5, 3])))
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout=20)
        assert list(response.outputs["counted"].int_val) == [5, 3]
        assert response.model_spec.version.value == 7
        check = channel.unary_unary(
            CHECK,
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        health = check(HealthCheckRequest(service="PredictionService"), timeout=20)
        assert health.status == SERVING
    assert run_healthcheck(compose_service, rest_port) == 0
    page = fetch(rest_port, "/monitoring/prometheus/metrics")
    assert ':tensorflow:serving:request_count{model_name="ds2",status="OK"} 1' in page
    assert "AVAILABLE" in fetch(rest_port, "/v1/models/ds2")


def fetch(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        return response.read().decode()


def test_healthcheck_fails_where_nobody_listens(compose_service):
    assert run_healthcheck(compose_service, free_port()) != 0


def test_flags_are_the_real_servers(compose_service):
    parsed = vars(parse_flags(compose_service["command"]))
    for flag in compose_service["command"]:
        name, value = re.fullmatch(r"--(\w+)=(.+)", flag).groups()
        # argparse would take a prefix of a name, the real server would not.
        assert name in parsed
        assert str(parsed[name]).lower() in (value, f"{value}.0")
        assert name not in own_flags()


def own_flags() -> set[str]:
    """Flags of the embedded server that the real one does not have."""
    parser = argparse.ArgumentParser()
    for add in (flags.add_config_flags, flags.add_listening_flags, flags.add_model_flags):
        add(parser)
    names = {
        action.dest
        for action in parser._actions
        if "not a TensorFlow Serving flag" in " ".join((action.help or "").split())
    }
    assert names == {"host", "shutdown_grace_seconds"}
    return names


def test_mounts_hold_what_the_flags_name(compose_service, config_directory):
    targets = {}
    for volume in compose_service["volumes"]:
        source, target, mode = re.fullmatch(r"(\$\{.+\}|[^:]+):([^:]+):(\w+)", volume).groups()
        targets[target] = source
        assert mode == "ro"
    assert targets["/config"] == "./config"
    assert targets["/models/ds2"].startswith("${DS2_VERSIONS:?")
    files = re.findall(r"=/config/(\S+)", " ".join(compose_service["command"]))
    assert len(files) == 3
    assert all((config_directory / file).is_file() for file in files)


def test_ports_are_the_servers_and_closed_to_other_machines(compose_service):
    assert compose_service["ports"] == [
        "${DS2_ADDRESS:-127.0.0.1}:8500:8500",
        "${DS2_ADDRESS:-127.0.0.1}:8501:8501",
    ]
    assert {"--port=8500", "--rest_api_port=8501"} <= set(compose_service["command"])
