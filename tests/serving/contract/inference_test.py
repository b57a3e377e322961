# SPDX-License-Identifier: Apache-2.0
"""Classify, Regress and MultiInference over the wire."""

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    regression_pb2,
)

from serving.inference import CLASSIFY, REGRESS

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class ExampleModel(tf.Module):
    """Reads a number `x` from each example."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(self, inputs):
        x = self._read(inputs)
        classes = tf.tile([["low", "high"]], [tf.size(x), 1])
        return {"classes": classes, "scores": tf.stack([1 - x, x], axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(self, inputs):
        return {"outputs": 2 * self._read(inputs)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def matrix(self, inputs):
        return {"outputs": tf.tile(self._read(inputs)[:, tf.newaxis], [1, 2])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def flat(self, inputs):
        return {"scores": self._read(inputs)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "other")])
    def misnamed(self, other):
        return {"outputs": self._read(other)}

    @staticmethod
    def _read(inputs):
        return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]


@pytest.fixture(scope="module")
def stub(tmp_path_factory, helpers):
    base_path = tmp_path_factory.mktemp("examples")
    model = ExampleModel()
    names = ("classify", "regress", "matrix", "flat", "misnamed")
    signatures = {name: getattr(model, name) for name in names}
    tf.saved_model.save(model, str(base_path / "3"), signatures=signatures)
    server = helpers.make_server(str(base_path))
    server.start()
    yield helpers.Connection(server.address).prediction
    server.stop()


def example(**features) -> tf.train.Example:
    message = tf.train.Example()
    for name, value in features.items():
        message.features.feature[name].float_list.value.append(value)
    return message


def examples(*values) -> input_pb2.Input:
    return input_pb2.Input(example_list={"examples": [example(x=value) for value in values]})


def fill(request, signature, inputs=None):
    request.model_spec.name, request.model_spec.signature_name = "tiny", signature
    request.input.CopyFrom(examples(0.25, 1.0) if inputs is None else inputs)
    return request


def classification(signature="classify", inputs=None):
    return fill(classification_pb2.ClassificationRequest(), signature, inputs)


def regression(signature="regress", inputs=None):
    return fill(regression_pb2.RegressionRequest(), signature, inputs)


def test_classify(stub):
    response = stub.Classify(classification())
    rows = [[(c.label, c.score) for c in r.classes] for r in response.result.classifications]
    assert rows == [[("low", 0.75), ("high", 0.25)], [("low", 0.0), ("high", 1.0)]]
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "classify"


def test_regress(stub):
    response = stub.Regress(regression())
    assert [entry.value for entry in response.result.regressions] == [0.5, 2.0]


def test_context_is_part_of_each_example(stub):
    inputs = input_pb2.Input(
        example_list_with_context={
            "context": example(x=0.5),
            "examples": [example(y=1.0), example(x=1.0)],
        }
    )
    response = stub.Regress(regression(inputs=inputs))
    assert [entry.value for entry in response.result.regressions] == [1.0, 2.0]


def multi(*tasks) -> inference_pb2.MultiInferenceRequest:
    request = inference_pb2.MultiInferenceRequest(input=examples(0.25))
    for name, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = name, signature
    return request


@pytest.mark.parametrize(
    "change, code, text",
    [
        (lambda r: r.ClearField("model_spec"), INVALID, "Missing ModelSpec"),
        (
            lambda r: setattr(r.model_spec, "name", "nobody"),
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Latest(nobody)",
        ),
        (
            lambda r: setattr(r.model_spec, "signature_name", "foo"),
            INVALID,
            "No signature was found with the name: foo",
        ),
        (lambda r: r.ClearField("input"), INVALID, "Input is empty."),
        (lambda r: r.input.example_list.ClearField("examples"), INVALID, "Input is empty."),
    ],
)
@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_common_refusals(stub, helpers, method, change, code, text):
    request = classification() if method == "Classify" else regression()
    change(request)
    assert helpers.expect_error(getattr(stub, method), request) == (code, text)


@pytest.mark.parametrize(
    "method, request_, code, text",
    [
        (
            "Classify",
            classification("regress"),
            grpc.StatusCode.FAILED_PRECONDITION,
            'Expected classification signature outputs to contain at least one of "classes" or ',
        ),
        (
            "Classify",
            classification("misnamed"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "No classification inputs found in SignatureDef: ",
        ),
        (
            "Classify",
            classification("flat"),
            INVALID,
            "Expected Tensor shape: [batch_size num_classes] but got [2]",
        ),
        ("Regress", regression("classify"), INVALID, "Expected one output Tensor."),
        (
            "Regress",
            regression("flat"),
            grpc.StatusCode.FAILED_PRECONDITION,
            "No regression outputs found in SignatureDef: ",
        ),
        (
            "Regress",
            regression("matrix"),
            INVALID,
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            "[2,2]",
        ),
        (
            "MultiInference",
            multi(("tiny", "regress", "tensorflow/serving/predict")),
            grpc.StatusCode.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            "MultiInference",
            multi(("tiny", "regress", REGRESS), ("other", "classify", CLASSIFY)),
            INVALID,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            "MultiInference",
            multi(("tiny", "regress", REGRESS), ("tiny", "regress", REGRESS)),
            INVALID,
            "Duplicate evaluation of signature: regress",
        ),
        (
            "MultiInference",
            multi(("tiny", "foo", REGRESS)),
            INVALID,
            "Requested signature not found in model graph: foo",
        ),
        (
            "MultiInference",
            multi(("tiny", "regress", REGRESS), ("tiny", "classify", CLASSIFY)),
            INVALID,
            "Input tensor must be the same for all Signatures.",
        ),
        (
            "MultiInference",
            inference_pb2.MultiInferenceRequest(input=examples(1.0)),
            INVALID,
            "ModelSpec has no name specified.",
        ),
    ],
)
def test_refusals(stub, helpers, method, request_, code, text):
    actual_code, actual_text = helpers.expect_error(getattr(stub, method), request_)
    assert actual_code == code
    assert actual_text.startswith(text)


def test_multi_inference(stub):
    response = stub.MultiInference(multi(("tiny", "regress", REGRESS)))
    (result,) = response.results
    assert [entry.value for entry in result.regression_result.regressions] == [0.5]
    assert result.model_spec.version.value == 3
    response = stub.MultiInference(multi(("tiny", "classify", CLASSIFY)))
    (result,) = response.results
    assert len(result.classification_result.classifications) == 1


def test_signatures_that_predict_have_other_inputs(tiny_connection, helpers):
    request = classification("serving_default")
    assert helpers.expect_error(tiny_connection.prediction.Classify, request) == (
        INVALID,
        "Expected one input Tensor.",
    )


def test_method_names_are_checked_on_request(base_path, start, helpers):
    server = start(base_path(1), enable_signature_method_name_check=True)
    for method, request, kind, name in (
        ("Classify", classification("join"), "classification", CLASSIFY),
        ("Regress", regression("join"), "regression", REGRESS),
    ):
        assert helpers.expect_error(getattr(server.connection.prediction, method), request) == (
            INVALID,
            f"Expected {kind} signature method_name to be {name}. Was: tensorflow/serving/predict",
        )


def test_session_run_is_not_served(tiny_connection):
    call = tiny_connection.channel.unary_unary("/tensorflow.serving.SessionService/SessionRun")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=20)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
