# SPDX-License-Identifier: Apache-2.0
"""Predict against the contract: every check, its code and its text."""

import grpc
import numpy as np
import pytest
import tensorflow as tf

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def refuse(tiny_connection, helpers):
    """Changes a good request and returns code and text of the refusal."""

    def ask(change):
        request = helpers.scores_request()
        change(request)
        return helpers.expect_error(tiny_connection.predict, request)

    return ask


@pytest.fixture
def request_(helpers):
    return helpers.scores_request(rows=2)


def test_good_request(tiny_connection, request_):
    response = tiny_connection.predict(request_)
    # The latest version is 3, and so are all its weights.
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["logits"]), np.full([2, 2], 9.0))
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["num_frames"]), [1, 2])
    assert response.model_spec.name == "tiny"
    assert response.model_spec.signature_name == "serving_default"
    assert response.model_spec.version.value == 3


def test_reply_is_in_field_lists(tiny_connection, request_):
    response = tiny_connection.predict(request_)
    assert list(response.outputs["logits"].float_val) == [9.0] * 4
    assert response.outputs["logits"].tensor_content == b""


def test_output_filter(tiny_connection, request_):
    request_.output_filter.append("num_frames")
    assert list(tiny_connection.predict(request_).outputs) == ["num_frames"]


def test_named_signature_and_strings(tiny_connection, request_):
    request_.model_spec.signature_name = "join"
    request_.ClearField("inputs")
    request_.inputs["words"].CopyFrom(tf.make_tensor_proto([b"ab", b"\xff"]))
    response = tiny_connection.predict(request_)
    assert list(response.outputs["doubled_bytes"].string_val) == [b"abab", b"\xff\xff"]
    assert response.model_spec.signature_name == "join"


def test_empty_batch(tiny_connection, helpers):
    response = tiny_connection.predict(helpers.scores_request(rows=0))
    assert tf.make_ndarray(response.outputs["logits"]).shape == (0, 2)


def test_row_1_no_model_spec(refuse):
    assert refuse(lambda r: r.ClearField("model_spec")) == (INVALID, "Missing ModelSpec")


def test_row_2_empty_name(refuse):
    def change(request):
        request.model_spec.name = ""
        request.model_spec.signature_name = "anything"

    assert refuse(change) == (INVALID, "ModelSpec has no name specified.")


def test_row_3_unknown_model(refuse):
    def change(request):
        request.model_spec.name = "nobody"

    expected = (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(nobody)")
    assert refuse(change) == expected


def test_row_4_unknown_version(refuse):
    def change(request):
        request.model_spec.version.value = 7

    expected = (grpc.StatusCode.NOT_FOUND, "Servable not found for request: Specific(tiny, 7)")
    assert refuse(change) == expected


def test_row_5_unknown_label(refuse):
    def change(request):
        request.model_spec.version_label = "canary"

    assert refuse(change) == (INVALID, "Unrecognized servable version label: canary")


def test_row_6_unknown_signature(refuse):
    def change(request):
        request.model_spec.signature_name = "foo"
        request.ClearField("inputs")  # checked before the inputs are

    expected = (grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "foo" not found.')
    assert refuse(change) == expected


def test_row_7_missing_input(refuse):
    expected = (
        "input size does not match signature: 1!=2 len({features}) != len({features,lengths}). "
        "Sent extra: {}. Missing but required: {lengths}."
    )
    assert refuse(lambda r: r.inputs.pop("lengths")) == (INVALID, expected)


def test_row_7_extra_inputs(refuse):
    def change(request):
        request.inputs["zoo"].dtype = 1
        request.inputs["ant"].dtype = 1

    expected = (
        "input size does not match signature: 4!=2 len({ant,features,lengths,zoo}) != "
        "len({features,lengths}). Sent extra: {ant,zoo}. Missing but required: {}."
    )
    assert refuse(change) == (INVALID, expected)


def test_row_8_wrong_name(refuse):
    def change(request):
        request.inputs["sizes"].CopyFrom(request.inputs.pop("lengths"))

    expected = (
        "Signature input alias: lengths(feed name: serving_default_lengths:0) not found in "
        "request and no default value provided. Inputs expected to be in the request "
        "{features,sizes}, or default input alias set: "
    )
    assert refuse(change) == (INVALID, expected)


def test_row_9_corrupt_tensor(refuse):
    def change(request):
        request.inputs["features"].tensor_content = b"\0" * 5

    assert refuse(change) == (INVALID, "tensor parsing error: features")


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensor: tensor.ClearField("dtype"),
        lambda tensor: setattr(tensor.tensor_shape.dim[0], "size", -1),
        lambda tensor: setattr(tensor.tensor_shape, "unknown_rank", True),
    ],
    ids=["no dtype", "negative length", "unknown rank"],
)
def test_row_9_other_damage(refuse, damage):
    expected = (INVALID, "tensor parsing error: features")
    assert refuse(lambda request: damage(request.inputs["features"])) == expected


def test_row_10_unknown_output(refuse):
    expected = (
        "output tensor alias not found in signature: probs Outputs expected to be in the set "
        "{logits,num_frames}."
    )
    assert refuse(lambda r: r.output_filter.append("probs")) == (INVALID, expected)


def test_row_11_duplicate_output(refuse):
    expected = (INVALID, "duplicate output tensor alias: logits")
    assert refuse(lambda r: r.output_filter.extend(["logits", "logits"])) == expected


def test_row_12_dtype(refuse):
    def change(request):
        request.inputs["features"].CopyFrom(tf.make_tensor_proto(np.ones([1, 3])))

    assert refuse(change) == (INVALID, "Expects arg[0] to be float but double is provided")


def test_row_12_dtype_of_second_feed(refuse):
    def change(request):
        request.inputs["lengths"].CopyFrom(tf.make_tensor_proto([1.0]))

    assert refuse(change) == (INVALID, "Expects arg[1] to be int32 but float is provided")


def test_row_13_shape(refuse):
    def change(request):
        request.inputs["features"].CopyFrom(tf.make_tensor_proto(np.ones([1, 4], np.float32)))

    code, text = refuse(change)
    assert code == INVALID
    assert text.startswith("Matrix size-incompatible: In[0]: [1,4], In[1]: [3,2]")


def test_outputs_are_checked_after_inputs(refuse):
    def change(request):
        request.inputs["features"].tensor_content = b"\0"
        request.output_filter.append("probs")

    assert refuse(change) == (INVALID, "tensor parsing error: features")


def test_long_texts_are_cut(refuse):
    def change(request):
        request.model_spec.signature_name = "x" * 2000

    text = f'Serving signature key "{"x" * 2000}" not found.'
    assert refuse(change) == (grpc.StatusCode.FAILED_PRECONDITION, text[:1024] + "...TRUNCATED")


def test_deadline_ends_the_run(tiny_connection, helpers):
    with pytest.raises(grpc.RpcError) as caught:
        tiny_connection.predict(helpers.spin_request(helpers.ENDLESS), timeout=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    # The server goes on answering: the run was cancelled, not left to fill its threads.
    for _ in range(3):
        assert tiny_connection.version() == 3


def test_large_messages_pass(tiny_connection, request_):
    request_.model_spec.signature_name = "sums"
    request_.ClearField("inputs")
    rows = np.random.default_rng(0).normal(size=[20, 100_000]).astype(np.float32)
    request_.inputs["rows"].CopyFrom(tf.make_tensor_proto(rows))
    response = tiny_connection.predict(request_)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["width"]), rows)
