# SPDX-License-Identifier: Apache-2.0
"""Compiling the pipeline to a spec of Kubeflow Pipelines v2."""

from __future__ import annotations

import copy
import json
import pathlib
import re

import yaml

from ds2_tf.errors import UserError
from pipeline.configs import PipelineConfig
from pipeline.kubeflow.config import KubeflowConfig

ENGINES = ("kubeflow", "vertex")
_ENTRYPOINT = ["python", "-m", "pipeline.kubeflow.entrypoint"]
# Steps that look at the world outside the pipeline, which the cache does not see.
_LOOKING_STEPS = ("CorpusFingerprint", "LastPushedVersion")
# What a run may be given other values for: parameter -> (step, its parameter).
PARAMETERS = {"recipe": ("Trainer", "recipe")}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def compile_pipeline(config: PipelineConfig, engine: str = "kubeflow") -> list[dict]:
    """Compiles a pipeline.

    Args:
        config: with the key `kubeflow`.
        engine: "kubeflow" (open-source Kubeflow Pipelines v2) or "vertex" (Google's).
            Defaults to "kubeflow".

    Returns:
        For Kubeflow the documents of a KFP package as JSON types: the pipeline spec and, where there
        is something to say of Kubernetes, the platform spec. For Vertex one document, a PipelineJob.

    Raises:
        UserError: the configuration has no key `kubeflow`, or names unknown steps.
    """
    from pipeline.dag import create_pipeline

    kubeflow = _checked(config)
    pipeline = create_pipeline(config, looking_steps=True)
    steps = {component.id for component in pipeline.components}
    if unknown := sorted(set(kubeflow.resources) - steps):
        raise UserError(
            f"kubeflow.resources names {', '.join(unknown)}; the steps of this pipeline are "
            f"{', '.join(sorted(steps))}."
        )
    job = kubeflow_runner(config, engine).run(pipeline, write_out=False)
    spec = _finished(job["pipelineSpec"], kubeflow)
    if engine == "vertex":
        return [{**job, "pipelineSpec": spec}]
    spec["schemaVersion"] = "2.1.0"
    # Vertex asks containers before it looks into its cache; Kubeflow does not know of that.
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"].pop("lifecycle", None)
    if kubeflow.pipeline_root:
        spec["defaultPipelineRoot"] = kubeflow.pipeline_root
    platform = _platform(spec, kubeflow)
    return [spec, platform] if platform else [spec]


def kubeflow_runner(
    config: PipelineConfig, engine: str, *, directory: str | None = None, name: str | None = None
):
    """TFX's runner that compiles.

    Args:
        config: with the key `kubeflow`.
        engine: see `compile_pipeline`.
        directory: where the runner writes, if it is asked to.
        name: of the file.
    """
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
        KubeflowV2DagRunner,
        KubeflowV2DagRunnerConfig,
    )

    # Vertex fills in what our entrypoint makes up for.
    commands = {"default_commands": _ENTRYPOINT} if engine == "kubeflow" else {}
    return KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(
            default_image=_checked(config).image, use_pipeline_spec_2_1=True, **commands
        ),
        output_dir=directory,
        output_filename=name,
    )


def write_spec(documents: list[dict], path: pathlib.Path) -> None:
    """Writes a compiled pipeline as YAML, or as JSON where the name ends so.

    Raises:
        UserError: JSON has only one document, and the pipeline needs two.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump_all(documents, sort_keys=True, width=100, allow_unicode=True)
    elif len(documents) == 1:
        text = json.dumps(documents[0], sort_keys=True, indent=1, ensure_ascii=False)
    else:
        raise UserError(
            f"Volumes and node selectors need a YAML file: name {path.stem}.yaml instead of "
            f"{path.name}."
        )
    path.write_text(text, "utf-8")


def _checked(config: PipelineConfig) -> KubeflowConfig:
    if config.kubeflow is None:
        raise UserError(
            "To compile for Kubeflow the configuration needs a key kubeflow with the image of the "
            "containers: kubeflow: {image: registry/ds2-tf:0.1.0}."
        )
    if not _NAME.fullmatch(config.name):
        raise UserError(
            "The name of a pipeline on Kubeflow has lower-case letters, digits and hyphens, got "
            f"{config.name!r}."
        )
    return config.kubeflow


def _finished(spec: dict, kubeflow: KubeflowConfig) -> dict:
    """What TFX's compiler leaves out or gets wrong."""
    spec = copy.deepcopy(spec)
    tasks = spec["root"]["dag"]["tasks"]
    for name, task in tasks.items():
        for value in task.get("inputs", {}).get("parameters", {}).values():
            if producer := value.get("taskOutputParameter"):
                # TFX adds a suffix that no task has.
                producer["producerTask"] = producer["producerTask"].removesuffix("_task")
        if name in _LOOKING_STEPS:
            task["cachingOptions"] = {}
        if kubeflow.retries:
            task["retryPolicy"] = {
                "maxRetryCount": kubeflow.retries,
                "backoffDuration": "30s",
                "backoffFactor": 2.0,
            }
        executor = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        resources = kubeflow.resources_of(name)
        limits = {"cpu": float(resources.cpu), "memory": float(resources.memory_gb)}
        container = spec["deploymentSpec"]["executors"][executor]["container"]
        container["resources"] = {
            f"{what}{kind}": value
            for what, value in limits.items()
            for kind in ("Limit", "Request")
        }
        if resources.gpus:
            container["resources"]["accelerator"] = {
                "type": resources.gpu_type,
                "count": str(resources.gpus),
            }
    _add_parameters(spec, tasks)
    return spec


def _add_parameters(spec: dict, tasks: dict) -> None:
    """Lets a run give other values than those that were compiled."""
    for parameter, (step, name) in PARAMETERS.items():
        value = tasks[step]["inputs"]["parameters"][name]
        compiled = value.pop("runtimeValue")["constant"]
        value["componentInputParameter"] = parameter
        inputs = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
        inputs[parameter] = {
            "parameterType": "STRING",
            "defaultValue": compiled,
            "isOptional": True,
        }


def _platform(spec: dict, kubeflow: KubeflowConfig) -> dict | None:
    """The part of a KFP package that speaks to Kubernetes: volumes, and nodes with GPUs."""
    executors = {}
    for task in spec["root"]["dag"]["tasks"].values():
        label = spec["components"][task["componentRef"]["name"]]["executorLabel"]
        resources = spec["deploymentSpec"]["executors"][label]["container"]["resources"]
        settings = {}
        if kubeflow.volumes:
            settings["pvcMount"] = [
                {"constant": claim, "mountPath": path} for claim, path in kubeflow.volumes.items()
            ]
        if kubeflow.node_selector and "accelerator" in resources:
            settings["nodeSelector"] = {"labels": dict(kubeflow.node_selector)}
        if settings:
            executors[label] = settings
    if not executors:
        return None
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
