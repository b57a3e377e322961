# SPDX-License-Identifier: Apache-2.0
"""The stored features, read back by the library and by hand."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.records import make_example, parse_example

UTTERANCE = Utterance(
    "ä1", "a.wav", "hello", speaker="anna", split="dev", extra={"accent": "scottish", "age": 41}
)


def spectrogram(frames=7, bins=161, seed=0):
    return np.random.default_rng(seed).uniform(-13.8, 9, (frames, bins)).astype(np.float32)


@settings(deadline=None, max_examples=20)
@given(frames=st.integers(0, 50), bins=st.integers(1, 200), seed=st.integers(0, 100))
def test_round_trip_within_half_precision(frames, bins, seed):
    written = spectrogram(frames, bins, seed)
    serialized = make_example(UTTERANCE, written, 1.5).SerializeToString()
    parsed = parse_example(serialized, bins)
    assert parsed["spectrogram"].dtype == tf.float32
    assert parsed["num_frames"].dtype == tf.int32 and parsed["num_frames"] == frames
    # float16 keeps 11 significant bits, and of numbers under 2^-14 those down to 2^-24.
    found = parsed["spectrogram"].numpy()
    np.testing.assert_allclose(found, written, rtol=2.0**-11, atol=2.0**-25)
    assert parsed["id"].numpy().decode() == "ä1"
    assert parsed["transcript"].numpy() == b"hello"
    assert parsed["speaker"].numpy() == b"anna"
    assert parsed["duration"].numpy() == np.float32(1.5)


def test_the_format_is_as_documented():
    written = spectrogram()
    serialized = make_example(UTTERANCE, written, 1.5).SerializeToString()
    features = tf.train.Example.FromString(serialized).features.feature
    stored = features["spectrogram"].bytes_list.value[0]
    np.testing.assert_array_equal(
        np.frombuffer(stored, "<f2").reshape(7, 161), written.astype(np.float16)
    )
    assert features["num_frames"].int64_list.value == [7]
    assert features["split"].bytes_list.value == [b"dev"]
    assert features["accent"].bytes_list.value == [b"scottish"]
    assert features["age"].float_list.value == [41.0]


def test_unknown_speaker_and_split_are_empty():
    example = make_example(Utterance("a", "a.wav", "b"), spectrogram(), 1.0)
    assert example.features.feature["speaker"].bytes_list.value == [b""]
    assert example.features.feature["split"].bytes_list.value == [b""]


def test_parses_inside_a_graph():
    records = [
        make_example(Utterance(f"u{n}", "a", "b"), spectrogram(n), 0.1).SerializeToString()
        for n in (1, 4)
    ]
    dataset = tf.data.Dataset.from_tensor_slices(records).map(lambda r: parse_example(r, 161))
    shapes = [parsed["spectrogram"].shape for parsed in dataset.as_numpy_iterator()]
    assert shapes == [(1, 161), (4, 161)]


def test_further_fields_may_not_shadow_the_format():
    utterance = Utterance("a", "a.wav", "b", extra={"num_frames": 3})
    with pytest.raises(ValueError, match="'num_frames' of a is a reserved name"):
        make_example(utterance, spectrogram(), 1.0)
