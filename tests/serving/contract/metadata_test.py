# SPDX-License-Identifier: Apache-2.0
"""GetModelMetadata against the contract."""

import grpc
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def ask(tiny_connection):
    return tiny_connection.prediction.GetModelMetadata


@pytest.fixture
def request_():
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"
    return request


def test_signatures(ask, request_):
    request_.model_spec.version.value = 3
    response = ask(request_)
    assert response.model_spec.name == "tiny"
    assert response.model_spec.version.value == 3
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert "__saved_model_init_op" in signatures.signature_def
    default = signatures.signature_def["serving_default"]
    assert default.inputs["features"].name == "serving_default_features:0"
    assert default.inputs["features"].dtype == types_pb2.DT_FLOAT
    assert [dim.size for dim in default.inputs["features"].tensor_shape.dim] == [-1, 3]
    assert sorted(default.outputs) == ["logits", "num_frames"]


def test_missing_model_spec(ask, request_, helpers):
    request_.ClearField("model_spec")
    assert helpers.expect_error(ask, request_) == (INVALID, "Missing ModelSpec")


def test_no_field(ask, request_, helpers):
    request_.ClearField("metadata_field")
    expected = "GetModelMetadataRequest must specify at least one metadata_field"
    assert helpers.expect_error(ask, request_) == (INVALID, expected)


def test_unknown_field(ask, request_, helpers):
    request_.metadata_field.append("weights")
    expected = "Metadata field weights is not supported"
    assert helpers.expect_error(ask, request_) == (INVALID, expected)


def test_unknown_model(ask, request_, helpers):
    request_.model_spec.name = "nobody"
    expected = (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)")
    assert helpers.expect_error(ask, request_) == expected
