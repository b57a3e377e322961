# SPDX-License-Identifier: Apache-2.0
"""NumPy arrays to TensorProto and back, fast.

`tf.make_ndarray` and `tf.make_tensor_proto` walk field lists element by element in Python: 2.5 ms
for a 322 kB tensor. Fixed-width field lists are one contiguous run of bytes on the wire, so here
they are cut out of, or merged in as, the serialized message: 16 us for the same tensor.

Covers numeric, boolean and string tensors. Quantized, resource and variant tensors have no place
in a request and count as unparsable.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from tensorflow.core.framework import tensor_pb2, types_pb2

_WIRE_VARINT, _WIRE_FIXED64, _WIRE_BYTES, _WIRE_FIXED32 = 0, 1, 2, 5
_MAX_ELEMENTS = 2**63 - 1
# A field list may be shorter than its tensor, so that a message of a few bytes can ask for any
# amount of memory. This much is more than 17 minutes of silence.
_MAX_EXPANDED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class _Field:
    """How one dtype travels in a field list.

    Attributes:
        name: field of TensorProto.
        stored: dtype of one stored number; complex values store two.
        packed: whether the list's bytes on the wire are the array's own bytes.
    """

    name: str
    stored: np.dtype
    packed: bool = False

    @functools.cached_property
    def number(self) -> int:
        return tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name[self.name].number

    @functools.cached_property
    def tag(self) -> bytes:
        """What precedes the length of the packed list on the wire."""
        return _varint(self.number << 3 | _WIRE_BYTES)


_DTYPES = {
    types_pb2.DT_FLOAT: np.dtype(np.float32),
    types_pb2.DT_DOUBLE: np.dtype(np.float64),
    types_pb2.DT_INT32: np.dtype(np.int32),
    types_pb2.DT_UINT8: np.dtype(np.uint8),
    types_pb2.DT_INT16: np.dtype(np.int16),
    types_pb2.DT_INT8: np.dtype(np.int8),
    types_pb2.DT_STRING: np.dtype(object),
    types_pb2.DT_COMPLEX64: np.dtype(np.complex64),
    types_pb2.DT_INT64: np.dtype(np.int64),
    types_pb2.DT_BOOL: np.dtype(np.bool_),
    types_pb2.DT_BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    types_pb2.DT_UINT16: np.dtype(np.uint16),
    types_pb2.DT_COMPLEX128: np.dtype(np.complex128),
    types_pb2.DT_HALF: np.dtype(np.float16),
    types_pb2.DT_UINT32: np.dtype(np.uint32),
    types_pb2.DT_UINT64: np.dtype(np.uint64),
}
_ENUMS = {dtype: enum for enum, dtype in _DTYPES.items()}

_INT = _Field("int_val", np.dtype(np.int32))
_HALF = _Field("half_val", np.dtype(np.uint16))  # the bit pattern
_CONTENT = _Field("tensor_content", np.dtype(np.uint8), packed=True)
_FIELDS = {
    types_pb2.DT_FLOAT: _Field("float_val", np.dtype(np.float32), packed=True),
    types_pb2.DT_DOUBLE: _Field("double_val", np.dtype(np.float64), packed=True),
    types_pb2.DT_COMPLEX64: _Field("scomplex_val", np.dtype(np.float32), packed=True),
    types_pb2.DT_COMPLEX128: _Field("dcomplex_val", np.dtype(np.float64), packed=True),
    types_pb2.DT_INT8: _INT,
    types_pb2.DT_INT16: _INT,
    types_pb2.DT_INT32: _INT,
    types_pb2.DT_UINT8: _INT,
    types_pb2.DT_UINT16: _INT,
    types_pb2.DT_INT64: _Field("int64_val", np.dtype(np.int64)),
    types_pb2.DT_UINT32: _Field("uint32_val", np.dtype(np.uint32)),
    types_pb2.DT_UINT64: _Field("uint64_val", np.dtype(np.uint64)),
    types_pb2.DT_BOOL: _Field("bool_val", np.dtype(np.bool_), packed=True),
    types_pb2.DT_HALF: _HALF,
    types_pb2.DT_BFLOAT16: _HALF,
}


def numpy_dtype(enum: int) -> np.dtype:
    """The NumPy dtype of a `types_pb2.DataType`; strings are object arrays of bytes.

    Raises:
        ValueError: a dtype that no request can carry.
    """
    if enum not in _DTYPES:
        raise ValueError(f"cannot read a tensor of data type {enum}")
    return _DTYPES[enum]


def dtype_enum(dtype: np.dtype) -> int:
    """The `types_pb2.DataType` of an array's dtype.

    Raises:
        ValueError: a dtype that no message can carry.
    """
    if dtype not in _ENUMS:
        raise ValueError(f"cannot write a tensor of data type {dtype}")
    return _ENUMS[dtype]


def tensor_from_proto(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """Decodes a tensor, from `tensor_content` or from a field list.

    A field list shorter than the tensor repeats its last value and an empty one gives zeros, as
    in TensorFlow, up to tensors of 64 MiB. The array may be read-only.

    Raises:
        ValueError: an unsupported dtype, an unknown shape, over 32 axes, or content of the wrong
            size.
    """
    dtype = numpy_dtype(proto.dtype)
    shape = _shape(proto)
    size = math.prod(shape)
    if not size:  # whatever else the message holds
        values = np.empty(0, dtype)
    elif dtype.hasobject:
        values = _string_values(proto, size)
    elif content := proto.tensor_content:  # which is copied each time that it is looked at
        if len(content) != size * dtype.itemsize:
            raise ValueError(
                f"tensor_content has {len(content)} bytes, the shape {shape} needs "
                f"{size * dtype.itemsize}"
            )
        values = np.frombuffer(content, dtype)
    else:
        values = _fill(_field_list(proto, dtype), size)
    return values.reshape(shape)


def tensor_to_proto(
    array: np.ndarray, proto: tensor_pb2.TensorProto, *, as_content: bool = False
) -> None:
    """Encodes `array` into the empty message `proto`.

    Args:
        array: any shape; strings are object arrays of bytes, or NumPy bytes arrays.
        proto: the message to fill.
        as_content: write `tensor_content` (raw bytes); False writes the dtype's field list.

    Raises:
        ValueError: a dtype that no message can carry.
    """
    array = np.asarray(array, order="C")
    if array.dtype.kind == "S":
        array = array.astype(object)
    enum = dtype_enum(array.dtype)
    header = _header(enum, array.shape)
    field = _CONTENT if as_content else _FIELDS.get(enum)
    if array.size and not array.dtype.hasobject and field.packed:
        # All in one message: setting one field after the other takes longer than the values do.
        values = array.reshape(-1).view(np.uint8).data
        proto.MergeFromString(b"".join((header, field.tag, _varint(values.nbytes), values)))
        return
    proto.MergeFromString(header)
    if enum == types_pb2.DT_STRING:
        strings = array.ravel().tolist()
        if as_content:
            lengths = b"".join(_varint(len(string)) for string in strings)
            proto.tensor_content = lengths + b"".join(strings)
        else:
            proto.string_val.extend(strings)
    elif array.size:
        stored = array.view(field.stored) if field is _HALF else array
        getattr(proto, field.name).extend(stored.ravel().tolist())


@functools.lru_cache(maxsize=4096)
def _header(enum: int, shape: tuple[int, ...]) -> bytes:
    """A serialized tensor of this type and shape, but for its values."""
    proto = tensor_pb2.TensorProto(dtype=enum)
    proto.tensor_shape.SetInParent()
    for length in shape:
        proto.tensor_shape.dim.add().size = length
    return proto.SerializeToString()


def _shape(proto: tensor_pb2.TensorProto) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    if proto.tensor_shape.unknown_rank or any(length < 0 for length in shape):
        raise ValueError("the shape of a request's tensor must be fully known")
    if math.prod(shape) > _MAX_ELEMENTS:
        raise ValueError(f"the shape {shape} has too many elements")
    return shape


def _field_list(proto: tensor_pb2.TensorProto, dtype: np.dtype) -> np.ndarray:
    field = _FIELDS[proto.dtype]
    if field.packed:
        return np.frombuffer(_packed_bytes(proto, field.number), dtype)
    # Through int64, as out-of-range values wrap in TensorFlow too.
    stored = np.array(getattr(proto, field.name), dtype=_wide(field.stored)).astype(field.stored)
    return stored.view(dtype) if field is _HALF else stored.astype(dtype)


def _wide(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.uint64) if dtype == np.uint64 else np.dtype(np.int64)


def _fill(values: np.ndarray, size: int) -> np.ndarray:
    if len(values) >= size:
        return values[:size]
    _check_expansion(size, values.itemsize)
    filled = np.empty(size, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else 0
    return filled


def _check_expansion(size: int, itemsize: int) -> None:
    if size * itemsize > _MAX_EXPANDED_BYTES:
        raise ValueError(
            f"the message holds fewer than {size} elements, and so many may not be filled in"
        )


def _string_values(proto: tensor_pb2.TensorProto, size: int) -> np.ndarray:
    if proto.tensor_content:
        strings = _split_strings(proto.tensor_content, size)
    else:
        strings = list(proto.string_val[:size])
        if len(strings) < size:
            # What an empty string takes in the graph.
            _check_expansion(size, 24 + (len(strings[-1]) if strings else 0))
        strings += [strings[-1] if strings else b""] * (size - len(strings))
    values = np.empty(size, object)
    values[:] = strings
    return values


def _split_strings(content: bytes, count: int) -> list[bytes]:
    lengths, position = [], 0
    for _ in range(count):
        length, position = _read_varint(content, position)
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError("tensor_content does not hold the announced strings")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return strings


def _packed_bytes(proto: tensor_pb2.TensorProto, number: int) -> memoryview:
    """The bytes of a packed field, cut out of the serialized message."""
    data = memoryview(proto.SerializeToString())
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        wire_type = tag & 7
        if wire_type == _WIRE_BYTES:
            length, position = _read_varint(data, position)
            if tag >> 3 == number:
                return data[position : position + length]
            position += length
        elif wire_type == _WIRE_VARINT:
            _, position = _read_varint(data, position)
        elif wire_type == _WIRE_FIXED64:
            position += 8
        elif wire_type == _WIRE_FIXED32:
            position += 4
        else:  # a group: unknown fields, which come after all known ones
            break
    return data[:0]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("malformed variable-length integer")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
