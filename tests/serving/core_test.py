# SPDX-License-Identifier: Apache-2.0
"""Configuration, labels and version swaps, over the wire."""

import os
import threading

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import ServingError

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def model_config(*models: str) -> model_server_config_pb2.ModelServerConfig:
    """A configuration of models given as proto text, all on the tensorflow platform."""
    entries = "".join(f'config {{ model_platform: "tensorflow" {model} }}' for model in models)
    text = f"model_config_list {{ {entries} }}"
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def reload(connection, config):
    request = model_management_pb2.ReloadConfigRequest(config=config)
    return connection.model.HandleReloadConfigRequest(request, timeout=20)


def states(connection, name="tiny") -> dict[int, str]:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    response = connection.model.GetModelStatus(request)
    name_of = get_model_status_pb2.ModelVersionStatus.State.Name
    return {entry.version: name_of(entry.state) for entry in response.model_version_status}


def wait_for_states(server, connection, expected, name="tiny"):
    """Waits until the versions have these states, and sees them over the wire."""
    monitor = server.core.monitor

    def reached():
        return {v: s.state.name for v, s in monitor.version_states(name).items()} == expected

    assert monitor.wait_for(reached, timeout=10), monitor.version_states(name)
    assert states(connection, name) == expected


def test_swap_under_load_loses_no_request(base_path, saved_models, start_server, helpers):
    path = base_path(1)
    server, connection = start_server(path)
    seen, problems, done = set(), [], threading.Event()

    def ask():
        own = helpers.Connection(server.address)
        while not done.is_set():
            try:
                response = own.predict(helpers.scores_request())
            except grpc.RpcError as error:
                problems.append(error)
                return
            version = response.model_spec.version.value
            seen.add(version)
            if response.outputs["logits"].float_val[0] != 3.0 * version:
                problems.append(f"version {version} with another's weights")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for version in (2, 3):
            os.symlink(saved_models[version], os.path.join(path, str(version)))
            wait_for_states(
                server,
                connection,
                {version: "AVAILABLE", **{old: "END" for old in range(version - 1, 0, -1)}},
            )
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not problems
    assert 3 in seen and seen <= {1, 2, 3}


def test_status_lists_versions_descending(base_path, start_server):
    path = base_path(1, 2, 3)
    _, connection = start_server(
        model_config(f'name: "tiny" base_path: "{path}" model_version_policy {{ all {{}} }}'),
        num_load_threads=3,
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    reported = connection.model.GetModelStatus(request).model_version_status
    assert [entry.version for entry in reported] == [3, 2, 1]


def test_specific_versions(base_path, start_server, helpers):
    config = model_config(
        f'name: "tiny" base_path: "{base_path(1, 2, 3)}" '
        "model_version_policy { specific { versions: 2 } }"
    )
    _, connection = start_server(config)
    assert connection.version() == 2
    code, text = helpers.expect_error(connection.predict, helpers.scores_request(version=3))
    assert code == grpc.StatusCode.NOT_FOUND
    assert text == "Servable not found for request: Specific(tiny, 3)"


def test_broken_version_leaves_the_old_one_serving(base_path, start_server):
    path = base_path(1)
    server, connection = start_server(path, max_num_load_retries=0)
    broken = os.path.join(path, "2")
    os.mkdir(broken)
    wait_for_states(server, connection, {2: "END", 1: "AVAILABLE"})
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    request.model_spec.version.value = 2
    (status,) = connection.model.GetModelStatus(request).model_version_status
    assert status.status.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert status.status.error_message.startswith(
        "Could not find SavedModel .pb or .pbtxt at supplied export directory path: " + broken
    )
    assert connection.version() == 1


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


def test_labels(base_path, start_server, helpers):
    model = (
        f'name: "tiny" base_path: "{base_path(1, 2)}" '
        "model_version_policy { latest { num_versions: 2 } } "
    )
    server, connection = start_server(model_config(model))
    wait_for_states(server, connection, {2: "AVAILABLE", 1: "AVAILABLE"})
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "new" value: 2 }'
    assert reload(connection, model_config(model + labels)).status.error_code == 0

    request = helpers.scores_request()
    request.model_spec.version_label = "stable"
    response = connection.predict(request)
    assert response.outputs["logits"].float_val[0] == 3.0
    # The reply names the version, never the label.
    assert response.model_spec.version.value == 1
    request.model_spec.version_label = "new"
    assert connection.predict(request).model_spec.version.value == 2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    request.model_spec.version_label = "stable"
    (status,) = connection.model.GetModelStatus(request).model_version_status
    assert status.version == 1

    assert reload(connection, model_config(model)).status.error_code == 0
    request = helpers.scores_request()
    request.model_spec.version_label = "stable"
    assert helpers.expect_error(connection.predict, request) == (
        INVALID,
        "Unrecognized servable version label: stable",
    )


