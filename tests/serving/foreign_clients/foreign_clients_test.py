# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote for TensorFlow Serving, unchanged, from their own environments.

The environments are made once, below .cache in the project, and take a minute then.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
HERE = pathlib.Path(__file__).parent

# min-tfs-client installs tensorflow_serving.apis of its own, in code for older protobufs.
REQUIREMENTS = {
    "min_tfs_client": ("min-tfs-client==1.0.2", "protobuf<3.21"),
    "ovmsclient": ("ovmsclient==2023.1",),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ask():
    """Runs the script of a client in its environment and returns what it printed."""

    def run(client: str, *arguments: str) -> dict:
        python = _environment(client)
        done = subprocess.run(
            [python, HERE / f"{client}_process.py", *arguments],
            # Nothing of this project or its environment may be seen there.
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def _environment(client: str) -> pathlib.Path:
    directory = ROOT / ".cache" / "foreign_clients" / client
    python = directory / "bin" / "python"
    stamp = directory / "installed"
    wanted = "\n".join(REQUIREMENTS[client])
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        for command in (
            [*uv, "venv", "-q", "--python", sys.executable, directory],
            [*uv, "pip", "install", "-q", "--python", python, *REQUIREMENTS[client]],
        ):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{client} cannot be installed: {done.stderr.strip()}")
        stamp.write_text(wanted)
    return python


@pytest.fixture(scope="module")
def server(helpers, speech_base_path):
    config = helpers.single_model_config("ds2", speech_base_path)
    server = helpers.make_server(config, rest_api_port=helpers.free_port())
    server.start()
    yield server
    server.stop()


# The model's arithmetic: the mean of the samples times the frame, and the label.
SCORES = [[2, 10, 29], pytest.approx(0.5 * 2 + 3)]


def test_min_tfs_client(ask, server):
    heard = ask("min_tfs_client", server.address)
    assert (heard["version"], heard["num_frames"]) == (4, [10, 5])
    assert heard["log_probs"] == SCORES
    (wrong_input, _), (unknown_model, details) = heard["errors"]
    assert (wrong_input, unknown_model) == ("INVALID_ARGUMENT", "NOT_FOUND")
    assert "nobody" in details


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_ovmsclient(ask, server, protocol):
    address = server.address if protocol == "grpc" else server.rest_address
    heard = ask("ovmsclient", protocol, address)
    assert heard["num_frames"] == [10, 5] and heard["log_probs"] == SCORES
    assert heard["status"] == {"4": "AVAILABLE"}
    assert heard["inputs"] == {"samples": [-1, -1], "num_samples": [-1]}
    assert heard["outputs"] == ["log_probs", "num_frames"]
    assert heard["errors"] == ["InvalidInputError", "ModelNotFoundError"]
