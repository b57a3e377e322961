# SPDX-License-Identifier: Apache-2.0
"""The text protos that the server is given, in deploy/config and as the README shows them."""

from __future__ import annotations

import re

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.batching_options import read_batching_options
from serving.config_file import read_model_config
from serving.http_endpoints import read_metrics_path
from serving.text_protos import read_text_proto


def shown(readme: str, first_line: str) -> list[str]:
    """The blocks of the README that begin with a line."""
    blocks = re.findall(r"^```\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if block.startswith(first_line)]


def test_models_config_serves_ds2_and_the_version_before(config_directory):
    config = read_model_config(str(config_directory / "models.config"))
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == (
        "ds2",
        "/models/ds2",
        "tensorflow",
    )
    assert model.model_version_policy.latest.num_versions == 2


def test_batching_config_pads_recordings_and_is_consistent(config_directory):
    options = read_batching_options(str(config_directory / "batching.config"))
    assert options.pad_variable_length_inputs
    assert options.max_batch_size == 16
    assert options.num_batch_threads == 1


def test_monitoring_config_enables_the_scraped_page(config_directory, deployment):
    path = read_metrics_path(str(config_directory / "monitoring.config"))
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert path == annotations["prometheus.io/path"]


def test_a_wrong_field_would_be_found(tmp_path):
    wrong = tmp_path / "batching.config"
    wrong.write_text("max_batchsize { value: 16 }")
    with pytest.raises(Exception, match="max_batchsize"):
        read_text_proto(str(wrong), "BatchingParameters")


def test_model_configurations_of_the_readme_parse(readme):
    blocks = shown(readme, "model_version_policy")
    assert len(blocks) == 2
    for block in blocks:
        model = text_format.Parse(block, model_server_config_pb2.ModelConfig())
        versions = model.model_version_policy.specific.versions
        assert versions
        assert set(model.version_labels.values()) <= set(versions)


def test_batching_parameters_of_the_readme_parse(readme, tmp_path):
    (block,) = shown(readme, "max_batch_size")
    path = tmp_path / "batching.config"
    path.write_text(block)
    assert read_batching_options(str(path)).max_batch_size == 32
