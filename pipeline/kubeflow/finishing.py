# SPDX-License-Identifier: Apache-2.0
"""What a spec of TFX's compiler needs besides: resources, retries, parameters."""

from __future__ import annotations

import re

from ds2_tf.errors import UserError
from pipeline.configs import PipelineConfig
from pipeline.dag import LOOKING_STEPS
from pipeline.kubeflow.config import KubeflowConfig

# What a run may be given other values for: parameter -> (step, its parameter).
PARAMETERS = {"recipe": ("Trainer", "recipe")}
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


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
        if name in LOOKING_STEPS:
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
