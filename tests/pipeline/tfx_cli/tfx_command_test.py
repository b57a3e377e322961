# SPDX-License-Identifier: Apache-2.0
"""The `tfx` command with the pipeline."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

import pipeline.tfx_cli
from ds2_tf.errors import UserError
from pipeline.tfx_cli.configuration import configuration

_FILES = pathlib.Path(pipeline.tfx_cli.__file__).parent
_ROOT = _FILES.parents[1]
_CONFIGURATION = """
name: tiny
root: {root}
recipe: {recipe}
manifest: {manifest}
shards: 1
evaluation: {{max_wer: 2.0}}
steps: {{validate_data: false, check_saved_model: false}}
kubeflow: {{image: registry/ds2-tf:0.1.0}}
"""


@pytest.fixture
def tfx(make_corpus, recipe_path, tmp_path):
    """A function that runs the `tfx` command in an environment of its own."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        _CONFIGURATION.format(root=tmp_path / "run", recipe=recipe_path, manifest=make_corpus(12))
    )

    def run(*words: str) -> str:
        process = subprocess.run(
            [sys.executable, "-c", "from tfx.tools.cli.cli_main import cli_group; cli_group()"]
            + [str(word) for word in words],
            cwd=tmp_path,
            env={
                **os.environ,
                "DS2_PIPELINE": str(path),
                "HOME": str(tmp_path),
                "PYTHONPATH": str(_ROOT),
                # `tfx` looks for pip by that name.
                "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    return run


@pytest.mark.slow
def test_local_creates_and_runs(tfx, tmp_path):
    path = _FILES / "tfx_local.py"
    assert '"tiny" created' in tfx(
        "pipeline", "create", "--engine", "local", "--pipeline_path", path
    )
    assert not (tmp_path / "run" / "Trainer").exists()
    tfx("run", "create", "--engine", "local", "--pipeline_name", "tiny")
    (version,) = (tmp_path / "run" / "serving").iterdir()
    assert (version / "saved_model.pb").is_file()


@pytest.mark.slow
def test_vertex_compiles(tfx, tmp_path):
    path = _FILES / "tfx_vertex.py"
    tfx("pipeline", "create", "--engine", "vertex", "--pipeline_path", path)
    (compiled,) = (tmp_path / "tfx").rglob("pipeline.json")
    job = json.loads(compiled.read_text())
    assert job["displayName"] == "tiny"
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["container"]["image"] == "registry/ds2-tf:0.1.0"
    assert executors["Trainer_executor"]["container"]["resources"]["memoryLimit"] == 16


def test_without_a_configuration_it_says_how(monkeypatch):
    monkeypatch.delenv("DS2_PIPELINE", raising=False)
    with pytest.raises(UserError, match="Set the variable DS2_PIPELINE"):
        configuration()
