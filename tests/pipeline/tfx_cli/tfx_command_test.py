# SPDX-License-Identifier: Apache-2.0
"""The `tfx` command with the pipeline."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys

import pytest
from click.testing import CliRunner
from tfx.tools.cli.cli_main import cli_group

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
evaluation: {{max_wer: .inf}}
steps: {{validate_data: false, check_saved_model: false}}
kubeflow: {{image: registry/ds2-tf:0.1.0}}
"""


@pytest.fixture
def tfx(make_corpus, recipe_path, tmp_path, monkeypatch):
    """A function that runs the `tfx` command, with a home of its own."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        _CONFIGURATION.format(root=tmp_path / "run", recipe=recipe_path, manifest=make_corpus(12))
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DS2_PIPELINE", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))
    # The pipeline itself runs in a process of its own.
    monkeypatch.setenv("PYTHONPATH", f"{_ROOT}:{os.environ.get('PYTHONPATH', '')}")
    # `tfx` looks for pip by that name.
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")

    def run(*words: str | os.PathLike) -> str:
        result = CliRunner().invoke(cli_group, [str(word) for word in words])
        assert result.exit_code == 0, result.output + repr(result.exception)
        return result.output

    return run


@pytest.mark.slow
def test_local_creates_and_runs(tfx, tmp_path):
    path = _FILES / "tfx_local.py"
    output = tfx("pipeline", "create", "--engine", "local", "--pipeline_path", path)
    assert '"tiny" created' in output
    assert not (tmp_path / "run" / "Trainer").exists()
    tfx("run", "create", "--engine", "local", "--pipeline_name", "tiny")
    (version,) = (tmp_path / "run" / "serving").iterdir()
    assert (version / "saved_model.pb").is_file()
    # What looks at the world is not cached: a version that is gone is pushed again.
    shutil.rmtree(version)
    tfx("run", "create", "--engine", "local", "--pipeline_name", "tiny")
    (version,) = (tmp_path / "run" / "serving").iterdir()
    assert (version / "saved_model.pb").is_file()
    assert len(list((tmp_path / "run" / "Trainer" / "model").iterdir())) == 1


def test_vertex_compiles(tfx, tmp_path):
    path = _FILES / "tfx_vertex.py"
    tfx("pipeline", "compile", "--engine", "vertex", "--pipeline_path", path)
    tfx("pipeline", "create", "--engine", "vertex", "--pipeline_path", path)
    (created,) = (tmp_path / "tfx").rglob("pipeline.json")
    job = json.loads(created.read_text())
    assert job == json.loads((tmp_path / "pipeline.json").read_text())
    assert job["displayName"] == "tiny"
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    assert executors["Trainer_executor"]["container"]["image"] == "registry/ds2-tf:0.1.0"
    assert executors["Trainer_executor"]["container"]["resources"]["memoryLimit"] == 16


def test_without_a_configuration_it_says_how(monkeypatch):
    monkeypatch.delenv("DS2_PIPELINE", raising=False)
    with pytest.raises(UserError, match="Set the variable DS2_PIPELINE"):
        configuration()
