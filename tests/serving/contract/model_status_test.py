# SPDX-License-Identifier: Apache-2.0
"""GetModelStatus against the contract."""

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2


@pytest.fixture
def ask(tiny_connection):
    return tiny_connection.model.GetModelStatus


@pytest.fixture
def request_():
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "tiny"
    return request


def test_latest_is_available(ask, request_):
    (status,) = ask(request_).model_version_status
    assert (status.version, status.state) == (3, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    assert status.HasField("status")
    assert (status.status.error_code, status.status.error_message) == (0, "")


def test_missing_model_spec(ask, helpers):
    expected = (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
    assert helpers.expect_error(ask, get_model_status_pb2.GetModelStatusRequest()) == expected


def test_unknown_version(ask, request_, helpers):
    request_.model_spec.version.value = 7
    expected = (grpc.StatusCode.NOT_FOUND, "Could not find version 7 of model tiny")
    assert helpers.expect_error(ask, request_) == expected


def test_unknown_model(ask, request_, helpers):
    request_.model_spec.name = "nobody"
    expected = (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model nobody")
    assert helpers.expect_error(ask, request_) == expected
