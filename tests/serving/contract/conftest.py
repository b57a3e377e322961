# SPDX-License-Identifier: Apache-2.0
"""Servers for the tests of the contract; see tests/serving/README.md.

Tests that change nothing ask `tiny_connection` and `rest`, which may be a foreign server. Tests
that need their own files or flags start a server: this package's, or the program that
`DS2_TF_SERVING_BINARY` names.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import subprocess
import time

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

_BINARY = os.environ.get("DS2_TF_SERVING_BINARY", "")


class Running:
    """A server that was started for a test.

    Attributes:
        address, rest_address: `host:port`.
        connection: to the server, over gRPC.
    """

    def __init__(self, address: str, rest_address: str, helpers):
        self.address, self.rest_address = address, rest_address
        self.connection = helpers.Connection(address)

    def reload(self, config: model_server_config_pb2.ModelServerConfig):
        request = model_management_pb2.ReloadConfigRequest(config=config)
        return self.connection.model.HandleReloadConfigRequest(request, timeout=60)

    def states(self, name: str = "tiny") -> dict[int, str]:
        """State of each version, in the order of the reply."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        response = self.connection.model.GetModelStatus(request, timeout=60)
        name_of = get_model_status_pb2.ModelVersionStatus.State.Name
        return {entry.version: name_of(entry.state) for entry in response.model_version_status}

    def wait_for_states(self, expected: dict[int, str], name: str = "tiny") -> None:
        deadline = time.monotonic() + 30
        while self.states(name) != expected:
            assert time.monotonic() < deadline, (self.states(name), expected)
            time.sleep(0.01)


class Rest:
    """Talks JSON to an address."""

    def __init__(self, address: str):
        self.address = address

    def __call__(self, method, path, document=None, *, raw=None, headers=None):
        body = json.dumps(document).encode() if raw is None and document is not None else raw
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        if response.getheader("Content-Type") == "application/json":
            return response.status, json.loads(text)
        return response.status, text.decode()

    def predict(self, document, path="/v1/models/tiny:predict"):
        return self("POST", path, document)

    def error(self, document):
        status, reply = self.predict(document)
        assert status == 400
        return reply["error"]


@pytest.fixture
def start(helpers, tmp_path):
    """Starts servers and stops them after the test: `start(base path or config, **flags)`."""
    if os.environ.get("DS2_TF_SERVING_ADDRESS") and not _BINARY:
        pytest.skip("needs files and flags of its own: name the server in DS2_TF_SERVING_BINARY")
    with contextlib.ExitStack() as stack:

        def run(models, **flags) -> Running:
            if _BINARY:
                return stack.enter_context(_run_binary(models, flags, tmp_path, helpers))
            server = helpers.make_server(models, **flags)
            stack.callback(server.stop)
            server.start()
            return Running(server.address, server.rest_address, helpers)

        yield run


@contextlib.contextmanager
def _run_binary(models, flags, tmp_path: pathlib.Path, helpers):
    if isinstance(models, str):
        flags = {"model_name": "tiny", "model_base_path": models, **flags}
    else:
        path = tmp_path / f"models-{time.monotonic_ns()}.config"
        path.write_text(text_format.MessageToString(models))
        flags = {"model_config_file": path, **flags}
    # It reads whole seconds only.
    poll = max(1, round(float(flags.get("file_system_poll_wait_seconds", 1))))
    flags = {"port": helpers.free_port(), **flags, "file_system_poll_wait_seconds": poll}
    flags = {name: str(value).lower() if isinstance(value, bool) else value
             for name, value in flags.items()}  # fmt: skip
    process = subprocess.Popen([_BINARY, *(f"--{name}={value}" for name, value in flags.items())])
    try:
        address, rest = f"127.0.0.1:{flags['port']}", f"127.0.0.1:{flags.get('rest_api_port', 0)}"
        grpc.channel_ready_future(grpc.insecure_channel(address)).result(60)
        yield Running(address, rest, helpers)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def rest(saved_models, helpers) -> Rest:
    """REST of a server of TinyModel versions for tests that change nothing; perhaps foreign."""
    address = os.environ.get("DS2_TF_SERVING_REST_ADDRESS")
    if address:
        yield Rest(address)
        return
    base_path = os.path.dirname(saved_models[1])
    server = helpers.make_server(base_path, rest_api_port=helpers.free_port())
    server.start()
    yield Rest(server.rest_address)
    server.stop()


@pytest.fixture(scope="session")
def rest_client():
    """The class that talks to REST."""
    return Rest


@pytest.fixture(scope="session")
def model_config():
    """Makes a configuration of models given as proto text, all on the tensorflow platform."""

    def make(*models: str) -> model_server_config_pb2.ModelServerConfig:
        entries = "".join(f'config {{ model_platform: "tensorflow" {model} }}' for model in models)
        text = f"model_config_list {{ {entries} }}"
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())

    return make
