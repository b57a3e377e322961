# SPDX-License-Identifier: Apache-2.0
"""Requests that ship with an export and are run before a version takes traffic.

The first run of a graph pays for kernel creation and memory; with warm-up no caller does.
"""

from __future__ import annotations

import logging
import os

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving import errors
from serving.predict import predict
from serving.servable import Servable

_LOG = logging.getLogger(__name__)

WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000


def has_warmup(export_path: str) -> bool:
    """Whether an export carries warm-up requests."""
    return tf.io.gfile.exists(os.path.join(export_path, WARMUP_FILE))


def warm_up(servable: Servable, export_path: str) -> int:
    """Runs the PredictionLog records in the export's `assets.extra/tf_serving_warmup_requests`.

    Returns:
        The number of requests run.

    Raises:
        ServingError: the file is not a TFRecord file of PredictionLogs, has over 1000 records,
            or a request fails; the version is then not fit to serve.
    """
    path = os.path.join(export_path, WARMUP_FILE)
    count = 0
    try:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            count += 1
            if count > MAX_RECORDS:
                raise errors.invalid_argument(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
                )
            _replay(servable, prediction_log_pb2.PredictionLog.FromString(record))
    except tf.errors.DataLossError as error:
        error = errors.from_tensorflow(error)
        error.message += ". Please verify your warmup data is in TFRecord format."
        raise error from None
    return count


def _replay(servable: Servable, log: prediction_log_pb2.PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(log.predict_log.request, servable)
    else:
        _LOG.warning(
            "Skipping a warm-up record of type %s for %s: this server answers Predict only",
            kind,
            servable.name,
        )
