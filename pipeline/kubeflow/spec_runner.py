# SPDX-License-Identifier: Apache-2.0
"""TFX's compiler for Kubeflow Pipelines v2, and what it needs for the spec to run."""

from __future__ import annotations

import json
import os

from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner

from pipeline.configs import PipelineConfig
from pipeline.kubeflow.finishing import checked_kubeflow, finish_spec

_ENTRYPOINT = ["python", "-m", "pipeline.kubeflow.entrypoint"]


class SpecRunner(kubeflow_v2_dag_runner.KubeflowV2DagRunner):
    """Compiles a pipeline to a PipelineJob.

    A subclass, so that the `tfx` command finds its `run`, and says where to write.

    Args:
        config: with the key `kubeflow`.
        engine: "kubeflow" or "vertex".
    """

    def __init__(self, config: PipelineConfig, engine: str):
        self._kubeflow = checked_kubeflow(config)
        # Vertex does what our entrypoint makes up for.
        commands = {"default_commands": _ENTRYPOINT} if engine == "kubeflow" else {}
        super().__init__(
            kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(
                default_image=self._kubeflow.image, use_pipeline_spec_2_1=True, **commands
            )
        )

    def run(
        self,
        pipeline: tfx_pipeline.Pipeline,
        parameter_values: dict | None = None,
        write_out: bool = True,
    ) -> dict:
        """Compiles.

        Args:
            pipeline: made with `looking_steps`.
            parameter_values: of the job.
            write_out: also write the job as JSON where the `tfx` command wants it.

        Returns:
            The PipelineJob as JSON types.
        """
        job = super().run(pipeline, parameter_values, write_out=False)
        finish_spec(job["pipelineSpec"], self._kubeflow)
        if write_out:
            os.makedirs(self._output_dir, exist_ok=True)
            path = os.path.join(self._output_dir, self._output_filename)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(job, file, sort_keys=True)
        return job
