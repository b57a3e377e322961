# SPDX-License-Identifier: Apache-2.0
"""What Predict does with a request once its servable is known: check, run, answer.

The order of the checks and their texts are TensorFlow Serving's, so that a client cannot tell
the servers apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving import errors
from serving.servable import Servable
from serving.tensors import tensor_from_proto, tensor_to_proto

DEFAULT_SIGNATURE = "serving_default"


def predict(
    request: predict_pb2.PredictRequest,
    servable: Servable,
    *,
    timeout: float | None = None,
    as_content: bool = False,
) -> predict_pb2.PredictResponse:
    """Answers one request.

    Args:
        request: its model_spec has already led to `servable`.
        servable: the version that answers.
        timeout: seconds that the run may take; None is no limit.
        as_content: write outputs as `tensor_content` instead of field lists.

    Raises:
        ServingError: a check failed, or the run did.
    """
    signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = find_signature(servable, signature_name)
    known = servable.tensor_names[signature_name]
    inputs = _inputs(known.inputs, signature.defaults, request.inputs)
    aliases = _output_aliases(known.outputs, request.output_filter)
    names = [known.outputs[alias] for alias in aliases]
    values = servable.session.run(inputs, names, timeout)

    response = predict_pb2.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = signature_name
    response.model_spec.version.value = servable.version
    for alias, value in zip(aliases, values):
        tensor_to_proto(value, response.outputs[alias], as_content=as_content)
    return response


def find_signature(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
    """The signature of that key.

    Raises:
        ServingError: FAILED_PRECONDITION if there is none.
    """
    if name not in servable.signatures:
        raise errors.failed_precondition(f'Serving signature key "{name}" not found.')
    return servable.signatures[name]


def _inputs(
    known: Mapping[str, str],
    defaults: Mapping[str, tensor_pb2.TensorProto],
    sent: Mapping[str, tensor_pb2.TensorProto],
) -> list[tuple[str, np.ndarray]]:
    if len(sent) > len(known) or (len(sent) < len(known) and not defaults):
        raise errors.invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(known)} "
            f"len({{{_join(sent)}}}) != len({{{_join(known)}}}). "
            f"Sent extra: {{{_join(set(sent) - set(known))}}}. "
            f"Missing but required: {{{_join(set(known) - set(sent))}}}."
        )
    inputs = []
    used = 0
    for alias, feed_name in known.items():
        if alias in sent:
            proto = sent[alias]
            used += 1
        elif alias in defaults:
            proto = defaults[alias]
        else:
            raise errors.invalid_argument(
                f"Signature input alias: {alias}(feed name: {feed_name}) not found in request and "
                f"no default value provided. Inputs expected to be in the request {{{_join(sent)}}}"
                f", or default input alias set: {_join(defaults)}"
            )
        try:
            inputs.append((feed_name, tensor_from_proto(proto)))
        except ValueError as error:
            raise errors.invalid_argument(f"tensor parsing error: {alias}") from error
    if used != len(sent):
        raise errors.invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_join(set(sent) & set(known))}, "
            f"request input: {_join(sent)}"
        )
    return inputs


def _output_aliases(known: Mapping[str, str], output_filter: Iterable[str]) -> list[str]:
    aliases: list[str] = []
    for alias in output_filter:
        if alias not in known:
            raise errors.invalid_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_join(known)}}}."
            )
        if alias in aliases:
            raise errors.invalid_argument(f"duplicate output tensor alias: {alias}")
        aliases.append(alias)
    return aliases or list(known)


def _join(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
