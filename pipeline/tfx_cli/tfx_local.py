# SPDX-License-Identifier: Apache-2.0
"""For `tfx pipeline create` and `tfx run create` with `--engine local`."""

import sys

from pipeline.configs import make_directories
from pipeline.dag import LOOKING_STEPS, create_pipeline
from pipeline.local_runner import FAILED, LocalRunner, print_component
from pipeline.tfx_cli.configuration import configuration

config = configuration()
make_directories(config)
runner = LocalRunner(on_component=print_component, uncached=LOOKING_STEPS)
# For `tfx pipeline create` it runs nothing.
runner.run(create_pipeline(config))
if any(run.state == FAILED for run in runner.runs):
    sys.exit(1)
