# SPDX-License-Identifier: Apache-2.0
"""What GetModelMetadata answers: the signatures of a version."""

from __future__ import annotations

from tensorflow_serving.apis import get_model_metadata_pb2

from serving import errors
from serving.core import ServerCore

SIGNATURE_DEF = "signature_def"


def model_metadata(
    core: ServerCore, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """All signatures of one version, packed as an `Any` of SignatureDefMap.

    Raises:
        ServingError: no model_spec, no metadata_field or one other than `signature_def`, or no
            such servable.
    """
    if not request.HasField("model_spec"):
        raise errors.invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise errors.invalid_argument(
            "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in request.metadata_field:
        if field != SIGNATURE_DEF:
            raise errors.invalid_argument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with core.servable(request.model_spec) as servable:
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in servable.signatures.items():
            signatures.signature_def[key].CopyFrom(signature)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response
