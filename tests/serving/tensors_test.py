# SPDX-License-Identifier: Apache-2.0
"""The tensor codec against TensorFlow's own."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from serving.tensors import tensor_from_proto, tensor_to_proto

DTYPES = [
    np.float32, np.float64, np.int32, np.uint8, np.int16, np.int8, np.complex64, np.int64, np.bool_,
    ml_dtypes.bfloat16, np.uint16, np.complex128, np.float16, np.uint32, np.uint64,
]  # fmt: skip


def example(dtype, shape=(2, 3)) -> np.ndarray:
    values = np.random.default_rng(1).integers(0, 100, shape)
    array = values.astype(dtype)
    if np.dtype(dtype).kind == "c":
        array += 1j * array[::-1]
    if np.dtype(dtype).kind in "if":
        array = array - np.array(50, dtype)
    return array


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_encoding_is_read_by_tensorflow(dtype, as_content):
    array = example(dtype)
    proto = tensor_pb2.TensorProto()
    tensor_to_proto(array, proto, as_content=as_content)
    assert bool(proto.tensor_content) == as_content
    decoded = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(dtype)).numpy()
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_reads_both_of_tensorflows_encodings(dtype):
    array = example(dtype)
    content = tensor_pb2.TensorProto.FromString(tf.io.serialize_tensor(array).numpy())
    fields = tf.make_tensor_proto(array.ravel().tolist(), tf.as_dtype(dtype), array.shape)
    for proto in (content, fields):
        decoded = tensor_from_proto(proto)
        assert decoded.dtype == array.dtype
        np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("as_content", [False, True])
def test_strings(as_content):
    array = np.array([[b"", b"a"], [b"\xff" * 300, b"\0b\0"]], dtype=object)
    proto = tensor_pb2.TensorProto()
    tensor_to_proto(array, proto, as_content=as_content)
    decoded = tf.io.parse_tensor(proto.SerializeToString(), tf.string).numpy()
    np.testing.assert_array_equal(decoded, array)
    np.testing.assert_array_equal(tensor_from_proto(proto), array)


def test_numpy_byte_strings_are_strings():
    proto = tensor_pb2.TensorProto()
    tensor_to_proto(np.array([b"ab", b"c"]), proto)
    assert list(proto.string_val) == [b"ab", b"c"]


def test_layout_in_memory_does_not_matter():
    array = np.arange(6, dtype=np.float16).reshape(2, 3).T[::-1]
    proto = tensor_pb2.TensorProto()
    tensor_to_proto(array, proto)
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def test_type_without_a_proto():
    with pytest.raises(ValueError, match="datetime64"):
        tensor_to_proto(np.array("2020-01-01", np.datetime64), tensor_pb2.TensorProto())


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1, 1)], ids=str)
def test_unusual_shapes(shape):
    array = np.full(shape, 7, np.float32)
    proto = tensor_pb2.TensorProto()
    tensor_to_proto(array, proto)
    assert tensor_from_proto(proto).shape == shape
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def test_field_list_is_found_behind_other_fields():
    # Field number 3 and the shape's dimension names precede the values on the wire.
    proto = tf.make_tensor_proto([1.5, 2.5])
    proto.version_number = 300
    proto.tensor_shape.dim[0].name = "batch"
    np.testing.assert_array_equal(tensor_from_proto(proto), [1.5, 2.5])


@pytest.mark.parametrize(
    "field, values, expected",
    [
        ("float_val", [1.0, 2.0], [1.0, 2.0, 2.0, 2.0]),
        ("float_val", [], [0.0] * 4),
        ("float_val", [1.0] * 9, [1.0] * 4),
        ("string_val", [b"x"], [b"x"] * 4),
    ],
)
def test_short_and_long_field_lists_follow_tensorflow(field, values, expected):
    proto = tensor_pb2.TensorProto(dtype=1 if field == "float_val" else 7)
    proto.tensor_shape.dim.add().size = 4
    getattr(proto, field).extend(values)
    assert tensor_from_proto(proto).tolist() == expected
    dtype = tf.as_dtype(proto.dtype)
    assert tf.io.parse_tensor(proto.SerializeToString(), dtype).numpy().tolist() == expected


@pytest.mark.parametrize(
    "damage",
    [
        dict(dtype=0),
        dict(dtype=20),  # a resource
        dict(dtype=1, tensor_content=b"12345"),
        dict(dtype=7, tensor_content=b"\x05abc"),
        dict(dtype=7, tensor_content=b"\x80"),
        dict(dtype=1, tensor_shape={"dim": [{"size": 2**40}, {"size": 2**40}]}),
        dict(dtype=1, tensor_shape={"dim": [{"size": 2**61}]}),
        dict(dtype=1, tensor_shape={"unknown_rank": True}),
    ],
    ids=str,
)
def test_damage_is_a_value_error(damage):
    with pytest.raises(ValueError):
        tensor_from_proto(tensor_pb2.TensorProto(**damage))
