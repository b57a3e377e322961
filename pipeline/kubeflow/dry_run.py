# SPDX-License-Identifier: Apache-2.0
"""Runs the container commands of a compiled spec on this machine, as Kubeflow would.

The part of KFP's driver is played (parameters and artifacts by the spec, from the steps before),
that of its launcher (placeholders of the command, files of outputs) and that of its metadata
(properties of artifacts go from step to step without their types). The object store is a directory.

Containers become child processes of one that has TFX imported: that takes longer than most steps of
a small corpus. Images, volumes and resources are not looked at.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import runpy
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Mapping

import yaml

from ds2_tf.errors import UserError
from pipeline.kubeflow.uris import ROOT_VARIABLE, local_path

_STORE = "minio://mlpipeline/v2/artifacts"


@dataclasses.dataclass(frozen=True)
class TaskRun:
    """What a task did.

    Attributes:
        name: of the task.
        seconds: that it took.
        artifacts: what it put out, by output: URI and metadata.
        parameters: values that it put out.
    """

    name: str
    seconds: float
    artifacts: dict[str, dict]
    parameters: dict[str, object]


class TaskFailed(UserError):
    """A container command ended with another status than 0."""


def load_spec(path: str | os.PathLike) -> dict:
    """Reads the pipeline spec of a compiled file, YAML or JSON.

    Raises:
        UserError: it is not one.
    """
    try:
        spec = next(iter(yaml.safe_load_all(pathlib.Path(path).read_text("utf-8"))))
    except OSError as error:
        raise UserError(f"The spec {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, StopIteration) as error:
        raise UserError(f"The spec {path} is not YAML: {error}") from error
    if not isinstance(spec, dict) or not {"root", "deploymentSpec"} <= spec.keys():
        raise UserError(f"{path} is no pipeline spec: it has no root and deploymentSpec.")
    return spec


def dry_run(
    spec: dict,
    directory: str | os.PathLike,
    *,
    parameters: Mapping[str, str] | None = None,
    on_task: Callable[[TaskRun], None] = lambda run: None,
) -> list[TaskRun]:
    """Runs the tasks of a spec, each after those that it needs.

    Args:
        spec: of `load_spec`.
        directory: gets what would be in the object store; made when missing.
        parameters: values other than the spec's own.
        on_task: called after each task.

    Raises:
        TaskFailed: a command failed; the ones after it did not run.
        UserError: a value is missing or is for no parameter.
    """
    run = _Run(spec, pathlib.Path(directory).absolute(), dict(parameters or {}))
    for name in _in_order(spec["root"]["dag"]["tasks"]):
        on_task(run.task(name))
    return list(run.done.values())


def _in_order(tasks: dict) -> list[str]:
    order: list[str] = []
    while len(order) < len(tasks):
        ready = [
            name
            for name, task in sorted(tasks.items())
            if name not in order and _needed(task) <= set(order)
        ]
        if not ready:
            raise UserError(f"These tasks wait for each other: {sorted(set(tasks) - set(order))}.")
        order += ready
    return order


def _needed(task: dict) -> set[str]:
    inputs = task.get("inputs", {})
    producers = {
        source["producerTask"]
        for group, key in (
            ("artifacts", "taskOutputArtifact"),
            ("parameters", "taskOutputParameter"),
        )
        for value in inputs.get(group, {}).values()
        if (source := value.get(key))
    }
    return producers | set(task.get("dependentTasks", []))


class _Run:
    """One run: what its tasks have put out so far."""

    def __init__(self, spec: dict, directory: pathlib.Path, parameters: dict[str, str]):
        self._spec = spec
        self._directory = directory
        self._prefix = f"{_STORE}/{spec['pipelineInfo']['name']}/{uuid.uuid4()}"
        self._parameters = _root_parameters(spec, parameters)
        self._next_artifact = 1
        self.done: dict[str, TaskRun] = {}

    def task(self, name: str) -> TaskRun:
        """Runs one task."""
        task = self._spec["root"]["dag"]["tasks"][name]
        component = self._spec["components"][task["componentRef"]["name"]]
        container = self._spec["deploymentSpec"]["executors"][component["executorLabel"]][
            "container"
        ]
        scratch = self._directory / "containers" / name
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "output_metadata.json").unlink(missing_ok=True)
        executor_input = {
            "inputs": self._inputs(task),
            "outputs": self._outputs(name, component.get("outputDefinitions", {}), scratch),
        }
        command = [
            substitute(word, executor_input)
            for word in [*container.get("command", []), *container.get("args", [])]
        ]
        (scratch / "command.json").write_text(json.dumps(command, indent=1), "utf-8")
        started = time.monotonic()
        status = _run_command(command, self._directory, scratch / "log.txt")
        if status:
            log = (scratch / "log.txt").read_text("utf-8", "replace").strip().splitlines()
            raise TaskFailed(
                f"{name} ended with status {status}; the end of {scratch}/log.txt:\n  "
                + "\n  ".join(log[-15:])
            )
        run = self._collect(name, time.monotonic() - started, executor_input)
        self.done[name] = run
        return run

    def _inputs(self, task: dict) -> dict:
        inputs = task.get("inputs", {})
        values = {key: self._value(value) for key, value in inputs.get("parameters", {}).items()}
        artifacts = {}
        for key, value in inputs.get("artifacts", {}).items():
            source = value["taskOutputArtifact"]
            artifact = self.done[source["producerTask"]].artifacts[source["outputArtifactKey"]]
            artifacts[key] = {"artifacts": [artifact]}
        return {"parameterValues": values, "artifacts": artifacts}

    def _value(self, value: dict) -> object:
        if source := value.get("taskOutputParameter"):
            return self.done[source["producerTask"]].parameters[source["outputParameterKey"]]
        if name := value.get("componentInputParameter"):
            return self._parameters[name]
        return value["runtimeValue"]["constant"]

    def _outputs(self, name: str, definitions: dict, scratch: pathlib.Path) -> dict:
        artifacts = {
            key: {
                "artifacts": [
                    {
                        "type": definition["artifactType"],
                        "uri": f"{self._prefix}/{name}/{uuid.uuid4()}/{key}",
                        "metadata": definition.get("metadata", {}),
                    }
                ]
            }
            for key, definition in definitions.get("artifacts", {}).items()
        }
        for artifact_list in artifacts.values():
            path = self._path(artifact_list["artifacts"][0]["uri"])
            path.parent.mkdir(parents=True, exist_ok=True)
        return {
            "artifacts": artifacts,
            "parameters": {
                key: {"outputFile": str(scratch / key)} for key in definitions.get("parameters", {})
            },
            "outputFile": str(scratch / "output_metadata.json"),
        }

    def _path(self, uri: str) -> pathlib.Path:
        return self._directory / os.path.relpath(
            local_path(uri), os.environ.get(ROOT_VARIABLE, "/")
        )

    def _collect(self, name: str, seconds: float, executor_input: dict) -> TaskRun:
        outputs = executor_input["outputs"]
        written = json.loads(pathlib.Path(outputs["outputFile"]).read_text("utf-8"))
        artifacts = {}
        for key, artifact_list in outputs["artifacts"].items():
            (artifact,) = artifact_list["artifacts"]
            told = written.get("artifacts", {}).get(key, {}).get("artifacts", [{}])[0]
            if told.get("uri", artifact["uri"]) != artifact["uri"]:
                raise TaskFailed(
                    f"{name} was to put {key} at {artifact['uri']}, and says {told['uri']}."
                )
            # As KFP's metadata does: a number for a name, all properties alike, and no type.
            artifacts[key] = {
                "name": str(self._next_artifact),
                "uri": artifact["uri"],
                "metadata": {**artifact["metadata"], **told.get("metadata", {})},
            }
            self._next_artifact += 1
            if not self._path(artifact["uri"]).exists():
                raise TaskFailed(f"{name} did not write {key} at {self._path(artifact['uri'])}.")
        values = written.get("parameterValues", {})
        for key, value in outputs["parameters"].items():
            if key not in values:
                values[key] = pathlib.Path(value["outputFile"]).read_text("utf-8")
        return TaskRun(name, seconds, artifacts, values)


def _root_parameters(spec: dict, given: dict[str, str]) -> dict[str, object]:
    known = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    if unknown := sorted(set(given) - set(known)):
        raise UserError(
            f"The pipeline has no parameter {', '.join(unknown)}; "
            f"it has {', '.join(sorted(known))}."
        )
    values = {name: declared.get("defaultValue") for name, declared in known.items()}
    values.update(given)
    if missing := sorted(name for name, value in values.items() if value is None):
        raise UserError(f"The pipeline needs values for its parameters {', '.join(missing)}.")
    return values


def substitute(word: str, executor_input: dict) -> str:
    """A word of a command with KFP's placeholders filled in.

    Args:
        word: such as "{{$}}" or "{{$.outputs.artifacts['model'].uri}}".
        executor_input: what a container is told, as JSON types.
    """
    placeholders = {"{{$}}": json.dumps(executor_input)}
    for side in ("inputs", "outputs"):
        for key, artifact_list in executor_input[side]["artifacts"].items():
            uri = artifact_list["artifacts"][0]["uri"]
            placeholders[f"{{{{$.{side}.artifacts['{key}'].uri}}}}"] = uri
            placeholders[f"{{{{$.{side}.artifacts['{key}'].path}}}}"] = local_path(uri)
    for key, value in executor_input["inputs"]["parameterValues"].items():
        text = value if isinstance(value, str) else json.dumps(value)
        placeholders[f"{{{{$.inputs.parameters['{key}']}}}}"] = text
    for key, value in executor_input["outputs"]["parameters"].items():
        placeholders[f"{{{{$.outputs.parameters['{key}'].output_file}}}}"] = value["outputFile"]
    for placeholder, text in placeholders.items():
        word = word.replace(placeholder, text)
    return word


def _run_command(command: list[str], store: pathlib.Path, log: pathlib.Path) -> int:
    """Runs `python -m MODULE ...` in a child of this process; returns its status."""
    if command[:2] != ["python", "-m"]:
        raise UserError(f"Only commands that begin with python -m can be run, got {command[:3]}.")
    # Before the fork, for all children.
    import tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor  # noqa: F401

    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ[ROOT_VARIABLE] = str(store)
        sys.argv = command[2:]
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = 0 if end.code is None else end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
