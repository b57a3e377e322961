# SPDX-License-Identifier: Apache-2.0
"""Answering requests for every transport: find the servable, answer, count."""

from __future__ import annotations

import time

from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving import errors
from serving.core import ServerCore
from serving.errors import ServingError
from serving.inference import Inference
from serving.metrics import ServerMetrics
from serving.predict import predict


class Predictor:
    """Answers Predict requests and requests of examples.

    Args:
        core: finds the servables.
        metrics: counts requests and their latency.
        inference: answers requests of examples.
    """

    def __init__(self, core: ServerCore, metrics: ServerMetrics, inference: Inference):
        self._core = core
        self._metrics = metrics
        self._inference = inference

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
        with self._counted(request.model_spec, "Predict", entrypoint):
            _check_model_spec(request)
            with self._core.servable(request.model_spec) as servable:
                return predict(request, servable, timeout=timeout, as_content=as_content)

    def classify(
        self, request: classification_pb2.ClassificationRequest, *, timeout: float | None = None
    ) -> classification_pb2.ClassificationResponse:
        """See `serving.inference.Inference.classify`."""
        with self._counted(request.model_spec, "Classify", "GRPC"):
            _check_model_spec(request)
            with self._core.servable(request.model_spec) as servable:
                return self._inference.classify(request, servable, timeout)

    def regress(
        self, request: regression_pb2.RegressionRequest, *, timeout: float | None = None
    ) -> regression_pb2.RegressionResponse:
        """See `serving.inference.Inference.regress`."""
        with self._counted(request.model_spec, "Regress", "GRPC"):
            _check_model_spec(request)
            with self._core.servable(request.model_spec) as servable:
                return self._inference.regress(request, servable, timeout)

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, *, timeout: float | None = None
    ) -> inference_pb2.MultiInferenceResponse:
        """See `serving.inference.Inference.multi_inference`."""
        # The first task chooses the version. Not counted, as in TensorFlow Serving.
        model_spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        with self._core.servable(model_spec) as servable:
            return self._inference.multi_inference(request, servable, timeout)

    def _counted(self, model_spec: model_pb2.ModelSpec, api: str, entrypoint: str) -> _Counted:
        # Names that are not served count under none: each label lives as long as the server, and
        # callers must not be able to fill its memory.
        label = model_spec.name if self._core.is_configured(model_spec.name) else ""
        return _Counted(self._metrics, label, api, entrypoint)


class _Counted:
    """A block that answers a request; counts it, and how long it took if it was answered."""

    __slots__ = ("_api", "_entrypoint", "_label", "_metrics", "_start")

    def __init__(self, metrics: ServerMetrics, label: str, api: str, entrypoint: str):
        self._metrics = metrics
        self._label = label
        self._api = api
        self._entrypoint = entrypoint

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            status = error.code.name if isinstance(error, ServingError) else "INTERNAL"
            self._metrics.request_count.increment(self._label, status)
            return
        self._metrics.request_count.increment(self._label, "OK")
        microseconds = (time.monotonic() - self._start) * 1e6
        self._metrics.request_latency.record(microseconds, self._label, self._api, self._entrypoint)


def _check_model_spec(
    request: predict_pb2.PredictRequest
    | classification_pb2.ClassificationRequest
    | regression_pb2.RegressionRequest,
) -> None:
    if not request.HasField("model_spec"):
        raise errors.invalid_argument("Missing ModelSpec")
