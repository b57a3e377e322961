# SPDX-License-Identifier: Apache-2.0
"""Version directories: which are found and when, and the states that versions go through."""

import os
import shutil
import threading
import time

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

# Longer than it takes to load a TinyModel, and within the patience of the real server's poller.
POLL = {"file_system_poll_wait_seconds": 0.05}


def add(saved_models, path, version, name=None):
    os.symlink(saved_models[version], os.path.join(path, name or str(version)))


def test_state_numbers():
    names = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}
    for name, number in names.items():
        assert get_model_status_pb2.ModelVersionStatus.State.Value(name) == number


def test_latest_one_version_is_the_default(base_path, start):
    server = start(base_path(1, 2))
    assert server.states() == {2: "AVAILABLE"}


def test_several_latest_versions(base_path, start, model_config, saved_models):
    path = base_path(1, 2)
    server = start(
        model_config(
            f'name: "tiny" base_path: "{path}" '
            "model_version_policy { latest { num_versions: 2 } }"
        ),
        **POLL,
    )
    server.wait_for_states({2: "AVAILABLE", 1: "AVAILABLE"})
    add(saved_models, path, 3)
    server.wait_for_states({3: "AVAILABLE", 2: "AVAILABLE", 1: "END"})


def test_numeric_children_only_with_leading_zeros(base_path, start, saved_models):
    path = base_path(1)
    add(saved_models, path, 2, "0002")
    for name in ("3.partial", "temporary-3", "v3"):
        os.mkdir(os.path.join(path, name))
    server = start(path)
    assert server.connection.version() == 2
    assert server.states() == {2: "AVAILABLE"}


def test_polls_every_second_by_default(base_path, start, saved_models):
    path = base_path(1)
    server = start(path, file_system_poll_wait_seconds=1)
    add(saved_models, path, 2)
    begin = time.monotonic()
    server.wait_for_states({2: "AVAILABLE", 1: "END"})
    assert time.monotonic() - begin < 20


def test_zero_seconds_poll_once(base_path, start, saved_models, helpers):
    if os.environ.get("DS2_TF_SERVING_BINARY"):
        pytest.skip("the harness starts the real server with polling")
    path = base_path(1)
    server = start(path, file_system_poll_wait_seconds=0)
    add(saved_models, path, 2)
    threading.Event().wait(0.5)
    assert server.states() == {1: "AVAILABLE"}


def test_missing_base_path_unloads_nothing_an_empty_one_does(base_path, start, helpers):
    path = base_path(1)
    server = start(path, **POLL)
    os.rename(path, path + "-gone")
    threading.Event().wait(0.5)
    assert server.connection.version() == 1
    os.mkdir(path)
    server.wait_for_states({1: "END"})
    assert helpers.expect_error(server.connection.version) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(tiny)",
    )


def test_end_is_kept_after_unloading_and_version_may_come_back(base_path, start, saved_models):
    path = base_path(1, 2)
    server = start(path, **POLL)
    os.unlink(os.path.join(path, "2"))
    server.wait_for_states({2: "END", 1: "AVAILABLE"})
    add(saved_models, path, 2)
    server.wait_for_states({2: "AVAILABLE", 1: "END"})


def test_old_version_serves_while_the_new_one_loads(base_path, start, saved_models, helpers):
    path = base_path(1)
    server = start(path, **POLL)
    # Its warm-up takes a while.
    slow = os.path.join(path, "new")
    shutil.copytree(saved_models[2], slow)
    os.mkdir(os.path.join(slow, "assets.extra"))
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(helpers.spin_request(30_000))
    file = os.path.join(slow, "assets.extra", "tf_serving_warmup_requests")
    with tf.io.TFRecordWriter(file) as writer:
        writer.write(log.SerializeToString())
    os.rename(slow, os.path.join(path, "2"))
    server.wait_for_states({2: "LOADING", 1: "AVAILABLE"})
    assert server.connection.version() == 1
    server.wait_for_states({2: "AVAILABLE", 1: "END"})
    assert server.connection.version() == 2


def test_old_version_unloads_after_its_last_request(base_path, start, saved_models, helpers):
    path = base_path(1)
    server = start(path, **POLL)
    endless = server.connection.prediction.Predict.future(
        helpers.spin_request(helpers.ENDLESS), timeout=3
    )
    server.connection.version()  # calls of one connection begin in order
    add(saved_models, path, 2)
    server.wait_for_states({2: "AVAILABLE", 1: "UNLOADING"})
    assert server.connection.version() == 2
    code, _ = helpers.expect_error(server.connection.predict, helpers.scores_request(version=1))
    assert code == grpc.StatusCode.NOT_FOUND
    assert endless.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    server.wait_for_states({2: "AVAILABLE", 1: "END"})


def test_failed_load_keeps_its_reason(base_path, start, helpers):
    path = base_path(1)
    server = start(path, max_num_load_retries=1, load_retry_interval_micros=1000, **POLL)
    os.mkdir(os.path.join(path, "2"))
    server.wait_for_states({2: "END", 1: "AVAILABLE"})
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    request.model_spec.version.value = 2
    (entry,) = server.connection.model.GetModelStatus(request).model_version_status
    assert entry.status.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert server.connection.version() == 1
    # What is not loaded is not found, though its directory is there.
    code, text = helpers.expect_error(server.connection.predict, helpers.scores_request(version=2))
    assert text == "Servable not found for request: Specific(tiny, 2)"


def test_five_retries_a_minute_apart_are_the_default():
    from serving.server import parse_flags

    args = parse_flags([])
    assert (args.max_num_load_retries, args.load_retry_interval_micros) == (5, 60_000_000)
    assert args.file_system_poll_wait_seconds == 1
