# SPDX-License-Identifier: Apache-2.0
"""The network in steps against the network on the whole utterance."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.audio.spectrogram import log_spectrogram
from ds2_tf.config import ConvolutionConfig, ModelConfig
from ds2_tf.errors import UserError
from ds2_tf.streaming.network import StreamedNetwork

# Also none, less than a hop, hops that leave frames pending, and whole frames.
LENGTHS = [9000, 4321, 640, 1761, 161, 100, 0, 7520]


@pytest.fixture(scope="module")
def recordings(noise):
    return [noise(n, seed).astype(np.float32) / 2**15 for seed, n in enumerate(LENGTHS)]


def whole(network, recording):
    """Log probabilities [frames, labels] of the network on a whole recording."""
    if len(recording) < 160:
        return np.zeros((0, network.num_labels), np.float32)
    spectrogram, num_frames = log_spectrogram(recording[None], [len(recording)])
    logits = network({"spectrogram": spectrogram, "num_frames": num_frames}, training=False)
    return tf.nn.log_softmax(logits).numpy()[0]


def stream(streamed, recordings, chunk_lengths):
    """Log probabilities of recordings that are streamed as the rows of one batch.

    `chunk_lengths` gives the next number of samples of each row, int [rows]. What stands behind
    them in the chunk is not a number.
    """
    step = tf.function(streamed.step, reduce_retracing=True)
    state = np.zeros((len(recordings), streamed.info.state_size), np.float32)
    position = np.zeros(len(recordings), int)
    pieces = [[] for _ in recordings]
    lengths = np.array([len(recording) for recording in recordings])
    while (position < lengths).any():
        counts = np.minimum(chunk_lengths(), lengths - position)
        chunk = np.full((len(recordings), counts.max() + 3), np.nan, np.float32)
        for row, count in enumerate(counts):
            chunk[row, :count] = recordings[row][position[row] : position[row] + count]
        position += counts
        log_probs, skip, num_frames, state = step(chunk, counts.astype(np.int32), state)
        for row, piece in enumerate(pieces):
            piece.append(log_probs.numpy()[row, skip[row] : num_frames[row]])
    log_probs, skip = streamed.finish(state)
    for row, piece in enumerate(pieces):
        piece.append(log_probs.numpy()[row, skip[row] :])
    return [np.concatenate(piece) for piece in pieces]


def compare(network, recordings, results):
    for recording, result in zip(recordings, results):
        expected = whole(network, recording)
        assert result.shape == expected.shape, len(recording)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def variations():
    tiny = ModelConfig(
        (ConvolutionConfig(3, (11, 5), (8, 2)), ConvolutionConfig(4, (9, 4), (8, 2))),
        recurrent_layers=2,
        recurrent_units=6,
        bidirectional=False,
        lookahead_frames=2,
        causal=True,
    )
    one_dimensional = (
        ConvolutionConfig(5, (161, 5), (161, 1)),
        ConvolutionConfig(5, (1, 3), (1, 3)),
    )
    return {
        "gru": tiny,
        "lstm, no look-ahead": dataclasses.replace(tiny, cell="lstm", lookahead_frames=0),
        "rnn, long look-ahead": dataclasses.replace(tiny, cell="rnn", lookahead_frames=30),
        "1-D": dataclasses.replace(tiny, convolutions=one_dimensional, recurrent_layers=1),
        "no recurrence": dataclasses.replace(tiny, recurrent_layers=0, dropout=0.5),
    }


@pytest.mark.parametrize("config", variations().values(), ids=variations())
def test_streamed_equals_whole(config, make_network, describe, recordings):
    """Rows at different places, with chunks of any length and now and then none."""
    network = make_network(config)
    streamed = StreamedNetwork(network, describe(config))
    generator = np.random.default_rng(0)

    def chunk_lengths():
        return generator.choice([0, 1, 159, 160, 161, 1600, 3001], len(recordings))

    compare(network, recordings, stream(streamed, recordings, chunk_lengths))


@pytest.mark.parametrize("samples", [1, 37, 1600, 16000])
def test_every_chunk_length(samples, tiny_streaming_config, make_network, describe, recordings):
    network = make_network(tiny_streaming_config)
    streamed = StreamedNetwork(network, describe(tiny_streaming_config))
    some = [recording[: 700 * samples] for recording in recordings[2:4]]
    compare(network, some, stream(streamed, some, lambda: np.full(2, samples)))


def test_a_broken_state_is_its_own_row_s_alone(
    tiny_streaming_config, make_network, describe, noise
):
    network = make_network(tiny_streaming_config)
    streamed = StreamedNetwork(network, describe(tiny_streaming_config))
    size = streamed.info.state_size
    good = np.random.default_rng(0).normal(size=size).astype(np.float32)
    samples = np.stack([noise(1600).astype(np.float32) / 2**15] * 4)
    broken = [np.full(size, value, np.float32) for value in (np.nan, np.inf, -1e30)]
    for function, arguments in (
        (streamed.step, [samples, np.full(4, 1600, np.int32)]),
        (streamed.finish, []),
    ):
        alone = function(*(x[:1] for x in arguments), good[None])
        together = function(*arguments, np.stack([good, *broken]))
        for one, all_rows in zip(alone, together):
            np.testing.assert_allclose(all_rows[0], one[0], rtol=1e-5, atol=1e-5)


def test_any_number_of_samples_is_bounded(tiny_streaming_config, make_network, describe):
    streamed = StreamedNetwork(make_network(tiny_streaming_config), describe(tiny_streaming_config))
    state = np.zeros((2, streamed.info.state_size), np.float32)
    _, _, num_frames, _ = streamed.step(
        np.zeros((2, 1600), np.float32), np.array([-5, 10**6], np.int32), state
    )
    assert num_frames.numpy().tolist() == [0, 2]
    assert streamed.step(np.zeros((2, 0), np.float32), [0, 0], state)[2].numpy().tolist() == [0, 0]


def test_info(tiny_streaming_config, make_network, describe):
    info = StreamedNetwork(
        make_network(tiny_streaming_config), describe(tiny_streaming_config)
    ).info
    assert info.alphabet.size == 29
    assert info.frame_seconds == 0.04
    assert info.lookahead_seconds == pytest.approx(0.08)
    # Samples; frames of 161 bins; of 21 bins and 3 channels; GRUs; held frames; three counts more.
    held = (319 + 1) + (4 * 161 + 1) + (3 * 21 * 3 + 1) + 2 * 6 + (2 * 6 + 1)
    assert info.state_size == held


def test_networks_that_need_the_whole(tiny_config, tiny_streaming_config, make_network, describe):
    for config in (tiny_config, dataclasses.replace(tiny_streaming_config, causal=False)):
        with pytest.raises(UserError, match="needs the whole utterance"):
            StreamedNetwork(make_network(config), describe(config))
