# SPDX-License-Identifier: Apache-2.0
"""For `tfx pipeline create` and `tfx run create` with `--engine local`."""

import os

from tfx.orchestration.local.local_dag_runner import LocalDagRunner

from pipeline.dag import create_pipeline
from pipeline.tfx_cli.configuration import configuration

config = configuration()
os.makedirs(os.path.dirname(config.metadata_path), exist_ok=True)
LocalDagRunner().run(create_pipeline(config))
