# SPDX-License-Identifier: Apache-2.0
"""The pipeline on Kubeflow Pipelines v2: compiling it, its containers, and a dry run."""
