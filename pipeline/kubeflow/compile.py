# SPDX-License-Identifier: Apache-2.0
"""Compiling the pipeline to a spec of Kubeflow Pipelines v2."""

from __future__ import annotations

import json
import pathlib

import yaml

from ds2_tf.errors import UserError
from pipeline.configs import PipelineConfig
from pipeline.kubeflow.config import KubeflowConfig
from pipeline.kubeflow.finishing import checked_kubeflow

ENGINES = ("kubeflow", "vertex")


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
    if config.steps.language_model:
        texts = enumerate(config.language_model.texts)
        paths.update((f"language_model.texts[{index}]", path) for index, path in texts)
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
