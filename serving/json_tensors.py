# SPDX-License-Identifier: Apache-2.0
"""Tensors as JSON: the row format (`instances`) and the column format (`inputs`) of REST.

Well-formed numbers take a fast path through NumPy. Whatever that cannot take for certain goes
value by value through the rules of TensorFlow Serving, which end in a tensor or in its error text.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving import errors
from serving.errors import MAX_MESSAGE_LENGTH, ServingError
from serving.tensors import numpy_dtype

_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

TensorInfos = Mapping[str, meta_graph_pb2.TensorInfo]

_INT_TYPES = {
    tf.int32: (-(2**31), 2**31 - 1),
    tf.int16: (-(2**31), 2**31 - 1),
    tf.int8: (-(2**31), 2**31 - 1),
    tf.uint8: (-(2**31), 2**31 - 1),
    tf.int64: (-(2**63), 2**63 - 1),
    tf.uint32: (0, 2**32 - 1),
    tf.uint64: (0, 2**64 - 1),
}
# One less than NumPy's, for the axis that joins the rows of a batch.
_MAX_RANK = 31
_FLOAT_DIGITS = {tf.float32: 24, tf.float64: 53}


def parse_document(body: bytes) -> dict[str, Any]:
    """Parses a request body.

    Raises:
        ServingError: INVALID_ARGUMENT if it is not a JSON object.
    """
    if not body:
        raise errors.invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise errors.invalid_argument(
            f"JSON Parse error: {error.msg} at offset: {error.pos}"
        ) from error
    except ValueError as error:  # bytes that are no UTF-8, or an integer of thousands of digits
        raise errors.invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise errors.invalid_argument(f"JSON Value: {_text(document)} Is not object")
    if not _is_unicode(document.get("signature_name", "")):
        raise errors.invalid_argument(
            f"JSON Value: {_text(document)} not formatted correctly. 'signature_name' key must be "
            "a string value."
        )
    return document


def request_tensors(
    document: Mapping[str, Any], infos: TensorInfos
) -> tuple[dict[str, np.ndarray], bool]:
    """The inputs of a request.

    Args:
        document: the parsed body.
        infos: inputs of the signature, by name.

    Returns:
        Arrays by input name, and whether the request is in row format.

    Raises:
        ServingError: INVALID_ARGUMENT, with the place in the document.
    """
    if "instances" in document and "inputs" in document:
        raise _format_error(
            document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist "
        )  # fmt: skip
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise _format_error(document, "Excepting 'instances' to be an list/array")
        if not instances:
            raise _format_error(document, "No values in 'instances' array")
        return _from_rows(instances, infos), True
    if "inputs" in document:
        return _from_columns(document["inputs"], infos), False
    raise errors.invalid_argument("Missing 'inputs' or 'instances' key")


def response_json(tensors: Mapping[str, np.ndarray], row_format: bool) -> str:
    """The reply to a request, in the format the request had.

    Raises:
        ServingError: INVALID_ARGUMENT if outputs in row format have no common first axis, or for
            a type that JSON cannot hold.
    """
    if not tensors:
        raise errors.invalid_argument("Cannot convert empty tensor map to JSON")
    if row_format:
        _check_rows(tensors)
    values = {name: _plain(name, array) for name, array in sorted(tensors.items())}
    if len(values) == 1:
        (result,) = values.values()
    elif row_format:
        result = [dict(zip(values, row)) for row in zip(*values.values())]
    else:
        result = values
    key = "predictions" if row_format else "outputs"
    return f'{{\n    "{key}": {json.dumps(result, ensure_ascii=False)}\n}}\n'


def _from_rows(instances: list[Any], infos: TensorInfos) -> dict[str, np.ndarray]:
    if not isinstance(instances[0], dict) and len(infos) > 1:
        raise errors.invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    named = _is_named(instances[0])
    rows: list[dict[str, np.ndarray]] = []
    if named and all(_is_named(row) and row.keys() == infos.keys() for row in instances):
        fast = {name: _fast([row[name] for row in instances], infos[name]) for name in infos}
        if all(tensor is not None for tensor in fast.values()):
            return fast
    elif not named:
        (name,) = infos
        tensor = _fast(instances, infos[name])
        if tensor is not None:
            return {name: tensor}
    for index, row in enumerate(instances):
        rows.append(_row(row, index, named, infos, rows[0] if rows else None))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _row(
    row: Any,
    index: int,
    named: bool,
    infos: TensorInfos,
    first: Mapping[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    if named != _is_named(row):
        expected, got = ("object", "list") if named else ("value/list", "object")
        raise errors.invalid_argument(
            f"Expecting {expected} but got {got} at item {index} of input list"
        )
    items = row if named else {next(iter(infos)): row}
    tensors = {}
    for name, value in items.items():
        try:
            tensors[name] = _instance_item(name, value, infos, first)
        except ServingError as error:
            key = f" key: {name}" if named else ""
            raise errors.invalid_argument(
                f"Failed to process element: {index}{key} of 'instances' list. Error: {error}"
            ) from error
    if tensors.keys() != infos.keys():
        raise errors.invalid_argument(
            f"Failed to process element: {index} of 'instances' list. JSON object: {_text(row)} "
            f"keys must be equal to: {','.join(sorted(infos))}"
        )
    return tensors


def _instance_item(
    name: str, value: Any, infos: TensorInfos, first: Mapping[str, np.ndarray] | None
) -> np.ndarray:
    if name not in infos:
        raise errors.invalid_argument(f"JSON object: does not have named input: {name}")
    tensor = _tensor(value, infos[name])
    if first is not None and tensor.size != first[name].size:
        raise errors.invalid_argument(
            f"Expecting tensor size: {first[name].size} but got: {tensor.size}"
        )
    if first is not None and tensor.shape != first[name].shape:
        raise errors.invalid_argument(
            f"Expecting shape {_shape_text(first[name])} but got: {_shape_text(tensor)}"
        )
    return tensor


def _from_columns(inputs: Any, infos: TensorInfos) -> dict[str, np.ndarray]:
    if not _is_named(inputs):
        if len(infos) > 1:
            raise errors.invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        (name,) = infos
        return {name: _tensor(inputs, infos[name])}
    for name in infos:
        if name not in inputs:
            raise errors.invalid_argument(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(inputs[name], infos[name]) for name in infos}


def _tensor(value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    fast = _fast(value, info)
    return fast if fast is not None else _slow(value, tf.as_dtype(info.dtype))


def _fast(value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray | None:
    """The tensor, if NumPy alone shows beyond doubt that every value is acceptable."""
    dtype = tf.as_dtype(info.dtype)
    if dtype not in _FLOAT_DIGITS and dtype not in _INT_TYPES or not isinstance(value, list):
        return None
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # ragged, or out of every range
        return None
    target = numpy_dtype(info.dtype)
    if array.ndim > _MAX_RANK:
        return None
    # NumPy takes true for 1 among numbers; such a list must be looked at value by value.
    if array.dtype.kind not in "iuf" or not array.size or _holds_booleans(value):
        return None
    if dtype in _FLOAT_DIGITS:
        # By both ends, as the lowest integer has no absolute value.
        finite, limit = np.isfinite(array), 2 ** _FLOAT_DIGITS[dtype]
        highest = np.max(array, initial=0, where=finite)
        lowest = np.min(array, initial=0, where=finite)
        return array.astype(target) if -limit < lowest and highest < limit else None
    lowest, highest = _INT_TYPES[dtype]
    if array.dtype.kind == "f" or array.min() < lowest or array.max() > highest:
        return None
    return array.astype(target)


def _holds_booleans(value: Any) -> bool:
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return any(map(_holds_booleans, value))
        return any(item is True or item is False for item in value)
    return isinstance(value, bool)


def _slow(value: Any, dtype: tf.DType) -> np.ndarray:
    shape = _shape(value)
    if len(shape) > _MAX_RANK:
        raise errors.invalid_argument(
            f"Encountered list at level: {len(shape) - 1}; tensors of more than {_MAX_RANK} "
            "dimensions cannot be sent as JSON"
        )
    leaves: list[Any] = []
    _collect(value, 0, shape, dtype, leaves)
    tensor = np.empty(len(leaves), numpy_dtype(dtype.as_datatype_enum))
    for index, leaf in enumerate(leaves):
        # Element by element, as integers wrap like those of a field list.
        tensor[index] = np.array(leaf).astype(tensor.dtype) if dtype in _INT_TYPES else leaf
    return tensor.reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _collect(
    value: Any, level: int, shape: tuple[int, ...], dtype: tf.DType, leaves: list[Any]
) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise errors.invalid_argument(
                f"JSON Value: {_text(value)} found at incorrect level: {level + 1} in the JSON "
                f"DOM. Expected at level: {len(shape)}"
            )
        leaves.append(_leaf(value, dtype))
        return
    if level >= len(shape):
        raise errors.invalid_argument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise errors.invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    for item in value:
        _collect(item, level + 1, shape, dtype, leaves)


def _leaf(value: Any, dtype: tf.DType) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype == tf.string:
        if isinstance(value, dict):
            return _decode_base64(value)
        if isinstance(value, str):
            return value.encode("utf-8", "surrogatepass")
    elif dtype in _FLOAT_DIGITS:
        if number:
            _check_lossless(value, dtype)
            return value
    elif dtype in _INT_TYPES:
        lowest, highest = _INT_TYPES[dtype]
        if number and isinstance(value, int) and lowest <= value <= highest:
            return value
    elif dtype == tf.bool:
        if isinstance(value, bool):
            return value
    elif not isinstance(value, dict):
        raise ServingError(
            _UNIMPLEMENTED,
            f"Conversion of JSON Value: {_text(value)} to type: {_type_name(dtype)}",
        )
    raise errors.invalid_argument(
        f"JSON Value: {_text(value)} Type: {_json_type(value)} is not of expected type: "
        f"{_type_name(dtype)}"
    )


def _check_lossless(value: int | float, dtype: tf.DType) -> None:
    if isinstance(value, int):
        lossless = abs(value) <= 2 ** _FLOAT_DIGITS[dtype] - 1
    else:
        lossless = not math.isfinite(value) or abs(value) <= float(dtype.max)
    if not lossless:
        raise errors.invalid_argument(
            f"Cannot convert JSON value: {_text(value)} to {_type_name(dtype)} without loss of "
            "precision."
        )


def _decode_base64(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise errors.invalid_argument(
            f"JSON Value: {_text(value)} not formatted correctly for base64 data"
        )
    try:
        text = value["b64"].rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_argument("Unable to base64 decode") from error


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _check_rows(tensors: Mapping[str, np.ndarray]) -> None:
    rows: int | None = None
    for name, array in sorted(tensors.items()):
        if not array.ndim:
            raise errors.invalid_argument(f"Tensor name: {name} has no shape information ")
        if rows is not None and len(array) != rows:
            raise errors.invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {rows}"
            )
        rows = len(array)


def _plain(name: str, array: np.ndarray) -> Any:
    """Lists and scalars that JSON can hold."""
    if array.dtype == object:
        as_base64 = name.endswith("_bytes")
        flat = [_json_string(value, as_base64) for value in array.ravel().tolist()]
        values = np.empty(array.size, object)
        values[:] = flat
        return values.reshape(array.shape).tolist()
    if array.dtype.kind == "c":
        raise errors.invalid_argument(
            f"Failed to write JSON value for tensor type: {_type_name(tf.as_dtype(array.dtype))}"
        )
    if array.dtype.itemsize < 8 and array.dtype.kind not in "iub":
        # Through text: 0.1 as float32 is 0.1 to its reader, not 0.10000000149.
        return array.astype(np.float32).astype("U").astype(np.float64).tolist()
    return array.tolist()


def _json_string(value: bytes, as_base64: bool) -> str | dict[str, str]:
    if as_base64:
        return {"b64": base64.b64encode(value).decode("ascii")}
    return value.decode("utf-8", "replace")


def _format_error(document: Any, text: str) -> ServingError:
    return errors.invalid_argument(f"JSON Value: {_text(document)} {text}")


def _is_unicode(value: Any) -> bool:
    """Whether it is a text without halves of surrogate pairs, which JSON can hold."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _text(value: Any) -> str:
    """The value as JSON, as much of it as an error's text can hold."""
    text = ""
    for piece in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        text += piece[:MAX_MESSAGE_LENGTH]
        if len(text) > MAX_MESSAGE_LENGTH:
            break
    return text


def _shape_text(tensor: np.ndarray) -> str:
    return f"[{','.join(map(str, tensor.shape))}]"


def _json_type(value: Any) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    kinds: Sequence[tuple[type, str]] = ((dict, "Object"), (list, "Array"), (str, "String"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "Number")


def _type_name(dtype: tf.DType) -> str:
    return {"float32": "float", "float64": "double", "float16": "half"}.get(dtype.name, dtype.name)
