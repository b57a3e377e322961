# SPDX-License-Identifier: Apache-2.0
"""What the embedded server does with a configuration before it serves."""

import os

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import ServingError


def test_start_fails_if_no_version_loads(base_path, start_server):
    path = base_path()
    os.mkdir(os.path.join(path, "5"))
    with pytest.raises(ServingError) as caught:
        start_server(path, max_num_load_retries=0)
    assert caught.value.code == grpc.StatusCode.UNKNOWN
    assert caught.value.message.startswith(
        "1 servable(s) did not become available: {{{name: tiny version: 5} due to error: "
        "NOT_FOUND: Could not find SavedModel"
    )


def test_new_label_at_start_needs_a_flag(base_path, start_server, helpers):
    config = text_format.Parse(
        f'model_config_list {{ config {{ name: "tiny" base_path: "{base_path(1)}" '
        'model_platform: "tensorflow" version_labels { key: "stable" value: 1 } } }',
        model_server_config_pb2.ModelServerConfig(),
    )
    with pytest.raises(ServingError, match="Request to assign label to version 1"):
        start_server(config)
    _, connection = start_server(config, allow_version_labels_for_unavailable_models=True)
    request = helpers.scores_request()
    request.model_spec.version_label = "stable"
    assert connection.predict(request).model_spec.version.value == 1
