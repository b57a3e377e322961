# SPDX-License-Identifier: Apache-2.0
"""A pipeline over a tiny corpus, as it would be run on Kubeflow."""

from __future__ import annotations

import pathlib

import pytest

from pipeline.configs import PipelineConfig, load_pipeline_config

CONFIGURATION = """
name: tiny
root: run
serving: serving
recipe: {recipe}
manifest: {manifest}
shards: 2
evaluation: {{max_wer: .inf, max_wer_increase: .inf}}
kubeflow:
  image: registry/ds2-tf:0.1.0
  volumes: {{speech: /speech}}
  pipeline_root: minio://speech/runs
  retries: 2
  node_selector: {{pool: gpu}}
  resources:
    Trainer: {{cpu: 8, memory_gb: 30, gpus: 2}}
"""


@pytest.fixture
def configuration(make_corpus, recipe_path, tmp_path) -> pathlib.Path:
    """A configuration with the key `kubeflow`."""
    path = tmp_path / "pipeline.yaml"
    path.write_text(CONFIGURATION.format(recipe=recipe_path, manifest=make_corpus(12)))
    return path


@pytest.fixture
def config(configuration) -> PipelineConfig:
    """The same, read."""
    return load_pipeline_config(configuration)
