# SPDX-License-Identifier: Apache-2.0
"""A good request that meets a bad one in its batch gets exactly its own result."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

pytestmark = pytest.mark.slow

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def number_request(*words: str) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "wav", "number"
    request.inputs["words"].CopyFrom(tf.make_tensor_proto([word.encode() for word in words]))
    return request.SerializeToString()


def sums_request(rows: np.ndarray) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "tiny", "sums"
    request.inputs["rows"].CopyFrom(tf.make_tensor_proto(rows))
    return request.SerializeToString()


def output(reply: bytes, name: str) -> np.ndarray:
    return tf.make_ndarray(predict_pb2.PredictResponse.FromString(reply).outputs[name])


def test_a_run_that_fails(server, raw_predict):
    # The graph itself fails on what is no number, and with it all of the batch.
    runs = server.metric("batching_session:wrapped_run_count")
    requests = [number_request(str(i), f"{i}.5") for i in range(300)]
    requests[::10] = [number_request("1", f"bad{i}") for i in range(30)]
    outcomes = raw_predict.many(requests)
    for index, (code, text, reply) in enumerate(outcomes):
        if index % 10:
            assert code == grpc.StatusCode.OK, text
            assert output(reply, "value").tolist() == [index, index + 0.5]
        else:
            assert code == INVALID
            assert f"could not correctly convert string: bad{index // 10}" in text
    # They did meet: each alone would be 300 runs, and each twice is what failing costs at most.
    assert server.metric("batching_session:wrapped_run_count") - runs < 550


def test_requests_that_the_graph_rules_out(raw_predict, helpers):
    good = helpers.scores_request(rows=3)
    bad = []
    for value in (
        np.ones([1, 3]),  # float64
        np.ones([1, 4], np.float32),
        np.ones([1, 3, 1], np.float32),
        np.ones([1], np.float32),
    ):
        request = helpers.scores_request()
        request.inputs["features"].CopyFrom(tf.make_tensor_proto(value))
        bad.append(request.SerializeToString())
    requests = [good.SerializeToString(), *bad] * 40
    for index, (code, text, reply) in enumerate(raw_predict.many(requests)):
        if index % 5:
            assert code == INVALID
            assert text.startswith(
                [
                    "Expects arg[0] to be float but double is provided",
                    "Matrix size-incompatible: In[0]: [1,4], In[1]: [3,2]",
                    "In[0] ",
                    "In[0] ndims must be >= 2",
                ][index % 5 - 1]
            ), text
        else:
            assert code == grpc.StatusCode.OK, text
            assert output(reply, "logits").tolist() == [[9.0, 9.0]] * 3


def test_empty_tensors(raw_predict):
    # Padding has no element to pad them with.
    requests = [
        sums_request(np.ones([1, 7 if index % 2 else 0], np.float32)) for index in range(60)
    ]
    for index, (code, text, reply) in enumerate(raw_predict.many(requests)):
        assert code == grpc.StatusCode.OK, text
        assert output(reply, "sum").tolist() == [7.0 if index % 2 else 0.0]


@pytest.mark.parametrize("rows", [1, 4])
def test_a_million_samples(raw_predict, rows):
    samples = np.random.default_rng(rows).normal(size=[rows, 1_000_000]).astype(np.float32)
    code, text, reply = raw_predict(sums_request(samples))
    assert code == grpc.StatusCode.OK, text
    np.testing.assert_array_equal(output(reply, "width"), samples)
    np.testing.assert_allclose(output(reply, "sum"), samples.sum(axis=1), rtol=1e-2)


def test_memory_comes_back(server, raw_predict, helpers):
    names = [helpers.scores_request(f"{i}" + "x" * 300_000) for i in range(40)]
    labels = [helpers.scores_request() for _ in range(40)]
    for index, request in enumerate(labels):
        request.model_spec.version_label = f"{index}" + "y" * 300_000
    announced = predict_pb2.PredictRequest()
    announced.CopyFrom(helpers.scores_request())
    announced.inputs["features"].ClearField("tensor_content")
    announced.inputs["features"].tensor_shape.dim[0].size = 5_000_000
    samples = sums_request(np.ones([4, 1_000_000], np.float32))

    def abuse():
        requests = [request.SerializeToString() for request in names + labels]
        raw_predict.many([*requests, samples, *[announced.SerializeToString()] * 10, samples])

    level = server.megabytes()
    for _ in range(5):
        abuse()
    # 120 MB of names and labels have come in, 160 MB of samples and announcements of 3 GB.
    assert server.comes_down_to(level + 200)
