# SPDX-License-Identifier: Apache-2.0
"""Pieces, chunks and text, with a network whose answers are known."""

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamSearch, Partial
from ds2_tf.decoding.decoder import Decoder
from ds2_tf.errors import UserError
from ds2_tf.streaming.recognition_stream import RecognitionStream
from ds2_tf.streaming.results import StreamInfo, TimedWord
from ds2_tf.text.alphabet import Alphabet

TEXT = "hello new world"


class Reciter:
    """Says a letter of `TEXT` for every 100 samples, two letters late.

    The state is the number of samples heard. Fails once at each of `failures`, counted in calls.
    """

    info = StreamInfo(Alphabet.english(), 1000, 100, 2, 1)

    def __init__(self, failures=()):
        self.chunks = []
        self._failures = set(failures)
        self._calls = 0

    def step(self, samples, num_samples, state):
        self._fail()
        assert samples.dtype == np.float32 and state.shape == (1,)
        self.chunks.append((len(samples), samples[:num_samples]))
        before, after = int(state[0]), int(state[0]) + num_samples
        return self._letters(before // 100 - 2, after // 100 - 2), np.float32([after])

    def finish(self, state):
        self._fail()
        heard = int(state[0]) // 100
        return self._letters(heard - 2, heard)

    def _letters(self, start, end):
        labels = self.info.alphabet.encode(TEXT)
        log_probs = np.full((max(end, 0) - max(start, 0), 29), -20.0, np.float32)
        for frame, letter in zip(log_probs, range(max(start, 0), max(end, 0))):
            # A blank within "hello", to keep its letters apart.
            frame[0 if letter == 3 else labels[letter]] = -1e-3
        return log_probs

    def _fail(self):
        self._calls += 1
        if self._calls in self._failures:
            raise UserError("unavailable")


# The second l of "hello" is the blank.
HEARD = "helo new world"
AUDIO = (np.arange(1500) / 1500).astype(np.float32)


@pytest.mark.parametrize("size", [1, 70, 250, 251, 1000, 1500])
def test_chunks_of_one_size_from_pieces_of_any(size):
    network = Reciter()
    with RecognitionStream(network, chunk_seconds=0.25) as stream:
        for start in range(0, 1500, size):
            stream.feed(AUDIO[start : start + size])
        transcript = stream.finish()
    assert {length for length, _ in network.chunks} == {250}
    np.testing.assert_array_equal(np.concatenate([x for _, x in network.chunks]), AUDIO)
    assert transcript.text == HEARD
    assert transcript.words == (
        TimedWord("helo", 0.0, 0.5),
        TimedWord("new", pytest.approx(0.6), pytest.approx(0.9)),
        TimedWord("world", 1.0, 1.5),
    )
    assert transcript.duration == 1.5
    assert transcript.score == pytest.approx(-15e-3, rel=1e-3)
    assert stream.finish() is transcript


def test_partial_texts():
    stream = RecognitionStream(Reciter(), chunk_seconds=0.1)
    partials = [stream.feed(AUDIO[start : start + 100]) for start in range(0, 1500, 100)]
    assert partials[:3] == [Partial("", ""), Partial("", ""), Partial("", "h")]
    assert partials[6] == Partial("", "helo")
    assert partials[7] == Partial("helo", "")
    assert partials[8] == Partial("helo", "n")
    assert partials[14] == Partial("helo new", "wor")
    assert stream.duration == 1.5
    assert stream.latency > 0


def test_a_piece_that_fills_no_chunk_changes_nothing():
    network = Reciter()
    stream = RecognitionStream(network, chunk_seconds=1.0)
    assert stream.feed(AUDIO[:999]) == Partial("", "")
    assert not network.chunks
    assert stream.feed(AUDIO[999:1000]) == Partial("helo", "new"[:2])


@pytest.mark.parametrize("make", [lambda search: search, Decoder], ids=["search", "decoder"])
def test_with_a_decoder(make):
    stream = RecognitionStream(Reciter(), decoder=make(BeamSearch(Alphabet.english())))
    assert stream.feed(AUDIO[:1400]).unstable.endswith("wo")
    transcript = stream.finish()
    assert transcript.text == HEARD[:-1]
    assert [word.text for word in transcript.words] == ["helo", "new", "worl"]
    assert transcript.words[1].start == pytest.approx(0.6)


def test_decoder_of_another_alphabet():
    with pytest.raises(UserError, match="make a decoder package for this model"):
        RecognitionStream(Reciter(), decoder=BeamSearch(Alphabet("ab")))


def test_integers_and_another_sample_rate():
    network = Reciter()
    stream = RecognitionStream(network, chunk_seconds=0.25, sample_rate=4000)
    time = np.arange(6000) / 4000
    tone = np.sin(2 * np.pi * 50 * time)
    for piece in np.split((16384 * tone).astype(np.int16), [100, 101, 3000]):
        stream.feed(piece)
    assert stream.finish().text == HEARD
    heard = np.concatenate([x for _, x in network.chunks])
    assert len(heard) == 1500
    np.testing.assert_allclose(heard[100:-100], 0.5 * tone[::4][100:-100], atol=1e-3)


@pytest.mark.parametrize(
    "samples",
    [np.zeros((2, 5), np.float32), np.zeros(5, np.int32), np.array([0.0, np.nan])],
    ids=["two axes", "32 bits", "not a number"],
)
def test_unfit_samples(samples):
    with pytest.raises(UserError, match="(Expected|Some)"):
        RecognitionStream(Reciter()).feed(samples)


def test_after_a_failure_nothing_is_lost_or_heard_twice():
    network = Reciter(failures=(3, 8))
    stream = RecognitionStream(network, chunk_seconds=0.25)
    with pytest.raises(UserError, match="unavailable"):
        stream.feed(AUDIO)
    stream.feed(AUDIO[:0])
    with pytest.raises(UserError, match="unavailable"):
        stream.finish()
    assert stream.finish().text == HEARD
    np.testing.assert_array_equal(np.concatenate([x for _, x in network.chunks]), AUDIO)


def test_nothing_follows_the_end():
    stream = RecognitionStream(Reciter())
    assert stream.finish().text == ""
    assert stream.finish().words == ()
    with pytest.raises(UserError, match="start another one"):
        stream.feed(AUDIO)


def test_senseless_numbers():
    for arguments in ({"chunk_seconds": 0.0}, {"chunk_seconds": 1e-5}, {"sample_rate": -1}):
        with pytest.raises(UserError, match="got"):
            RecognitionStream(Reciter(), **arguments)
