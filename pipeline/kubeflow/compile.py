# SPDX-License-Identifier: Apache-2.0
"""Compiling the pipeline to a spec of Kubeflow Pipelines v2."""

from __future__ import annotations

import json
import pathlib
import re

import yaml

from ds2_tf.errors import UserError
from pipeline.configs import PipelineConfig
from pipeline.kubeflow.config import KubeflowConfig

ENGINES = ("kubeflow", "vertex")
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
        As JSON types, for Kubeflow the documents of a KFP package: the pipeline spec and, where
        there is something to say of Kubernetes, the platform spec. For Vertex one, a PipelineJob.

    Raises:
        UserError: the configuration has no key `kubeflow`, or names unknown steps.
    """
    from pipeline.dag import create_pipeline
    from pipeline.kubeflow.spec_runner import SpecRunner

    pipeline = create_pipeline(config, looking_steps=True)
    job = SpecRunner(config, engine).run(pipeline, write_out=False)
    if engine == "vertex":
        return [job]
    spec, kubeflow = job["pipelineSpec"], checked_kubeflow(config)
    # Vertex asks containers before it looks into its cache; Kubeflow does not know of that.
    for executor in spec["deploymentSpec"]["executors"].values():
        executor["container"].pop("lifecycle", None)
    if kubeflow.pipeline_root:
        spec["defaultPipelineRoot"] = kubeflow.pipeline_root
    platform = _platform(spec, kubeflow)
    return [spec, platform] if platform else [spec]


def paths_outside_volumes(config: PipelineConfig) -> dict[str, str]:
    """The paths of a configuration that no volume holds, by key.

    Pods share nothing else: what lies there would be missing or, once written, lost.
    """
    paths = {"root": config.root, "serving": config.serving_directory}
    paths.update(
        (f"manifests.{source.split}" if source.split else "manifest", source.path)
        for source in config.sources
    )
    mounts = [pathlib.PurePath(path) for path in checked_kubeflow(config).volumes.values()]
    return {
        key: path
        for key, path in paths.items()
        if not any(pathlib.PurePath(path).is_relative_to(mount) for mount in mounts)
    }


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


def checked_kubeflow(config: PipelineConfig) -> KubeflowConfig:
    """The part of a configuration that speaks of Kubeflow.

    Raises:
        UserError: there is none, or Kubeflow does not take the pipeline's name.
    """
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


def finish_spec(spec: dict, kubeflow: KubeflowConfig) -> None:
    """Adds what TFX's compiler leaves out, and mends what it gets wrong.

    Args:
        spec: a pipeline spec as JSON types; changed.
        kubeflow: resources and retries.

    Raises:
        UserError: resources are stated for unknown steps.
    """
    tasks = spec["root"]["dag"]["tasks"]
    if unknown := sorted(set(kubeflow.resources) - set(tasks)):
        raise UserError(
            f"kubeflow.resources names {', '.join(unknown)}; the steps of this pipeline are "
            f"{', '.join(sorted(tasks))}."
        )
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
