# SPDX-License-Identifier: Apache-2.0
"""For `tfx pipeline compile` and `tfx pipeline create` with `--engine vertex`."""

from pipeline.dag import create_pipeline
from pipeline.kubeflow.spec_runner import SpecRunner
from pipeline.tfx_cli.configuration import configuration

config = configuration()
SpecRunner(config, "vertex").run(create_pipeline(config, looking_steps=True))
