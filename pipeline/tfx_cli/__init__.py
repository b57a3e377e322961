# SPDX-License-Identifier: Apache-2.0
"""Files that the `tfx` command runs.

export DS2_PIPELINE=pipeline.yaml
tfx pipeline create --engine local --pipeline_path pipeline/tfx_cli/tfx_local.py
tfx run create --engine local --pipeline_name NAME

tfx pipeline compile --engine vertex --pipeline_path pipeline/tfx_cli/tfx_vertex.py
"""
