# SPDX-License-Identifier: Apache-2.0
"""Recordings with malformed headers, in one batch with sound ones."""

from __future__ import annotations

import io
import random
import wave

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

pytestmark = pytest.mark.slow

SEED = 440
REQUESTS, ITEMS = 100, 15


def wav(samples, rate: int = 16000, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return buffer.getvalue()


GOOD = wav(np.arange(-800, 800))
# What the graph answers for it: samples, their sum of absolute values, and their rate.
GOOD_ANSWER = (1600, np.abs(np.arange(-800, 800) / 2**15).sum(), 16000)


@pytest.fixture
def transcribe(raw_predict):
    def ask(items):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "wav", "transcribe"
        request.inputs["wav"].CopyFrom(tf.make_tensor_proto(np.array(items, object)))
        return request.SerializeToString()

    return ask


def answers(outcome):
    code, text, reply = outcome
    assert code.name == "OK", text
    outputs = predict_pb2.PredictResponse.FromString(reply).outputs
    columns = (tf.make_ndarray(outputs[n]) for n in ("num_samples", "loudness", "sample_rate"))
    return list(zip(*columns))


def damage(data: bytes, generator: random.Random) -> bytes:
    """A file with a damaged header."""
    data = bytearray(data)
    for _ in range(generator.choice((1, 1, 2, 4))):
        at = generator.randrange(44)
        kind = generator.randrange(5)
        if kind == 0:
            data[at] = generator.randrange(256)
        elif kind == 1:
            # A field of 4 or 2 bytes at its extremes, the lengths and the rate above all.
            field = generator.choice((4, 16, 20, 22, 24, 28, 32, 34, 40))
            data[field : field + 4] = generator.choice(
                (b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\x01\0\0\0", generator.randbytes(4))
            )
        elif kind == 2:
            del data[at : at + generator.choice((1, 2, 8))]
        elif kind == 3:
            data[at:at] = generator.randbytes(generator.choice((1, 2, 8)))
        else:
            del data[at:]
            data += bytes(44)  # so that there is something to damage
    return bytes(data)


def test_damaged_headers(raw_predict, transcribe):
    generator = random.Random(SEED)
    sources = [GOOD, wav(np.arange(900), 8000), wav(np.arange(1000), 44100, 2), bytes(60)]
    requests = [
        transcribe([GOOD] + [damage(generator.choice(sources), generator) for _ in range(ITEMS)])
        for _ in range(REQUESTS)
    ]
    num_refused = 0
    for outcome in raw_predict.many(requests, at_once=8):
        first, *others = answers(outcome)
        assert first == pytest.approx(GOOD_ANSWER, rel=1e-5)
        num_refused += sum(rate == 0 for _, _, rate in others)
        for num_samples, loudness, rate in others:
            assert rate == 0 or 1000 <= rate <= 384000
            assert 0 <= num_samples <= 16 * 1600 and np.isfinite(loudness)
            assert rate or not num_samples
    assert 0.2 < num_refused / (REQUESTS * ITEMS) < 0.99  # the damage is varied


def test_random_bytes_as_recordings(raw_predict, transcribe):
    generator = random.Random(SEED + 1)
    items = [generator.randbytes(generator.choice((0, 1, 12, 44, 500))) for _ in range(500)]
    requests = [transcribe(items[start : start + 50]) for start in range(0, len(items), 50)]
    for outcome in raw_predict.many(requests):
        assert answers(outcome) == [(0, 0.0, 0)] * 50
