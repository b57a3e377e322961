# SPDX-License-Identifier: Apache-2.0
"""Predict requests that are random, damaged or absurd: always the stated code, never a crash."""

from __future__ import annotations

import math
import random

import google.protobuf.message
import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

OK = grpc.StatusCode.OK
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
# What gRPC itself answers to bytes that are no PredictRequest.
NO_PROTOBUF = grpc.StatusCode.INTERNAL

SEED = 20160905
RANDOM, DAMAGED, ABSURD = 1500, 4000, 2500

# By signature: the dtype of each input.
SIGNATURES = {
    "serving_default": {"features": types_pb2.DT_FLOAT, "lengths": types_pb2.DT_INT32},
    "join": {"words": types_pb2.DT_STRING},
}
OUTPUTS = {"serving_default": {"logits", "num_frames"}, "join": {"doubled_bytes", "size"}}
# TensorFlow's other types (quantized, 8-bit floats, handles) have no place in a request here.
READABLE = {
    dtype.as_datatype_enum
    for dtype in (
        *(tf.float16, tf.float32, tf.float64, tf.bfloat16, tf.complex64, tf.complex128),
        *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64),
        *(tf.bool, tf.string),
    )
}
LARGEST_EXPANSION = 64 * 2**20


def stated(data: bytes) -> tuple[grpc.StatusCode, str | None]:
    """Code and, if the contract gives it, text that must answer these bytes."""
    try:
        request = predict_pb2.PredictRequest.FromString(data)
    except google.protobuf.message.DecodeError:
        return NO_PROTOBUF, None
    spec = request.model_spec
    if not request.HasField("model_spec"):
        return INVALID, "Missing ModelSpec"
    if not spec.name:
        return INVALID, "ModelSpec has no name specified."
    if spec.WhichOneof("version_choice") == "version_label":
        return INVALID, f"Unrecognized servable version label: {spec.version_label}"
    if spec.HasField("version") and (spec.name, spec.version.value) != ("tiny", 3):
        return NOT_FOUND, f"Servable not found for request: Specific({spec.name}, " + (
            f"{spec.version.value})"
        )
    if spec.name != "tiny":
        return NOT_FOUND, f"Servable not found for request: Latest({spec.name})"
    name = spec.signature_name or "serving_default"
    if name not in SIGNATURES:
        return PRECONDITION, f'Serving signature key "{name}" not found.'
    known = SIGNATURES[name]
    if len(request.inputs) != len(known):
        return INVALID, None
    if set(request.inputs) != set(known):
        return INVALID, None
    for alias in sorted(known):
        if not parses(request.inputs[alias]):
            return INVALID, f"tensor parsing error: {alias}"
    for alias in request.output_filter:
        if alias not in OUTPUTS[name]:
            return INVALID, None
    if len(set(request.output_filter)) < len(request.output_filter):
        return INVALID, None
    shapes = {
        alias: [dim.size for dim in t.tensor_shape.dim] for alias, t in request.inputs.items()
    }
    if any(not shape for shape in shapes.values()):
        return INVALID, "Batching Run() input tensors must have at least one dimension"
    if len({shape[0] for shape in shapes.values()}) > 1:
        return INVALID, "Batching Run() input tensors must have equal 0th-dimension size"
    for alias, dtype in known.items():
        if request.inputs[alias].dtype != dtype:
            return INVALID, None
        # All other inputs meet elementwise operations only, which take any shape.
        if alias == "features" and (len(shapes[alias]) != 2 or shapes[alias][1] != 3):
            return INVALID, None
    (rows,) = {shape[0] for shape in shapes.values()}
    return (INVALID, None) if rows > 64 else (OK, None)


def parses(proto: tensor_pb2.TensorProto) -> bool:
    """What TensorFlow's own parser, which is TensorFlow Serving's too, says of a tensor."""
    if proto.dtype not in READABLE:
        return False
    sizes = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(sizes, default=0) < 0 or len(sizes) > 32:
        return False
    dtype = tf.as_dtype(proto.dtype)
    itemsize = dtype.size
    if dtype == tf.string:
        itemsize = 24 + (len(proto.string_val[-1]) if proto.string_val else 0)
    if math.prod(max(size, 1) for size in sizes) * itemsize >= 2**63:
        return False  # empty, perhaps, but NumPy has no such shape
    is_complete = proto.tensor_content and dtype != tf.string
    if not is_complete and math.prod(sizes) * itemsize > LARGEST_EXPANSION:
        return False  # it would take the memory, and perhaps the machine
    try:
        tf.io.parse_tensor(proto.SerializeToString(), dtype)
    except tf.errors.OpError:
        return False
    return True


