# SPDX-License-Identifier: Apache-2.0
"""What the containers run: `python -m pipeline.kubeflow.entrypoint`.

TFX has an entrypoint for Google's Vertex. Open-source Kubeflow Pipelines v2 calls it otherwise, and
this module makes up for the differences before and after TFX's own runs:

- inputs come without their types, which are those of the component's interface;
- artifacts are named by URIs of the object store, while the launcher has put their files into the
  container, and takes those of outputs from there;
- outputs have no names, which TFX needs to tell artifacts apart;
- an input cannot be missing: a stand-in with the property `absent` is taken away here.

Arguments: as TFX's, among them the executor input, where the compiled command has `{{$}}`.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import pathlib
import sys
from collections.abc import Sequence

from ds2_tf.errors import UserError
from pipeline.kubeflow.uris import local_path

_INPUT = "json_serialized_invocation_args"
_INTERFACE = "json_serialized_inputs_spec_args"


def main(arguments: Sequence[str]) -> None:
    """Runs one step.

    Args:
        arguments: `--executor_class_path`, `--json_serialized_invocation_args`,
            `--json_serialized_inputs_spec_args`, and those of Beam.
    """
    from pipeline.quiet import quiet_libraries

    quiet_libraries()
    parser = argparse.ArgumentParser(prog="pipeline.kubeflow.entrypoint", allow_abbrev=False)
    for name in ("executor_class_path", _INPUT, _INTERFACE):
        parser.add_argument(f"--{name}", required=True)
    parsed, beam_args = parser.parse_known_args(list(arguments))
    executor_input = json.loads(getattr(parsed, _INPUT))
    interface = json.loads(getattr(parsed, _INTERFACE))
    setattr(parsed, _INPUT, json.dumps(for_tfx(executor_input, interface)))

    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

    quiet_libraries()
    _register_artifact_types()
    _make_directories(executor_input)
    try:
        kubeflow_v2_run_executor._run_executor(parsed, beam_args)
    except UserError as error:
        sys.exit(f"ds2: error: {error}")
    _restore_uris(executor_input)


def for_tfx(executor_input: dict, interface: dict) -> dict:
    """What TFX's entrypoint understands.

    Args:
        executor_input: as KFP's launcher gives it, an ExecutorInput as JSON types.
        interface: the inputs that the component declares, a ComponentInputsSpec as JSON types.

    Returns:
        An ExecutorInput with types, names and local paths.
    """
    translated = json.loads(json.dumps(executor_input))
    declared = interface.get("artifacts", {})
    inputs = translated.setdefault("inputs", {}).setdefault("artifacts", {})
    for key in list(inputs):
        artifacts = inputs[key]["artifacts"]
        inputs[key]["artifacts"] = [
            {**artifact, "type": artifact.get("type") or declared[key]["artifactType"]}
            for artifact in artifacts
            if not artifact.get("metadata", {}).get("absent")
        ]
        if not inputs[key]["artifacts"]:
            del inputs[key]
    for side in ("inputs", "outputs"):
        for artifact_list in translated.get(side, {}).get("artifacts", {}).values():
            for artifact in artifact_list["artifacts"]:
                artifact["name"] = artifact.get("name") or artifact["uri"]
                artifact["uri"] = local_path(artifact["uri"])
    return translated


def _outputs(executor_input: dict) -> dict[str, dict]:
    lists = executor_input.get("outputs", {}).get("artifacts", {})
    return {key: value["artifacts"][0] for key, value in lists.items()}


def _make_directories(executor_input: dict) -> None:
    """Makes the directories of outputs, as TFX's orchestrators do and KFP's launcher does not."""
    values = executor_input.get("outputs", {}).get("parameters", {})
    for key, artifact in _outputs(executor_input).items():
        path = pathlib.Path(local_path(artifact["uri"]))
        # That of a value is a file.
        (path.parent if key in values else path).mkdir(parents=True, exist_ok=True)


def _restore_uris(executor_input: dict) -> None:
    """Gives the outputs back the URIs under which the launcher is to store them."""
    path = pathlib.Path(executor_input["outputs"]["outputFile"])
    result = json.loads(path.read_text("utf-8"))
    for key, artifact in _outputs(executor_input).items():
        for written in result.get("artifacts", {}).get(key, {}).get("artifacts", []):
            written["uri"] = artifact["uri"]
            written.pop("name", None)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(result), "utf-8")
    os.replace(temporary, path)


def _register_artifact_types() -> None:
    """Lets TFX find the classes of our own artifact types by their names."""
    from tfx import types
    from tfx.orchestration.kubeflow.v2 import compiler_utils

    from pipeline.components import artifacts

    for name, value in vars(artifacts).items():
        if inspect.isclass(value) and issubclass(value, types.Artifact):
            compiler_utils.TITLE_TO_CLASS_PATH.setdefault(
                value.TYPE_NAME, f"{artifacts.__name__}.{name}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