def test_label_of_an_unavailable_version_is_refused(base_path, start_server, helpers):
    model = f'name: "tiny" base_path: "{base_path(1)}" '
    _, connection = start_server(model_config(model))
    config = model_config(model + 'version_labels { key: "new" value: 9 }')
    assert helpers.expect_error(reload, connection, config) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "Request to assign label to version 9 of model tiny, which is not currently available for "
        "inference",
    )
    assert connection.version() == 1


def test_new_label_at_start_needs_a_flag(base_path, start_server, helpers):
    config = model_config(
        f'name: "tiny" base_path: "{base_path(1)}" version_labels {{ key: "stable" value: 1 }}'
    )
    with pytest.raises(ServingError, match="Request to assign label to version 1"):
        start_server(config)
    _, connection = start_server(config, allow_version_labels_for_unavailable_models=True)
    request = helpers.scores_request()
    request.model_spec.version_label = "stable"
    assert connection.predict(request).model_spec.version.value == 1


def test_reload_replaces_the_whole_configuration(base_path, start_server, helpers):
    first = f'name: "tiny" base_path: "{base_path(1)}"'
    second = f'name: "other" base_path: "{base_path(2, name="second")}"'
    server, connection = start_server(model_config(first))
    reload(connection, model_config(first, second))
    # The reply came after the new model was ready.
    assert connection.version("other") == 2
    assert connection.version("tiny") == 1
    reload(connection, model_config(second))
    wait_for_states(server, connection, {1: "END"})
    assert helpers.expect_error(connection.version, "tiny") == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(tiny)",
    )
    assert connection.version("other") == 2


def test_reload_reports_a_new_model_that_does_not_load(base_path, start_server, helpers):
    first = f'name: "tiny" base_path: "{base_path(1)}"'
    empty = base_path(name="empty")
    os.mkdir(os.path.join(empty, "1"))
    _, connection = start_server(model_config(first), max_num_load_retries=0)
    config = model_config(first, f'name: "other" base_path: "{empty}"')
    code, text = helpers.expect_error(reload, connection, config)
    assert code == grpc.StatusCode.UNKNOWN
    assert text.startswith("1 model(s) did not become available: {{{name: other version: 1}")
    assert connection.version() == 1


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
def test_configurations_that_are_refused(base_path, start_server, helpers, models, text):
    _, connection = start_server(base_path(1))
    config = model_server_config_pb2.ModelServerConfig()
    for model in models:
        parsed = text_format.Parse(model, model_server_config_pb2.ModelConfig())
        if "model_platform" not in model:
            parsed.model_platform = "tensorflow"
        config.model_config_list.config.append(parsed)
    assert helpers.expect_error(reload, connection, config) == (INVALID, text)
    assert connection.version() == 1


def test_reload_takes_a_model_list_only(base_path, start_server, helpers):
    _, connection = start_server(base_path(1))
    code, text = helpers.expect_error(
        reload, connection, model_server_config_pb2.ModelServerConfig()
    )
    assert code == INVALID
    assert "Only ModelConfigList is currently supported" in text
