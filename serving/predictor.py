# SPDX-License-Identifier: Apache-2.0
"""Predict for every transport: find the servable, answer, count."""

from __future__ import annotations

import time

from tensorflow_serving.apis import predict_pb2

from serving import errors
from serving.core import ServerCore
from serving.errors import ServingError
from serving.metrics import ServerMetrics
from serving.predict import predict


class Predictor:
    """Answers Predict requests.

    Args:
        core: finds the servables.
        metrics: counts requests and their latency.
    """

    def __init__(self, core: ServerCore, metrics: ServerMetrics):
        self._core = core
        self._metrics = metrics

    def predict(
        self,
        request: predict_pb2.PredictRequest,
        *,
        entrypoint: str,
        timeout: float | None = None,
        as_content: bool = False,
    ) -> predict_pb2.PredictResponse:
        """Answers one request.

        Args:
            request: as it came.
            entrypoint: "GRPC" or "REST", for the metrics.
            timeout: seconds that the run may take; None is no limit.
            as_content: write outputs as `tensor_content` instead of field lists.

        Raises:
            ServingError: with the code and text for the caller.
        """
        start = time.monotonic()
        name = request.model_spec.name
        status = "INTERNAL"
        try:
            if not request.HasField("model_spec"):
                raise errors.invalid_argument("Missing ModelSpec")
            with self._core.servable(request.model_spec) as servable:
                response = predict(request, servable, timeout=timeout, as_content=as_content)
            status = "OK"
        except ServingError as error:
            status = error.code.name
            raise
        finally:
            self._metrics.request_count.increment(name, status)
        microseconds = (time.monotonic() - start) * 1e6
        self._metrics.request_latency.record(microseconds, name, "Predict", entrypoint)
        return response
