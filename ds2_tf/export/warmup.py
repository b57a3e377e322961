# SPDX-License-Identifier: Apache-2.0
"""Requests that a server plays before it calls a version ready."""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Iterator

import numpy as np

from ds2_tf.audio.wav import wav_bytes

WARMUP_NAME = "tf_serving_warmup_requests"
_SECONDS = (1.0, 4.0)
_CHUNK_SECONDS = 0.1


def write_warmup_requests(
    directory: pathlib.Path, sample_rate: int, state_size: int | None = None
) -> bool:
    """Writes warm-up requests for the signatures that clients call.

    Without them the first request of a user pays for what TensorFlow does on a first call.

    Args:
        directory: the SavedModel's `assets.extra`.
        sample_rate: samples per second of the model's audio.
        state_size: of the state of a stream. Defaults to None: the model hears no streams.

    Returns:
        Whether they were written: their format comes with `tensorflow-serving-api`, which a machine
        that only trains need not have.
    """
    if importlib.util.find_spec("tensorflow_serving") is None:
        return False
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(directory / WARMUP_NAME)) as writer:
        for signature, tensors in _requests(sample_rate, state_size):
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            for name, value in tensors.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return True


def _requests(sample_rate: int, state_size: int | None) -> Iterator[tuple[str, dict]]:
    """Signatures and their inputs."""
    for seconds in _SECONDS:
        samples = np.zeros((1, int(seconds * sample_rate)), np.float32)
        num_samples = np.array([samples.shape[1]], np.int32)
        yield "serving_default", {"samples": samples, "num_samples": num_samples}
        yield "transcribe", {"wav": np.array([wav_bytes(samples[0], sample_rate)], object)}
    query = np.zeros(1, np.int32)
    yield "model_info", {"query": query}
    if state_size is not None:
        state = np.zeros((1, state_size), np.float32)
        samples = np.zeros((1, int(_CHUNK_SECONDS * sample_rate)), np.float32)
        num_samples = np.array([samples.shape[1]], np.int32)
        yield (
            "stream_step",
            {"samples": samples, "num_samples": num_samples, "state": state},
        )
        yield "stream_finish", {"state": state}
        yield "stream_info", {"query": query}
