# SPDX-License-Identifier: Apache-2.0
"""The REST calls: from method, path and body to status, type and body, without a socket."""

from __future__ import annotations

import json
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from serving import errors
from serving.core import ServerCore
from serving.errors import ServingError
from serving.json_tensors import parse_document, request_tensors, response_json
from serving.metadata import SIGNATURE_DEF, model_metadata
from serving.model_status import model_status
from serving.predict import DEFAULT_SIGNATURE
from serving.predictor import Predictor
from serving.tensors import tensor_from_proto, tensor_to_proto

_WHICH = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICTION_PATH = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_MODEL_PATH = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?:/(?P<metadata>metadata))?", re.IGNORECASE
)
_MAX_INT64 = 2**63 - 1

_HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}


@dataclass(frozen=True)
class Reply:
    """What goes back to an HTTP client."""

    status: int
    content_type: str
    body: bytes


class RestApi:
    """Predict, model status and metadata over HTTP.

    Args:
        core: the models.
        predictor: answers `:predict`.
        timeout: seconds that a run may take.
    """

    def __init__(self, core: ServerCore, predictor: Predictor, *, timeout: float):
        self._core = core
        self._predictor = predictor
        self._timeout = timeout

    def handle(self, method: str, path: str, body: bytes) -> Reply:
        """Answers one request; errors become replies, too.

        Args:
            method: HTTP method in capitals.
            path: path of the URL, still percent-encoded, without a query.
            body: body of the request.
        """
        if not path.lower().startswith("/v1/"):
            return Reply(404, "text/plain", b"Not found\n")
        try:
            return Reply(200, "application/json", self._answer(method, path, body).encode())
        except ServingError as error:
            # Cut as over gRPC: what is echoed of a document may be as long as the document.
            text = json.dumps({"error": error.wire_message}, ensure_ascii=False)
            return Reply(_HTTP_STATUS.get(error.code, 500), "application/json", text.encode())

    def _answer(self, method: str, path: str, body: bytes) -> str:
        match = _PREDICTION_PATH.fullmatch(path)
        if method == "POST" and match:
            if match["method"].lower() != "predict":
                raise ServingError(
                    grpc.StatusCode.UNIMPLEMENTED,
                    f"This server answers :predict only, not :{match['method']}",
                )
            return self._predict(_model_spec(match), body)
        match = _MODEL_PATH.fullmatch(path)
        if method == "GET" and match:
            if not match["name"]:
                raise errors.invalid_argument("Missing model name in request.")
            if match["metadata"]:
                return self._metadata(_model_spec(match))
            request = get_model_status_pb2.GetModelStatusRequest(model_spec=_model_spec(match))
            return _to_json(model_status(self._core, request))
        raise errors.invalid_argument(f"Malformed request: {method} {path}")

    def _predict(self, model_spec: model_pb2.ModelSpec, body: bytes) -> str:
        try:
            return self._predict_document(model_spec, parse_document(body))
        except RecursionError as error:
            raise errors.invalid_argument(
                "JSON Parse error: The document is nested too deeply"
            ) from error

    def _predict_document(self, model_spec: model_pb2.ModelSpec, document: dict[str, Any]) -> str:
        model_spec.signature_name = document.get("signature_name", "")
        signature_name = model_spec.signature_name or DEFAULT_SIGNATURE
        with self._core.servable(model_spec) as servable:
            if signature_name not in servable.signatures:
                raise errors.invalid_argument(
                    f'Serving signature name: "{signature_name}" not found in signature def'
                )
            infos = dict(servable.signatures[signature_name].inputs)
            if not infos:
                raise errors.invalid_argument(
                    "Failed to get input map for signature: "
                    + (model_spec.signature_name or "DEFAULT")
                )
            tensors, row_format = request_tensors(document, infos)
        request = predict_pb2.PredictRequest(model_spec=model_spec)
        for name, tensor in tensors.items():
            tensor_to_proto(tensor, request.inputs[name])
        response = self._predictor.predict(request, entrypoint="REST", timeout=self._timeout)
        outputs = {name: tensor_from_proto(proto) for name, proto in response.outputs.items()}
        return response_json(outputs, row_format)

    def _metadata(self, model_spec: model_pb2.ModelSpec) -> str:
        response = model_metadata(
            self._core,
            get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=model_spec, metadata_field=[SIGNATURE_DEF]
            ),
        )
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        # The Any is spelled out without the type URL that generic JSON would carry.
        return (
            f'{{\n"model_spec":{_to_json(response.model_spec)},\n'
            f'"metadata": {{"{SIGNATURE_DEF}": {_to_json(signatures)}}}\n}}\n'
        )


def _model_spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(match["name"]))
    if match["version"]:
        digits = match["version"].lstrip("0")
        if len(digits) > 19 or int(digits or "0") > _MAX_INT64:
            raise errors.invalid_argument(
                f"Failed to convert version: {match['version']} to numeric."
            )
        spec.version.value = int(digits or "0")
    if match["label"]:
        spec.version_label = urllib.parse.unquote(match["label"])
    return spec


def _to_json(message: Message) -> str:
    options = {"preserving_proto_field_name": True, "indent": 1}
    try:
        return json_format.MessageToJson(message, including_default_value_fields=True, **options)
    except TypeError:  # renamed in protobuf 5
        return json_format.MessageToJson(
            message, always_print_fields_with_no_presence=True, **options
        )
