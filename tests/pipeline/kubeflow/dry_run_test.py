# SPDX-License-Identifier: Apache-2.0
"""Running every container command of a compiled spec, as Kubeflow would."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from ds2_tf.errors import UserError
from pipeline.kubeflow.dry_run import TaskFailed, dry_run, load_spec, substitute

_EXECUTOR_INPUT = {
    "inputs": {
        "artifacts": {"model": {"artifacts": [{"uri": "minio://b/m"}]}},
        "parameterValues": {"text": "a b", "number": 3},
    },
    "outputs": {
        "artifacts": {"report": {"artifacts": [{"uri": "gs://b/r"}]}},
        "parameters": {"version": {"outputFile": "/tmp/v"}},
        "outputFile": "/tmp/o",
    },
}


@pytest.mark.parametrize(
    "word, expected",
    [
        ("--plain={{x}}", "--plain={{x}}"),
        ("{{$.inputs.parameters['text']}}/{{$.inputs.parameters['number']}}", "a b/3"),
        ("{{$.inputs.artifacts['model'].uri}}", "minio://b/m"),
        ("{{$.outputs.artifacts['report'].path}}", "/gcs/b/r"),
        ("{{$.outputs.parameters['version'].output_file}}", "/tmp/v"),
    ],
)
def test_placeholders_are_filled_in(word, expected):
    assert substitute(word, _EXECUTOR_INPUT) == expected
    assert json.loads(substitute("{{$}}", _EXECUTOR_INPUT)) == _EXECUTOR_INPUT


def _spec(**tasks: dict) -> dict:
    """A pipeline of `python -m` commands, by name."""
    return {
        "pipelineInfo": {"name": "test"},
        "root": {
            "dag": {
                "tasks": {
                    name: {"componentRef": {"name": name}, **task.get("task", {})}
                    for name, task in tasks.items()
                }
            }
        },
        "components": {
            name: {"executorLabel": name, **task.get("component", {})}
            for name, task in tasks.items()
        },
        "deploymentSpec": {
            "executors": {
                name: {"container": {"command": task["command"]}} for name, task in tasks.items()
            }
        },
    }


def test_a_failed_command_ends_the_run_with_its_last_words(tmp_path):
    spec = _spec(
        first={"command": ["python", "-m", "no_such_module"]},
        second={
            "command": ["python", "-m", "no_such_module"],
            "task": {"dependentTasks": ["first"]},
        },
    )
    ran = []
    with pytest.raises(TaskFailed, match="first ended with status 1(.|\n)*no_such_module"):
        dry_run(spec, tmp_path, on_task=ran.append)
    assert not ran


def test_tasks_that_wait_for_each_other_are_named(tmp_path):
    spec = _spec(
        a={"command": [], "task": {"dependentTasks": ["b"]}},
        b={"command": [], "task": {"dependentTasks": ["a"]}},
    )
    with pytest.raises(UserError, match=r"wait for each other: \['a', 'b'\]"):
        dry_run(spec, tmp_path)


def test_unknown_and_missing_parameters_are_named(tmp_path):
    spec = _spec()
    spec["root"]["inputDefinitions"] = {"parameters": {"recipe": {"parameterType": "STRING"}}}
    with pytest.raises(UserError, match="no parameter colour; it has recipe"):
        dry_run(spec, tmp_path, parameters={"colour": "red"})
    with pytest.raises(UserError, match="needs values for its parameters recipe"):
        dry_run(spec, tmp_path)
    assert dry_run(spec, tmp_path, parameters={"recipe": "{}"}) == []


@pytest.mark.parametrize("content", ["a: 1\n", "- a\n", "a: [\n"])
def test_other_files_are_no_specs(content, tmp_path):
    (tmp_path / "spec.yaml").write_text(content)
    with pytest.raises(UserError):
        load_spec(tmp_path / "spec.yaml")


@pytest.mark.slow
def test_every_command_of_the_pipeline_runs(configuration, tmp_path):
    """Twice: the second model is another one, and is measured against the first."""
    program = (
        "import sys; from ds2_tf import cli\n"
        "assert cli.main(['pipeline', 'compile', sys.argv[1], '--output', 'spec.yaml']) == 0\n"
        "assert cli.main(['pipeline', 'dry-run', 'spec.yaml', '--directory', 'first']) == 0\n"
        "assert cli.main(['pipeline', 'dry-run', 'spec.yaml', '--directory', 'second',\n"
        "                 '--parameter', 'recipe=' + sys.argv[2]]) == 0\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, str(configuration), json.dumps(_RECIPE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    versions = sorted((tmp_path / "serving").iterdir())
    assert len(versions) == 2 and all((v / "saved_model.pb").is_file() for v in versions)
    found = [
        line.split("version: ")[1]
        for line in process.stderr.splitlines()
        if line.startswith("LastPushedVersion")
    ]
    assert found == ["none", str(versions[0])]
    (blessing,) = pathlib.Path(tmp_path, "second", "minio").rglob("BLESSED")
    assert "Evaluator" in str(blessing)


_RECIPE = {
    "model": {
        "convolutions": [{"filters": 2, "kernel": [21, 5], "stride": [4, 2]}],
        "recurrent_layers": 1,
        "recurrent_units": 4,
    },
    "training": {"epochs": 1, "batch_frames": 2000, "max_frames": 1000, "warmup_steps": 1},
}
