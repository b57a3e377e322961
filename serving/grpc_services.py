# SPDX-License-Identifier: Apache-2.0
"""PredictionService and ModelService over gRPC."""

from __future__ import annotations

import logging

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving import errors
from serving.core import ServerCore
from serving.errors import ServingError
from serving.metadata import model_metadata
from serving.model_status import model_status, status_proto
from serving.predictor import Predictor

_LOG = logging.getLogger(__name__)

# A call without a deadline reports an absurdly large one.
_LONGEST_DEADLINE_SECONDS = 10.0 * 365 * 24 * 3600


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """All methods of the service.

    Args:
        core: finds the servables.
        predictor: answers Predict and the requests of examples.
        as_content: write replies as `tensor_content` instead of field lists.
    """

    def __init__(self, core: ServerCore, predictor: Predictor, *, as_content: bool = False):
        self._core = core
        self._predictor = predictor
        self._as_content = as_content

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        try:
            return self._predictor.predict(
                request,
                entrypoint="GRPC",
                timeout=_timeout(context),
                as_content=self._as_content,
            )
        except ServingError as error:
            context.abort(error.code, error.wire_message)

    def Classify(
        self, request: classification_pb2.ClassificationRequest, context: grpc.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        try:
            return self._predictor.classify(request, timeout=_timeout(context))
        except ServingError as error:
            context.abort(error.code, error.wire_message)

    def Regress(
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> regression_pb2.RegressionResponse:
        try:
            return self._predictor.regress(request, timeout=_timeout(context))
        except ServingError as error:
            context.abort(error.code, error.wire_message)

    def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        try:
            return self._predictor.multi_inference(request, timeout=_timeout(context))
        except ServingError as error:
            context.abort(error.code, error.wire_message)

    def GetModelMetadata(
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        try:
            return model_metadata(self._core, request)
        except ServingError as error:
            context.abort(error.code, error.wire_message)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """State of the models, and replacing the configuration.

    Args:
        core: the server to report on and to configure.
    """

    def __init__(self, core: ServerCore):
        self._core = core

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        try:
            return model_status(self._core, request)
        except ServingError as error:
            context.abort(error.code, error.wire_message)

    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise errors.invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                    "ModelConfigList is currently supported"
                )
            self._core.reload_config(request.config)
            return model_management_pb2.ReloadConfigResponse(status=status_proto(None))
        except ServingError as error:
            _LOG.error("ReloadConfig failed: %s", error)
            context.abort(error.code, error.wire_message)


def _timeout(context: grpc.ServicerContext) -> float | None:
    remaining = context.time_remaining()
    return remaining if remaining and remaining < _LONGEST_DEADLINE_SECONDS else None
