# SPDX-License-Identifier: Apache-2.0
"""Warm-up requests that an export carries."""

import os
import shutil

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.errors import ServingError
from serving.loader import SavedModelLoader
from serving.warmup import WARMUP_FILE, has_warmup, warm_up


@pytest.fixture
def export(tmp_path, saved_models) -> str:
    """A copy of version 1 that a test may add files to."""
    path = str(tmp_path / "1")
    shutil.copytree(saved_models[1], path)
    os.mkdir(os.path.join(path, "assets.extra"))
    return path


def write_records(export, records):
    with tf.io.TFRecordWriter(os.path.join(export, WARMUP_FILE)) as writer:
        for record in records:
            writer.write(record)


@pytest.fixture
def good_record(helpers):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(helpers.scores_request())
    return log.SerializeToString()


@pytest.fixture
def bad_record(helpers):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(helpers.scores_request())
    log.predict_log.request.model_spec.signature_name = "gone"
    return log.SerializeToString()


def test_each_request_is_run(export, good_record):
    servable = SavedModelLoader(enable_warmup=False)("tiny", 1, export)
    runs = []

    class Recorder:
        def run(self, inputs, outputs, timeout=None):
            runs.append([name for name, _ in inputs])
            return servable.session.run(inputs, outputs, timeout)

    recorded = type(servable)(servable.name, servable.version, servable.signatures, Recorder())
    assert not has_warmup(export)
    write_records(export, [good_record] * 3)
    assert warm_up(recorded, export) == 3
    assert runs == [["serving_default_features:0", "serving_default_lengths:0"]] * 3
    servable.session.close()


def test_request_that_fails_fails_the_load(export, bad_record):
    write_records(export, [bad_record])
    with pytest.raises(ServingError, match='Serving signature key "gone" not found.'):
        SavedModelLoader()("tiny", 1, export)


def test_warmup_can_be_switched_off(export, bad_record):
    write_records(export, [bad_record])
    SavedModelLoader(enable_warmup=False)("tiny", 1, export).session.close()


def test_file_that_is_no_tfrecord_file(export):
    with open(os.path.join(export, WARMUP_FILE), "wb") as file:
        file.write(b"x" * 100)
    with pytest.raises(ServingError, match="Please verify your warmup data is in TFRecord format"):
        SavedModelLoader()("tiny", 1, export)


def test_too_many_records(export, good_record):
    write_records(export, [good_record] * 1001)
    expected = r"Number of warmup records exceeds the maximum \(1000\) at "
    with pytest.raises(ServingError, match=expected):
        SavedModelLoader()("tiny", 1, export)
