# SPDX-License-Identifier: Apache-2.0
"""The REST calls over a real socket."""

import base64
import gzip
import http.client
import json

import numpy as np
import pytest

ROW = {"features": [1.0, 1.0, 1.0], "lengths": 4}


def test_row_format(rest):
    status, reply = rest.predict({"instances": [ROW, {"features": [0, 1, 2], "lengths": 0}]})
    assert status == 200
    assert reply == {
        "predictions": [
            {"logits": [9.0, 9.0], "num_frames": 5},
            {"logits": [9.0, 9.0], "num_frames": 1},
        ]
    }


def test_column_format(rest):
    status, reply = rest.predict({"inputs": {"features": [[1, 1, 1.5]], "lengths": [7]}})
    assert status == 200
    assert reply == {"outputs": {"logits": [[10.5, 10.5]], "num_frames": [8]}}


def test_single_tensor_drops_its_name(rest):
    document = {"signature_name": "sums", "instances": [[1, 2], [3, 4]]}
    status, reply = rest.predict(document)
    assert status == 200
    assert reply["predictions"] == [
        {"sum": 3.0, "width": [1.0, 2.0]},
        {"sum": 7.0, "width": [3.0, 4.0]},
    ]
    # A single output drops its name, too; and a scalar input needs no list.
    assert rest.predict({"signature_name": "spin", "inputs": 0}) == (200, {"outputs": 1.0})


def test_binary_strings(rest):
    encoded = base64.b64encode(b"\xff\x00").decode()
    status, reply = rest.predict(
        {"signature_name": "join", "instances": [{"b64": encoded}, "text"]}
    )
    assert status == 200
    doubled = [base64.b64decode(row["doubled_bytes"]["b64"]) for row in reply["predictions"]]
    assert doubled == [b"\xff\x00\xff\x00", b"texttext"]
    assert [row["size"] for row in reply["predictions"]] == [2, 4]


def test_floats_keep_their_short_form(rest):
    document = {"signature_name": "sums", "inputs": [[0.1, 0.2], [1e-30, 1e30]]}
    _, reply = rest.predict(document)
    assert reply["outputs"]["width"] == [[0.1, 0.2], [1e-30, 1e30]]


def test_numbers_that_are_not_finite(rest):
    body = b'{"signature_name": "sums", "inputs": [[NaN, 1], [1, -Infinity]]}'
    _, reply = rest("POST", "/v1/models/tiny:predict", raw=body)
    assert str(reply["outputs"]["sum"]) == "[nan, -inf]"


def test_version_in_the_path(rest):
    assert rest.predict({"instances": [ROW]}, "/v1/models/tiny/versions/3:predict")[0] == 200
    status, reply = rest.predict({"instances": [ROW]}, "/v1/models/tiny/versions/7:predict")
    assert status == 404
    assert reply == {"error": "Servable not found for request: Specific(tiny, 7)"}


def test_label_in_the_path(rest):
    status, reply = rest.predict({"instances": [ROW]}, "/v1/models/tiny/labels/new:predict")
    assert status == 400
    assert reply == {"error": "Unrecognized servable version label: new"}


