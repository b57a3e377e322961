# SPDX-License-Identifier: Apache-2.0
"""The configuration that the environment names: `tfx` passes no arguments on."""

from __future__ import annotations

import os

from ds2_tf.errors import UserError
from pipeline.configs import PipelineConfig, load_pipeline_config

VARIABLE = "DS2_PIPELINE"


def configuration() -> PipelineConfig:
    """Reads the file that the variable DS2_PIPELINE names.

    Raises:
        UserError: it names none.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        raise UserError(f"Set the variable {VARIABLE} to the pipeline's configuration.")
    return load_pipeline_config(path)
