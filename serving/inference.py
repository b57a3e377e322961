# SPDX-License-Identifier: Apache-2.0
"""What Classify, Regress and MultiInference do with a request once its servable is known.

They take `tf.train.Example`s, which a signature reads from its one input called "inputs". The
checks, their order and their texts are TensorFlow Serving's.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    regression_pb2,
)

from serving import errors
from serving.errors import ServingError
from serving.predict import DEFAULT_SIGNATURE
from serving.servable import Servable
from serving.tensors import dtype_enum

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

_INPUTS = "inputs"
_CLASSES, _SCORES = "classes", "scores"
_OUTPUTS = "outputs"


@dataclass(frozen=True)
class Inference:
    """Answers requests of examples.

    Attributes:
        check_method_name: refuse signatures that are not marked as made for the method. What
            TensorFlow 2 saves is marked for Predict.
    """

    check_method_name: bool = False

    def classify(
        self,
        request: classification_pb2.ClassificationRequest,
        servable: Servable,
        timeout: float | None = None,
    ) -> classification_pb2.ClassificationResponse:
        """Classes and scores of each example.

        Raises:
            ServingError: the signature cannot classify, there is no example, or the run failed.
        """
        response = classification_pb2.ClassificationResponse()
        _answer(request, response, servable, timeout, self._classify_outputs, _fill_classification)
        return response

    def regress(
        self,
        request: regression_pb2.RegressionRequest,
        servable: Servable,
        timeout: float | None = None,
    ) -> regression_pb2.RegressionResponse:
        """A value of each example.

        Raises:
            ServingError: the signature cannot regress, there is no example, or the run failed.
        """
        response = regression_pb2.RegressionResponse()
        _answer(request, response, servable, timeout, self._regress_outputs, _fill_regression)
        return response

    def multi_inference(
        self,
        request: inference_pb2.MultiInferenceRequest,
        servable: Servable,
        timeout: float | None = None,
    ) -> inference_pb2.MultiInferenceResponse:
        """Several classifications and regressions of the same examples, in one run.

        Raises:
            ServingError: a task does not fit its signature or the other tasks, there is no
                example, or the run failed.
        """
        signatures: dict[str, meta_graph_pb2.SignatureDef] = {}
        names: set[str] = set()
        for task in request.tasks:
            signature = self._task_signature(task, request.tasks[0], servable, signatures)
            if task.method_name == CLASSIFY:
                names.update(self._classify_outputs(signature))
            elif task.method_name == REGRESS:
                names.update(self._regress_outputs(signature))
            else:
                raise ServingError(
                    grpc.StatusCode.UNIMPLEMENTED,
                    f"Unsupported signature method_name: {task.method_name}",
                )
            signatures[task.model_spec.signature_name or DEFAULT_SIGNATURE] = signature
            if len({one.inputs[_INPUTS].name for one in signatures.values()}) > 1:
                raise errors.invalid_argument("Input tensor must be the same for all Signatures.")
        examples = _serialized_examples(request.input)
        if not signatures:
            raise errors.invalid_argument("Input is empty.")
        values = _run(servable, signature, examples, sorted(names), timeout)
        response = inference_pb2.MultiInferenceResponse()
        for task, signature in zip(request.tasks, signatures.values()):
            result = response.results.add(model_spec=_model_spec(task.model_spec, servable))
            if task.method_name == CLASSIFY:
                _fill_classification(result.classification_result, signature, values, len(examples))
            else:
                _fill_regression(result.regression_result, signature, values, len(examples))
        return response

    @staticmethod
    def _task_signature(
        task: inference_pb2.InferenceTask,
        first: inference_pb2.InferenceTask,
        servable: Servable,
        earlier: dict[str, meta_graph_pb2.SignatureDef],
    ) -> meta_graph_pb2.SignatureDef:
        if not task.model_spec.name:
            raise errors.invalid_argument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != first.model_spec.name:
            raise errors.invalid_argument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in earlier:
            raise errors.invalid_argument(f"Duplicate evaluation of signature: {name}")
        if name not in servable.signatures:
            raise errors.invalid_argument(f"Requested signature not found in model graph: {name}")
        return servable.signatures[name]

    def _classify_outputs(self, signature: meta_graph_pb2.SignatureDef) -> list[str]:
        """Names of the tensors to fetch."""
        self._check_method_name(signature, "classification", CLASSIFY)
        if len(signature.inputs) != 1:
            raise errors.invalid_argument("Expected one input Tensor.")
        if len(signature.outputs) not in (1, 2):
            raise errors.invalid_argument(
                f"Expected one or two output Tensors, found {len(signature.outputs)}"
            )
        _check_inputs(signature, "classification")
        found = [alias for alias in (_CLASSES, _SCORES) if alias in signature.outputs]
        if not found:
            raise errors.failed_precondition(
                "Expected classification signature outputs to contain at least one of "
                f'"{_CLASSES}" or "{_SCORES}". Signature was: {signature}'
            )
        return [signature.outputs[alias].name for alias in found]

    def _regress_outputs(self, signature: meta_graph_pb2.SignatureDef) -> list[str]:
        self._check_method_name(signature, "regression", REGRESS)
        if len(signature.inputs) != 1:
            raise errors.invalid_argument("Expected one input Tensor.")
        if len(signature.outputs) != 1:
            raise errors.invalid_argument("Expected one output Tensor.")
        _check_inputs(signature, "regression")
        if _OUTPUTS not in signature.outputs:
            raise errors.failed_precondition(
                f"No regression outputs found in SignatureDef: {signature}"
            )
        return [signature.outputs[_OUTPUTS].name]

    def _check_method_name(
        self, signature: meta_graph_pb2.SignatureDef, kind: str, expected: str
    ) -> None:
        if self.check_method_name and signature.method_name != expected:
            raise errors.invalid_argument(
                f"Expected {kind} signature method_name to be {expected}. Was: "
                f"{signature.method_name}"
            )


def _find_signature(
    servable: Servable, model_spec: model_pb2.ModelSpec
) -> meta_graph_pb2.SignatureDef:
    name = model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise errors.invalid_argument(f"No signature was found with the name: {name}")
    return servable.signatures[name]


def _check_inputs(signature: meta_graph_pb2.SignatureDef, kind: str) -> None:
    if _INPUTS not in signature.inputs:
        raise errors.failed_precondition(f"No {kind} inputs found in SignatureDef: {signature}")


def _serialized_examples(value: input_pb2.Input) -> list[bytes]:
    kind = value.WhichOneof("kind")
    examples: list[bytes] = []
    if kind == "example_list":
        examples = [example.SerializeToString() for example in value.example_list.examples]
    elif kind == "example_list_with_context":
        # Messages merge by concatenation.
        context = value.example_list_with_context.context.SerializeToString()
        examples = [
            context + example.SerializeToString()
            for example in value.example_list_with_context.examples
        ]
    if not examples:
        raise errors.invalid_argument("Input is empty.")
    return examples


def _answer(request, response, servable: Servable, timeout, outputs_of, fill) -> None:
    """Fills the response to a request that is about one signature."""
    signature = _find_signature(servable, request.model_spec)
    names = outputs_of(signature)
    examples = _serialized_examples(request.input)
    values = _run(servable, signature, examples, names, timeout)
    response.model_spec.CopyFrom(_model_spec(request.model_spec, servable))
    fill(response.result, signature, values, len(examples))


def _run(
    servable: Servable,
    signature: meta_graph_pb2.SignatureDef,
    examples: list[bytes],
    names: list[str],
    timeout: float | None,
) -> dict[str, np.ndarray]:
    inputs = [(signature.inputs[_INPUTS].name, np.array(examples, object))]
    return dict(zip(names, servable.session.run(inputs, names, timeout)))


def _model_spec(asked: model_pb2.ModelSpec, servable: Servable) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(
        name=asked.name, signature_name=asked.signature_name or DEFAULT_SIGNATURE
    )
    spec.version.value = servable.version
    return spec


def _fill_classification(
    result: classification_pb2.ClassificationResult,
    signature: meta_graph_pb2.SignatureDef,
    values: dict[str, np.ndarray],
    num_examples: int,
) -> None:
    columns = {}
    for alias, enum in ((_CLASSES, types_pb2.DT_STRING), (_SCORES, types_pb2.DT_FLOAT)):
        if alias not in signature.outputs:
            continue
        value = columns[alias] = values[signature.outputs[alias].name]
        if value.ndim != 2:
            raise errors.invalid_argument(
                f"Expected Tensor shape: [batch_size num_classes] but got {_shape_text(value)}"
            )
        _check_dtype(value, f"{alias} Tensor", enum, ".")
        if len(value) != num_examples:
            raise errors.invalid_argument(
                f"Expected {alias} output batch size of {num_examples}. Got: {len(value)}"
            )
    widths = [value.shape[1] for value in columns.values()]
    if len(set(widths)) > 1:
        raise errors.invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {widths[0]} vs. {widths[1]}"
        )
    for row in range(num_examples):
        classes = result.classifications.add().classes
        for column in range(widths[0]):
            entry = classes.add()
            if _CLASSES in columns:
                # A label is a text; bytes that are none cannot be sent as one.
                entry.label = columns[_CLASSES][row, column].decode("utf-8", "replace")
            if _SCORES in columns:
                entry.score = columns[_SCORES][row, column]


def _fill_regression(
    result: regression_pb2.RegressionResult,
    signature: meta_graph_pb2.SignatureDef,
    values: dict[str, np.ndarray],
    num_examples: int,
) -> None:
    value = values[signature.outputs[_OUTPUTS].name]
    if value.ndim != 1 and not (value.ndim == 2 and value.shape[1] == 1):
        raise errors.invalid_argument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            + _shape_text(value)
        )
    if len(value) != num_examples:
        raise errors.invalid_argument(
            f"Input batch size did not match output batch size: {num_examples} vs. {len(value)}"
        )
    _check_dtype(value, "output Tensor", types_pb2.DT_FLOAT, ". ")
    for number in value.ravel().tolist():
        result.regressions.add().value = number


def _check_dtype(value: np.ndarray, what: str, enum: int, end: str) -> None:
    if dtype_enum(value.dtype) != enum:
        expected, got = map(types_pb2.DataType.Name, (enum, dtype_enum(value.dtype)))
        raise errors.invalid_argument(f"Expected {what} of {expected}{end} Got: {got}")


def _shape_text(value: np.ndarray) -> str:
    return f"[{','.join(map(str, value.shape))}]"
