# SPDX-License-Identifier: Apache-2.0
"""What Kubeflow is to give the pipeline's containers."""

from __future__ import annotations

import dataclasses

from ds2_tf.errors import UserError
from ds2_tf.value_checks import require, require_numbers


@dataclasses.dataclass(frozen=True)
class ResourcesConfig:
    """What one step may use: request and limit are the same.

    Attributes:
        cpu: processors. Defaults to 1.
        memory_gb: gigabytes (10^9 bytes) of memory. Defaults to 4.
        gpus: accelerators. Defaults to 0.
        gpu_type: the resource's name in the cluster. Defaults to "nvidia.com/gpu"; Vertex has its
            own, such as "NVIDIA_TESLA_T4".
    """

    cpu: float = 1.0
    memory_gb: float = 4.0
    gpus: int = 0
    gpu_type: str = "nvidia.com/gpu"

    def __post_init__(self):
        if self.cpu <= 0 or self.memory_gb <= 0 or self.gpus < 0:
            raise UserError(
                "A step needs cpu and memory_gb over 0 and gpus of at least 0, got "
                f"cpu: {self.cpu}, memory_gb: {self.memory_gb}, gpus: {self.gpus}."
            )


# Steps that are not named in the configuration and need more than the default.
_RESOURCES = {
    "AudioExampleGen": ResourcesConfig(cpu=4, memory_gb=8),
    "Trainer": ResourcesConfig(cpu=4, memory_gb=16, gpus=1),
    "Evaluator": ResourcesConfig(cpu=2, memory_gb=8),
}


@dataclasses.dataclass(frozen=True)
class KubeflowConfig:
    """How the pipeline runs on Kubeflow Pipelines v2.

    Attributes:
        image: the image of all steps, built from pipeline/Dockerfile. Name a tag that never
            changes, or a digest: the cache tells code apart by this name.
        volumes: persistent volume claims and where all steps mount them. The manifests, the
            recordings, `root` and `serving` lie there; the paths in the configuration are those
            in the containers.
        pipeline_root: object store of the artifacts, such as "minio://bucket/path" or
            "gs://bucket/path". Defaults to the cluster's own.
        resources: by step; those not named get 1 processor and 4 GB, AudioExampleGen 4 and 8 GB,
            Evaluator 2 and 8 GB, Trainer 4 and 16 GB and a GPU.
        retries: how often a step that failed is tried again; Trainer and AudioExampleGen go on
            where they were. Defaults to 0.
        node_selector: labels that the nodes of the steps with GPUs must have. Defaults to none.
    """

    image: str
    volumes: dict[str, str] = dataclasses.field(default_factory=dict)
    pipeline_root: str | None = None
    resources: dict[str, ResourcesConfig] = dataclasses.field(default_factory=dict)
    retries: int = 0
    node_selector: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        require(bool(self.image.strip()), "image", "the name of an image", self.image)
        require_numbers(self, "retries", least=0)

    def resources_of(self, step: str) -> ResourcesConfig:
        """What a step gets."""
        return self.resources.get(step) or _RESOURCES.get(step) or ResourcesConfig()