def expected_outputs(request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    inputs = {
        alias: tf.io.parse_tensor(proto.SerializeToString(), proto.dtype).numpy()
        for alias, proto in request.inputs.items()
    }
    if "words" in inputs:
        words = inputs["words"]
        return {
            "doubled_bytes": words + words,
            "size": np.array([*map(len, words.flat)]).reshape(words.shape),
        }
    with np.errstate(all="ignore"):
        logits = np.matmul(inputs["features"], np.full([3, 2], 3.0, np.float32))
        return {"logits": logits, "num_frames": inputs["lengths"] + np.int32(1)}


def check(data: bytes, code: grpc.StatusCode, text: str, reply: bytes) -> None:
    """Compares an outcome with the contract."""
    stated_code, stated_text = stated(data)
    assert code == stated_code, (code, text, data)
    if stated_text is not None and len(stated_text.encode()) <= 1024:
        assert text == stated_text, data
    if code == OK:
        request = predict_pb2.PredictRequest.FromString(data)
        outputs = predict_pb2.PredictResponse.FromString(reply).outputs
        expected = expected_outputs(request)
        assert set(outputs) == set(request.output_filter or expected)
        for alias in outputs:
            actual = tf.make_ndarray(outputs[alias])
            if actual.dtype == object:
                assert actual.tolist() == expected[alias].tolist()
            else:
                # TensorFlow flushes denormal numbers to zero.
                np.testing.assert_allclose(actual, expected[alias], rtol=1e-5, atol=1e-30)


# FromString says so of bytes that end a group which never began, and reads what came before.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Unexpected end-group tag"),
]


@pytest.fixture(scope="module")
def good_requests(helpers) -> list[bytes]:
    join = predict_pb2.PredictRequest()
    join.model_spec.name, join.model_spec.signature_name = "tiny", "join"
    join.inputs["words"].CopyFrom(tf.make_tensor_proto([b"ab", b"\xff", b""]))
    filtered = helpers.scores_request(rows=3)
    filtered.output_filter.append("num_frames")
    listed = helpers.scores_request(rows=2, version=3)
    listed.inputs["features"].ClearField("tensor_content")
    listed.inputs["features"].float_val.extend([1, -2, 3.5, 4, 5, 6])
    return [
        request.SerializeToString()
        for request in (helpers.scores_request(rows=5), listed, filtered, join)
    ]


