# SPDX-License-Identifier: Apache-2.0
"""What is served: configurations, reloading them, policies, labels, and the directories' poller."""

import os

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.config import model_server_config_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def test_status_lists_versions_descending(base_path, start, model_config):
    path = base_path(1, 2, 3)
    server = start(
        model_config(f'name: "tiny" base_path: "{path}" model_version_policy {{ all {{}} }}'),
        num_load_threads=3,
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    reported = server.connection.model.GetModelStatus(request).model_version_status
    assert [entry.version for entry in reported] == [3, 2, 1]


def test_specific_versions(base_path, start, model_config, helpers):
    config = model_config(
        f'name: "tiny" base_path: "{base_path(1, 2, 3)}" '
        "model_version_policy { specific { versions: 2 } }"
    )
    server = start(config)
    assert server.connection.version() == 2
    code, text = helpers.expect_error(server.connection.predict, helpers.scores_request(version=3))
    assert code == grpc.StatusCode.NOT_FOUND
    assert text == "Servable not found for request: Specific(tiny, 3)"


def test_broken_version_leaves_the_old_one_serving(base_path, start, model_config):
    path = base_path(1)
    server = start(path, max_num_load_retries=0)
    broken = os.path.join(path, "2")
    os.mkdir(broken)
    server.wait_for_states({2: "END", 1: "AVAILABLE"})
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    request.model_spec.version.value = 2
    (status,) = server.connection.model.GetModelStatus(request).model_version_status
    assert status.status.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert status.status.error_message.startswith(
        "Could not find SavedModel .pb or .pbtxt at supplied export directory path: " + broken
    )
    assert server.connection.version() == 1


def test_labels(base_path, start, model_config, helpers):
    model = (
        f'name: "tiny" base_path: "{base_path(1, 2)}" '
        "model_version_policy { latest { num_versions: 2 } } "
    )
    server = start(model_config(model))
    server.wait_for_states({2: "AVAILABLE", 1: "AVAILABLE"})
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "new" value: 2 }'
    assert server.reload(model_config(model + labels)).status.error_code == 0

    request = helpers.scores_request()
    request.model_spec.version_label = "stable"
    response = server.connection.predict(request)
    assert response.outputs["logits"].float_val[0] == 3.0
    # The reply names the version, never the label.
    assert response.model_spec.version.value == 1
    request.model_spec.version_label = "new"
    assert server.connection.predict(request).model_spec.version.value == 2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    request.model_spec.version_label = "stable"
    (status,) = server.connection.model.GetModelStatus(request).model_version_status
    assert status.version == 1

    assert server.reload(model_config(model)).status.error_code == 0
    request = helpers.scores_request()
    request.model_spec.version_label = "stable"
    assert helpers.expect_error(server.connection.predict, request) == (
        INVALID,
        "Unrecognized servable version label: stable",
    )


def test_label_of_an_unavailable_version_is_refused(base_path, start, model_config, helpers):
    model = f'name: "tiny" base_path: "{base_path(1)}" '
    server = start(model_config(model))
    config = model_config(model + 'version_labels { key: "new" value: 9 }')
    assert helpers.expect_error(server.reload, config) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 9 of model tiny, which is not currently available for "
        "inference",
    )
    assert server.connection.version() == 1


def test_reload_replaces_the_whole_configuration(base_path, start, model_config, helpers):
    first = f'name: "tiny" base_path: "{base_path(1)}"'
    second = f'name: "other" base_path: "{base_path(2, name="second")}"'
    server = start(model_config(first))
    server.reload(model_config(first, second))
    # The reply came after the new model was ready.
    assert server.connection.version("other") == 2
    assert server.connection.version("tiny") == 1
    server.reload(model_config(second))
    server.wait_for_states({1: "END"})
    assert helpers.expect_error(server.connection.version, "tiny") == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(tiny)",
    )
    assert server.connection.version("other") == 2


def test_reload_reports_a_new_model_that_does_not_load(base_path, start, model_config, helpers):
    first = f'name: "tiny" base_path: "{base_path(1)}"'
    empty = base_path(name="empty")
    os.mkdir(os.path.join(empty, "1"))
    server = start(model_config(first), max_num_load_retries=0)
    config = model_config(first, f'name: "other" base_path: "{empty}"')
    code, text = helpers.expect_error(server.reload, config)
    assert code == grpc.StatusCode.UNKNOWN
    assert text.startswith("1 model(s) did not become available: {{{name: other version: 1}")
    assert server.connection.version() == 1


@pytest.mark.parametrize(
    "models, text",
    [
        (
            ['name: "tiny" base_path: "/a"', 'name: "tiny" base_path: "/b"'],
            "Illegal to list model tiny multiple times in config list",
        ),
        (
            ['name: "tiny" base_path: "models/tiny"'],
            "Expected model tiny to have an absolute path or URI; got base_path()=models/tiny",
        ),
        (
            ['name: "tiny" base_path: "/a" model_platform: "onnx"'],
            "Illegal to change a model's platform. For model tiny platform was tensorflow and new "
            "platform requested is onnx",
        ),
        (
            ['name: "other" base_path: "/a" model_platform: "onnx"'],
            "Model other requests unsupported platform onnx",
        ),
        (
            ['name: "other" base_path: "/a" model_platform: ""'],
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform.",
        ),
    ],
    ids=["duplicate", "relative", "platform changed", "platform unknown", "platform missing"],
)
def test_configurations_that_are_refused(base_path, start, model_config, helpers, models, text):
    server = start(base_path(1))
    config = model_server_config_pb2.ModelServerConfig()
    for model in models:
        parsed = text_format.Parse(model, model_server_config_pb2.ModelConfig())
        if "model_platform" not in model:
            parsed.model_platform = "tensorflow"
        config.model_config_list.config.append(parsed)
    assert helpers.expect_error(server.reload, config) == (INVALID, text)
    assert server.connection.version() == 1


def test_reload_takes_a_model_list_only(base_path, start, model_config, helpers):
    server = start(base_path(1))
    code, text = helpers.expect_error(server.reload, model_server_config_pb2.ModelServerConfig())
    assert code == INVALID
    assert "Only ModelConfigList is currently supported" in text
