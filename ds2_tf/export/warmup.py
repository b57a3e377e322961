# SPDX-License-Identifier: Apache-2.0
"""Requests that a server plays before it calls a version ready."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np

WARMUP_NAME = "tf_serving_warmup_requests"
_SECONDS = (1.0, 4.0)


def write_warmup_requests(directory: pathlib.Path, sample_rate: int) -> bool:
    """Writes warm-up requests for `serving_default` and `transcribe`.

    Without them the first request of a user pays for what TensorFlow does on a first call.

    Args:
        directory: the SavedModel's `assets.extra`.
        sample_rate: samples per second of the model's audio.

    Returns:
        Whether they were written: their format comes with `tensorflow-serving-api`, which a machine
        that only trains need not have.
    """
    if importlib.util.find_spec("tensorflow_serving") is None:
        return False
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    from ds2_tf.audio.wav import wav_bytes

    with tf.io.TFRecordWriter(str(directory / WARMUP_NAME)) as writer:
        for seconds in _SECONDS:
            samples = np.zeros((1, int(seconds * sample_rate)), np.float32)
            inputs = {
                "serving_default": {
                    "samples": samples,
                    "num_samples": np.array([samples.shape[1]], np.int32),
                },
                "transcribe": {"wav": np.array([wav_bytes(samples[0], sample_rate)], object)},
            }
            for signature, tensors in inputs.items():
                request = predict_pb2.PredictRequest()
                request.model_spec.signature_name = signature
                for name, value in tensors.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())
    return True
