# SPDX-License-Identifier: Apache-2.0
"""Batching over the wire: who meets whom, how they are padded, and the errors' texts.

The signature "company" tells each request the rows of its batch, the sum over them, and its own
rows as the batch had them.
"""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT

# A batch waits half a second for company, unless it is full.
PATIENT = "batch_timeout_micros { value: 500000 } num_batch_threads { value: 1 } "


def company_request(rows, *, version=None, outputs=()):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = "tiny", "company"
    if version is not None:
        request.model_spec.version.value = version
    request.inputs["rows"].CopyFrom(tf.make_tensor_proto(np.array(rows, np.float32)))
    return request


def spin_rows_request(rounds):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "spin_rows"
    request.inputs["rounds"].CopyFrom(tf.make_tensor_proto([rounds]))
    return request


@pytest.fixture
def start_batching(start, base_path, tmp_path):
    def run(parameters, models=None, **flags):
        path = tmp_path / "batching.config"
        path.write_text(parameters)
        return start(
            models or base_path(3),
            enable_batching=True,
            batching_parameters_file=path,
            **flags,
        )

    return run


def together(server, *requests):
    """Sends requests at the same time; returns their outputs as lists, or code and text."""
    calls = [server.connection.prediction.Predict.future(r, timeout=30) for r in requests]
    return [outputs(call) for call in calls]


def outputs(call):
    if call.code() != grpc.StatusCode.OK:
        return call.code(), call.details()
    return {name: tf.make_ndarray(t).tolist() for name, t in call.result().outputs.items()}


def test_requests_meet_in_a_batch(start_batching):
    server = start_batching(PATIENT + "max_batch_size { value: 6 }")
    replies = together(
        server, *(company_request([[1.0 * i]] * rows) for i, rows in ((1, 1), (2, 2), (3, 3)))
    )
    for i, rows in ((1, 1), (2, 2), (3, 3)):
        assert replies[i - 1] == {
            "batch": [6.0] * rows,
            "total": [1.0 + 4.0 + 9.0] * rows,
            "padded": [[1.0 * i]] * rows,
        }


def test_other_outputs_do_not_batch_together(start_batching):
    server = start_batching(PATIENT + "max_batch_size { value: 2 }")
    for first, second, rows in (
        (["batch"], ["batch", "total"], 1.0),
        (["total", "batch"], ["batch", "total"], 2.0),  # the set counts, not its order
        ([], ["batch", "padded", "total"], 2.0),
    ):
        replies = together(
            server, company_request([[1]], outputs=first), company_request([[1]], outputs=second)
        )
        assert [reply["batch"] for reply in replies] == [[rows], [rows]]


def test_versions_do_not_mix(start_batching, base_path, model_config):
    server = start_batching(
        PATIENT + "max_batch_size { value: 2 }",
        model_config(
            f'name: "tiny" base_path: "{base_path(2, 3)}" model_version_policy {{ all {{}} }}'
        ),
    )
    server.wait_for_states({3: "AVAILABLE", 2: "AVAILABLE"})
    replies = together(server, company_request([[1]], version=2), company_request([[1]], version=3))
    assert [reply["batch"] for reply in replies] == [[1.0], [1.0]]


def test_rows_are_padded_with_the_first_row_of_the_last_task(start_batching):
    server = start_batching(
        PATIENT + "max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8"
    )
    # Both begin alike, so that it does not matter which is the last.
    replies = together(server, company_request([[2]]), company_request([[2], [3]]))
    assert [reply["batch"] for reply in replies] == [[4.0], [4.0, 4.0]]
    assert replies[0]["total"] == [2.0 + 2.0 + 3.0 + 2.0]


def test_shapes_are_padded_with_the_first_element_and_not_trimmed(start_batching):
    server = start_batching(
        PATIENT + "max_batch_size { value: 2 } pad_variable_length_inputs: true"
    )
    replies = together(server, company_request([[7, 1]]), company_request([[3, 4, 5]]))
    assert replies[0]["padded"] == [[7.0, 1.0, 7.0]]
    assert replies[1]["padded"] == [[3.0, 4.0, 5.0]]


def test_without_padding_different_shapes_fail_all(start_batching):
    server = start_batching(PATIENT + "max_batch_size { value: 2 }")
    for code, text in together(server, company_request([[7, 1]]), company_request([[3, 4, 5]])):
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert text.startswith(
            "Tensors with name 'company_rows:0' from different tasks have different shapes and "
            "padding is turned off."
        )


def test_inputs_need_a_common_number_of_rows(start_batching, helpers):
    server = start_batching("")
    request = helpers.scores_request(rows=2)
    request.inputs["lengths"].CopyFrom(tf.make_tensor_proto([1]))
    assert helpers.expect_error(server.connection.predict, request) == (
        INVALID,
        "Batching Run() input tensors must have equal 0th-dimension size",
    )
    assert helpers.expect_error(server.connection.predict, helpers.spin_request(0)) == (
        INVALID,
        "Batching Run() input tensors must have at least one dimension",
    )


@pytest.mark.parametrize("size, parameters", [(1000, ""), (32, "max_batch_size { value: 32 }")])
def test_requests_may_have_as_many_rows_as_a_batch(start_batching, helpers, size, parameters):
    server = start_batching(parameters)
    reply = server.connection.predict(company_request([[1]] * size))
    assert reply.outputs["batch"].float_val[0] == size
    request = company_request([[1]] * (size + 8))
    assert helpers.expect_error(server.connection.predict, request) == (
        INVALID,
        f"Task size {size + 8} is larger than maximum input batch size {size}",
    )


ONE_AT_A_TIME = (
    "max_batch_size { value: 1 } num_batch_threads { value: 1 } max_enqueued_batches { value: 1 }"
)


def test_full_queue(start_batching):
    server = start_batching(ONE_AT_A_TIME)
    # Each takes a while, and there is room for one that runs and one that waits.
    calls = [
        server.connection.prediction.Predict.future(spin_rows_request(2000), timeout=60)
        for _ in range(30)
    ]
    assert {(call.code(), call.details()) for call in calls} == {
        (grpc.StatusCode.OK, ""),
        (
            grpc.StatusCode.UNAVAILABLE,
            "The batch scheduling queue to which this task was submitted is full; currently 1 "
            "batches enqueued and max_enqueued_batches is 1",
        ),
    }


def test_time_that_passes_in_the_queue(start_batching, helpers, rest_client):
    # Over gRPC, the client's own deadline would end the call first.
    server = start_batching(
        ONE_AT_A_TIME.replace("max_enqueued_batches { value: 1 }", ""),
        rest_api_port=helpers.free_port(),
        rest_api_timeout_in_ms=300,
    )
    occupant = server.connection.prediction.Predict.future(
        spin_rows_request(helpers.ENDLESS), timeout=3
    )
    rest, answers = rest_client(server.rest_address), []
    while len(answers) < 100 and (not answers or answers[-1][0] == 200):  # until it is occupied
        answers.append(rest.predict({"signature_name": "spin_rows", "inputs": [1]}))
    assert answers[-1] == (
        429,
        {"error": "Run() timeout exceeded while waiting in batching queue"},
    )
    occupant.cancel()