def test_status(rest):
    expected = {
        "model_version_status": [
            {
                "version": "3",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert rest("GET", "/v1/models/tiny") == (200, expected)
    assert rest("GET", "/v1/models/tiny/versions/3") == (200, expected)
    status, reply = rest("GET", "/v1/models/nobody")
    assert (status, reply["error"]) == (404, "Could not find any versions of model nobody")


def test_metadata(rest):
    status, reply = rest("GET", "/v1/models/tiny/metadata")
    assert status == 200
    assert reply["model_spec"]["name"] == "tiny"
    assert reply["model_spec"]["version"] == "3"
    signatures = reply["metadata"]["signature_def"]["signature_def"]
    features = signatures["serving_default"]["inputs"]["features"]
    assert features["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in features["tensor_shape"]["dim"]] == ["-1", "3"]


@pytest.mark.parametrize(
    "document, text",
    [
        ([1], "JSON Value: [\n    1\n] Is not object"),
        ({"signature_name": 1}, "'signature_name' key must be a string value."),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [ROW], "inputs": {}}, "expecting only one of 'inputs' or 'instances' keys"),
        ({"instances": 1}, "Excepting 'instances' to be an list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        ({"inputs": {"features": []}}, "Missing named input: lengths in 'inputs' object."),
        (
            {"signature_name": "foo", "instances": [ROW]},
            'Serving signature name: "foo" not found in signature def',
        ),
        (
            {"instances": [ROW, [1]]},
            "Expecting object but got list at item 1 of input list",
        ),
        (
            {"signature_name": "join", "instances": ["a", {"words": "b"}]},
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            {"instances": [{**ROW, "zoo": 1}]},
            "Failed to process element: 0 key: zoo of 'instances' list. Error: INVALID_ARGUMENT: "
            "JSON object: does not have named input: zoo",
        ),
        (
            {"instances": [ROW, {"features": [1, 2, 3]}]},
            "keys must be equal to: features,lengths",
        ),
        (
            {"instances": [ROW, {"features": [1, 2], "lengths": 1}]},
            "Failed to process element: 1 key: features of 'instances' list. Error: "
            "INVALID_ARGUMENT: Expecting tensor size: 3 but got: 2",
        ),
        (
            {"instances": [ROW, {"features": [[1, 2, 3]], "lengths": 1}]},
            "Expecting shape [3] but got: [1,3]",
        ),
        (
            {"inputs": {"features": [[1, 2, 3], [4, 5]], "lengths": [1, 1]}},
            "Encountered list at unexpected size: 2 at level: 1 expected size: 3",
        ),
        (
            {"inputs": {"features": [[1, 2, 3]], "lengths": [1, [1]]}},
            "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            {"inputs": {"features": [[1, 2, 3], 4], "lengths": [1, 1]}},
            "JSON Value: 4 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        (
            {"inputs": {"features": [["a", 2, 3]], "lengths": [1]}},
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            {"inputs": {"features": [[True, 2.5, 3]], "lengths": [1]}},
            "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            {"inputs": {"features": [[1, 2, 3]], "lengths": [1.0]}},
            "JSON Value: 1.0 Type: Number is not of expected type: int32",
        ),
        (
            {"inputs": {"features": [[1, 2, 3]], "lengths": [2**31]}},
            "JSON Value: 2147483648 Type: Number is not of expected type: int32",
        ),
        (
            {"inputs": {"features": [[1, 2, 2**24]], "lengths": [1]}},
            "Cannot convert JSON value: 16777216 to float without loss of precision.",
        ),
        (
            {"inputs": {"features": [[1, 2, 1e39]], "lengths": [1]}},
            "Cannot convert JSON value: 1e+39 to float without loss of precision.",
        ),
        ({"signature_name": "join", "inputs": {"b64": "?"}}, "Unable to base64 decode"),
        (
            {"inputs": {"features": [[1, 2, {"b64": "aa"}]], "lengths": [1]}},
            "Type: Object is not of expected type: float",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else json.dumps(value),
)
def test_refused_documents(rest, document, text):
    assert text in rest.error(document)


def test_large_floats_that_are_exact_pass(rest):
    document = {"signature_name": "sums", "inputs": [[2.0**24, 1e30, -(2**24 - 1)]]}
    assert rest.predict(document)[1]["outputs"]["width"] == [[2.0**24, 1e30, 1.0 - 2**24]]


def test_rows_need_a_common_batch_axis(rest):
    document = {"signature_name": "spin", "instances": [0]}
    # The instance becomes a tensor of shape [1], where the graph wants a scalar.
    assert rest.predict(document)[0] == 400


def test_body_that_is_no_json(rest):
    status, reply = rest("POST", "/v1/models/tiny:predict", raw=b'{"instances": [1,')
    assert status == 400
    assert reply["error"].startswith("JSON Parse error: ")
    status, reply = rest("POST", "/v1/models/tiny:predict")
    assert reply["error"] == "JSON Parse error: The document is empty"


def test_errors_of_the_run(rest):
    status, reply = rest.predict({"inputs": {"features": [[1, 2]], "lengths": [1]}})
    assert status == 400
    assert reply["error"].startswith("Matrix size-incompatible: In[0]: [1,2], In[1]: [3,2]")


@pytest.mark.parametrize(
    "method, path, status, text",
    [
        ("GET", "/v1/models/tiny:predict", 400, "Malformed request: GET /v1/models/tiny:predict"),
        ("POST", "/v1/models/tiny", 400, "Malformed request: POST /v1/models/tiny"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("POST", "/v1/models/tiny:classify", 501, "This server answers :predict only"),
        (
            "GET",
            f"/v1/models/tiny/versions/{2**63}",
            400,
            f"Failed to convert version: {2**63} to numeric.",
        ),
    ],
)
def test_paths_that_are_refused(rest, method, path, status, text):
    answer, reply = rest(method, path, {"instances": [1]} if method == "POST" else None)
    assert answer == status
    assert text in reply["error"]


def test_other_paths(rest):
    assert rest("GET", "/")[0] == 404
    assert rest("GET", "/monitoring/prometheus/metrics")[0] == 404


def test_compressed_and_chunked_bodies(rest):
    body = json.dumps({"instances": [ROW]}).encode()
    path = "/v1/models/tiny:predict"
    status, _ = rest("POST", path, raw=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert status == 200
    connection = http.client.HTTPConnection(rest.address, timeout=20)
    connection.request("POST", path, iter([body[:9], body[9:]]), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})  # fmt: skip
    assert connection.getresponse().status == 200
    connection.close()
    status, _ = rest("POST", path, raw=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert status == 400


def test_connection_is_kept(rest):
    connection = http.client.HTTPConnection(rest.address, timeout=20)
    for _ in range(3):
        connection.request("GET", "/v1/models/tiny")
        response = connection.getresponse()
        assert response.status == 200 and response.read()
        assert not response.will_close
    connection.close()


def test_large_arrays(rest):
    rows = np.random.default_rng(0).normal(size=[10, 5000]).astype(np.float32)
    document = {"signature_name": "sums", "inputs": rows.tolist()}
    _, reply = rest.predict(document)
    np.testing.assert_array_equal(np.array(reply["outputs"]["width"], np.float32), rows)


def test_deadline(base_path, start, helpers, rest_client):
    server = start(base_path(1), rest_api_port=helpers.free_port(), rest_api_timeout_in_ms=200)
    rest = rest_client(server.rest_address)
    status, _ = rest.predict({"signature_name": "spin", "inputs": helpers.ENDLESS})
    assert status == 504


def test_metrics(base_path, start, helpers, tmp_path, rest_client):
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus_config { enable: true path: '/metrics' }")
    batching = tmp_path / "batching.config"
    batching.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 4")
    server = start(
        base_path(1),
        rest_api_port=helpers.free_port(),
        monitoring_config_file=config,
        enable_batching=True,
        batching_parameters_file=batching,
    )
    rest, connection = rest_client(server.rest_address), server.connection
    connection.predict(helpers.scores_request())
    connection.predict(helpers.scores_request(rows=3))
    rest.predict({"instances": [ROW]})
    helpers.expect_error(connection.predict, helpers.scores_request(version=7))
    status, page = rest("GET", "/metrics")
    assert status == 200
    lines = page.splitlines()
    prefix = ":tensorflow:serving:"
    assert f"# TYPE {prefix}request_count counter" in lines
    assert f'{prefix}request_count{{model_name="tiny",status="OK"}} 3' in lines
    assert f'{prefix}request_count{{model_name="tiny",status="NOT_FOUND"}} 1' in lines
    labels = 'model_name="tiny",API="Predict",entrypoint='
    assert f'{prefix}request_latency_count{{{labels}"GRPC"}} 2' in lines
    assert f'{prefix}request_latency_count{{{labels}"REST"}} 1' in lines
    assert f'{prefix}request_latency_bucket{{{labels}"GRPC",le="+Inf"}} 2' in lines
    runs = 'model_name="tiny",API="Predict",runtime="TF1"'
    assert f"{prefix}runtime_latency_count{{{runs}}} 3" in lines
    batches = f"{prefix}batching_session:"
    assert f"{batches}wrapped_run_count{{}} 3" in lines
    assert f"{batches}padding_size_sum{{}} 7" in lines
    assert f'{batches}queuing_latency_count{{thread_pool_name=""}} 3' in lines
    # Two inputs a request: 2 * (1 + 3 + 1) rows.
    assert f"{batches}input_batch_size_sum{{}} 10" in lines
