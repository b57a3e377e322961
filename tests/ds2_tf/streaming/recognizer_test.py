# SPDX-License-Identifier: Apache-2.0
"""Streams in this process against the recognizer of whole recordings."""

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.errors import UserError
from ds2_tf.recognizer import Recognizer
from ds2_tf.streaming.recognizer import StreamingRecognizer


@pytest.fixture(scope="module")
def streaming(streaming_model_directory):
    return StreamingRecognizer.load(streaming_model_directory)


@pytest.fixture(scope="module")
def whole(streaming_model_directory):
    return Recognizer.load(streaming_model_directory)


def test_text_and_score_of_the_whole(streaming, whole, noise):
    recordings = [noise(length, seed) for seed, length in enumerate((20000, 7321))]
    expected = whole.recognize([r.astype(np.float32) / 2**15 for r in recordings])
    # Both at once: streams of one recognizer do not meet.
    streams = [streaming.stream(), streaming.stream(chunk_seconds=0.03)]
    for start in range(0, 20000, 3000):
        for stream, recording in zip(streams, recordings):
            stream.feed(recording[start : start + 3000])
    for stream, recognition in zip(streams, expected):
        transcript = stream.finish()
        assert transcript.text.split() == recognition.text.split()
        assert len(transcript.text) > 3
        assert transcript.score == pytest.approx(recognition.score, rel=1e-5)
        assert transcript.words[-1].end <= len(recognition.log_probs) * 0.04 + 1e-9


def test_with_a_decoder(streaming, whole, noise):
    recording = noise(16000)
    search = BeamSearch(whole.alphabet)
    (recognition,) = whole.recognize([recording.astype(np.float32) / 2**15])
    (best,) = search.decode(recognition.log_probs)
    with streaming.stream(decoder=search) as stream:
        stream.feed(recording)
        transcript = stream.finish()
    assert transcript.text == best.text
    assert transcript.score == pytest.approx(best.total, rel=1e-4)
    assert [word.start for word in transcript.words] == pytest.approx(
        [0.04 * word.start for word in best.words]
    )


def test_a_model_that_needs_the_whole(tiny_model_directory):
    with pytest.raises(UserError, match="needs the whole utterance"):
        StreamingRecognizer.load(tiny_model_directory)