def ask_among_good_ones(raw_predict, good_requests, requests) -> None:
    """Sends all, with a good request after each third, and checks every outcome."""
    sent = []
    for index, data in enumerate(requests):
        sent.append(data)
        if index % 3 == 2:
            sent.append(good_requests[index // 3 % len(good_requests)])
    for data, outcome in zip(sent, raw_predict.many(sent)):
        check(data, *outcome)


def test_good_requests_are_good(raw_predict, good_requests):
    for data in good_requests:
        assert stated(data)[0] == OK
        check(data, *raw_predict(data))


def test_random_bytes(raw_predict, good_requests):
    generator = random.Random(SEED)
    requests = [generator.randbytes(generator.choice((0, 1, 2, 5, 20, 200, 5000)))
                for _ in range(RANDOM)]  # fmt: skip
    ask_among_good_ones(raw_predict, good_requests, requests)


def damage(data: bytes, others: list[bytes], generator: random.Random) -> bytes:
    """A request with a few bytes changed, lost, doubled, or taken from another."""
    data = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        at = generator.randrange(len(data) + 1)
        length = generator.choice((1, 1, 2, 4, 8, 30))
        kind = generator.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << generator.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = generator.randbytes(length)
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5:
            del data[at:]
        else:
            other = generator.choice(others)
            cut = generator.randrange(len(other))
            data[at:] = other[cut:]
    return bytes(data)


def test_damaged_requests(raw_predict, good_requests):
    generator = random.Random(SEED + 1)
    requests = [
        damage(generator.choice(good_requests), good_requests, generator) for _ in range(DAMAGED)
    ]
    codes = {stated(data)[0] for data in requests}
    assert codes == {OK, INVALID, NOT_FOUND, PRECONDITION, NO_PROTOBUF}  # the damage is varied
    ask_among_good_ones(raw_predict, good_requests, requests)


LENGTHS = (-(2**63), -1, 0, 1, 2, 3, 5, 65, 1000, 2**20, 2**31, 2**32 + 3, 2**62, 2**63 - 1)
TEXTS = ("", "tiny", "logit", "lengths", "x" * 3000, "\0", "é" * 700, "🎤" * 300, "../../etc", "%s")


def absurd(data: bytes, generator: random.Random) -> bytes:
    """A well-formed request that asks for the impossible."""
    request = predict_pb2.PredictRequest.FromString(data)
    for _ in range(generator.choice((1, 1, 2, 3))):
        change = generator.randrange(9)
        alias = generator.choice(sorted(request.inputs) or ["features"])
        text = generator.choice(TEXTS)
        if change == 0:
            request.model_spec.name = text
        elif change == 1:
            request.model_spec.signature_name = text
        elif change == 2:
            request.model_spec.version.value = generator.choice(LENGTHS)
        elif change == 3:
            request.model_spec.version_label = text
        elif change == 4:
            request.output_filter.append(generator.choice((text, "logits", "size")))
        elif change == 5:
            request.inputs[text].CopyFrom(request.inputs[alias])
        elif change == 6:
            request.inputs[alias].dtype = generator.randrange(0, 30)
        elif change == 7:
            tensor = request.inputs[alias]
            axes = generator.choice((0, 1, 2, 3, 33, 255))
            if generator.randrange(2):
                tensor.ClearField("tensor_content")
            del tensor.tensor_shape.dim[:]
            for _ in range(axes):
                size = 1 if axes > 3 else generator.choice(LENGTHS)
                tensor.tensor_shape.dim.add(size=size)
        else:
            tensor = request.inputs[alias]
            values = generator.choice((1, 6, 1000))
            tensor.float_val.extend([math.nan] * values)
            tensor.string_val.extend([b"x" * 100] * values)
            tensor.int_val.extend([-(2**31)] * values)
    return request.SerializeToString()


def test_absurd_requests(raw_predict, good_requests):
    generator = random.Random(SEED + 2)
    requests = [absurd(generator.choice(good_requests), generator) for _ in range(ABSURD)]
    codes = {stated(data)[0] for data in requests}
    assert codes == {OK, INVALID, NOT_FOUND, PRECONDITION}
    ask_among_good_ones(raw_predict, good_requests, requests)


def test_unknown_groups_in_a_tensor(raw_predict, helpers):
    request = helpers.scores_request(rows=1)
    request.inputs["features"].ClearField("tensor_content")
    # Field 100 as a group, which holds a varint: what no version of TensorProto has.
    group = bytes([0xA3, 0x06, 0x08, 0x01, 0xA4, 0x06])
    request.inputs["features"].MergeFromString(group)
    data = request.SerializeToString()
    assert group in data
    check(data, *raw_predict(data))


def test_every_dtype_for_every_input(raw_predict, helpers):
    requests = []
    for dtype in (tf.float64, tf.int64, tf.bool, tf.string, tf.complex64, tf.bfloat16, tf.uint8):
        for alias, shape in (("features", [2, 3]), ("lengths", [2])):
            request = helpers.scores_request(rows=2)
            value = tf.fill(shape, "1") if dtype == tf.string else tf.cast(tf.ones(shape), dtype)
            request.inputs[alias].CopyFrom(tf.make_tensor_proto(value))
            requests.append((request.SerializeToString(), alias, dtype))
    outcomes = raw_predict.many([data for data, _, _ in requests])
    for (data, alias, dtype), (code, text, reply) in zip(requests, outcomes):
        check(data, code, text, reply)
        name = {"float64": "double"}.get(dtype.name, dtype.name)
        position, wanted = {"features": (0, "float"), "lengths": (1, "int32")}[alias]
        assert text == f"Expects arg[{position}] to be {wanted} but {name} is provided"


def test_other_methods_take_random_bytes_too(server, raw_predict):
    generator = random.Random(SEED + 3)
    prefix = "/tensorflow.serving."
    for method in (
        "PredictionService/GetModelMetadata",
        "PredictionService/Classify",
        "PredictionService/NoSuchMethod",
        "ModelService/GetModelStatus",
        "ModelService/HandleReloadConfigRequest",
    ):
        call = raw_predict._channel.unary_unary(prefix + method)
        calls = [
            call.future(generator.randbytes(generator.randrange(40)), timeout=60) for _ in range(50)
        ]
        codes = {one.code() for one in calls}
        assert codes <= {
            INVALID, NOT_FOUND, NO_PROTOBUF, grpc.StatusCode.UNIMPLEMENTED
        }, (method, codes)  # fmt: skip
