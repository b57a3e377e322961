# SPDX-License-Identifier: Apache-2.0
"""The network: size, shapes, independence of padding and of the future, precision, saving."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.config import ConvolutionConfig, ModelConfig
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.training.loss import CTCLoss


def spectrograms(batch, frames, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(-6.0, 2.0, (batch, frames, 161)).astype(np.float32)


def run(network, spectrogram, num_frames, **kwargs):
    inputs = {
        "spectrogram": tf.constant(spectrogram),
        "num_frames": tf.constant(num_frames, tf.int32),
    }
    return network(inputs, **kwargs)


@pytest.fixture(scope="module")
def network(tiny_config, make_network):
    return make_network(tiny_config)


@pytest.fixture(scope="module")
def streaming_config():
    """Forward only, causal convolutions of total stride 4, two frames of look-ahead."""
    return ModelConfig(
        convolutions=(
            ConvolutionConfig(3, (11, 5), (8, 2)),
            ConvolutionConfig(3, (9, 4), (8, 2)),
        ),
        recurrent_layers=2,
        recurrent_units=6,
        cell="lstm",
        bidirectional=False,
        lookahead_frames=2,
        causal=True,
    )


def test_a_name_is_no_configuration():
    with pytest.raises(TypeError, match=r"preset\('tiny'\)\.model; got 'tiny'"):
        DeepSpeech2("tiny", num_labels=29)


def test_parameter_count_by_hand(network):
    # 161 bins -> 41 -> 11; 11 bins x 4 channels = 44 features.
    convolutions = 11 * 5 * 1 * 4 + 2 * 4 + 7 * 3 * 4 * 4 + 2 * 4
    # Both directions, three gates of 8 units; gamma and beta of their input terms.
    recurrent = 44 * 2 * 24 + 2 * 8 * 24 + 2 * 2 * 24
    output = 8 * 29 + 29
    trainable = sum(np.prod(w.shape) for w in network.trainable_weights)
    assert trainable == convolutions + recurrent + output
    running_averages = 2 * 4 + 2 * 4 + 2 * 2 * 24
    statistics = 2 * 161
    fixed = sum(np.prod(w.shape) for w in network.non_trainable_weights)
    assert fixed == running_averages + statistics


def test_row_convolution_and_lstm_by_hand(streaming_config):
    network = DeepSpeech2(streaming_config, 29)
    # 161 bins -> 21 -> 3; 9 features.
    convolutions = 11 * 5 * 3 + 2 * 3 + 9 * 4 * 3 * 3 + 2 * 3
    recurrent = sum(size * 24 + 6 * 24 + 2 * 24 for size in (9, 6))
    assert sum(np.prod(w.shape) for w in network.trainable_weights) == (
        convolutions + recurrent + 3 * 6 + 6 * 29 + 29
    )


def test_output_frames_are_those_of_the_output(streaming_config, make_network):
    """For every length, alone and in a batch: a padding frame is certainly blank."""
    network = make_network(streaming_config)
    lengths = np.arange(1, 51)
    logits = run(network, spectrograms(50, 50), lengths)
    probabilities = tf.nn.softmax(logits).numpy()
    expected = streaming_config.output_frames(lengths)
    assert logits.shape == (50, streaming_config.output_frames(50), 29)
    for row in range(50):
        assert (probabilities[row, expected[row] :, 0] == 1.0).all()
        assert (probabilities[row, : expected[row]].max(-1) < 1.0).any(), row
    for length in (*range(1, 10), 49, 50):
        shape = run(network, spectrograms(1, length), [length]).shape
        assert shape[1] == streaming_config.output_frames(length) == -(-length // 4)


@pytest.mark.parametrize("kind", ["bidirectional", "streaming"])
def test_result_is_the_same_alone_and_in_a_batch(kind, tiny_config, streaming_config, make_network):
    config = tiny_config if kind == "bidirectional" else streaming_config
    network = make_network(config)
    lengths = np.array([40, 23, 9, 1])
    x = spectrograms(4, 40)
    for row, length in enumerate(lengths):
        x[row, length:] = (np.nan, np.inf, -1e30, np.nan)[row]
    together = run(network, x, lengths).numpy()
    assert np.isfinite(together).all()
    for row, length in enumerate(lengths):
        alone = run(network, x[row : row + 1, :length], [length]).numpy()[0]
        assert len(alone) == config.output_frames(length)
        np.testing.assert_allclose(together[row, : len(alone)], alone, atol=1e-5)


def test_mask_travels_through_the_whole_network(network):
    """Layer by layer, as `DeepSpeech2.call` runs them."""
    x = network.feature_normalization(
        [tf.constant(spectrograms(2, 20)), tf.constant([20, 7], tf.int32)]
    )
    for layer in network.stack:
        mask = x._keras_mask
        assert mask.shape == x.shape[:2], layer.name
        assert tf.reduce_sum(tf.cast(mask, tf.int32), 1).numpy().tolist() in ([20, 7], [10, 4])
        x = layer(x)
    assert getattr(x, "_keras_mask", None) is None


def test_nothing_in_the_padding_reaches_a_gradient(network):
    results = []
    for filler in (0.0, np.nan):
        x = spectrograms(2, 20)
        x[1, 7:] = filler
        with tf.GradientTape() as tape:
            logits = run(network, x, [20, 7])
            loss = tf.reduce_sum(tf.nn.log_softmax(logits)[:, :4, 3])
        results.append(tape.gradient(loss, [w.value for w in network.trainable_weights]))
    for clean, filled in zip(*results):
        assert np.isfinite(filled.numpy()).all()
        np.testing.assert_array_equal(clean, filled)


def test_a_causal_network_sees_no_further_than_its_look_ahead(streaming_config, make_network):
    """Output j stands for frames up to 4 j + 3, and sees two outputs more."""
    network = make_network(streaming_config)
    x = spectrograms(1, 60)
    before = run(network, x, [60]).numpy()[0]
    stride, lookahead = streaming_config.time_stride, streaming_config.lookahead_frames
    for changed in (13, 30, 31, 32, 33, 59):
        difference = np.zeros(len(before))
        # Louder and softer: the rectifiers may well pass over one of them.
        for change in (5.0, -5.0):
            y = x.copy()
            y[0, changed] += change
            difference += np.abs(run(network, y, [60]).numpy()[0] - before).max(-1)
        first = changed // stride - lookahead
        assert not difference[:first].any()
        assert difference[first] > 0, changed


def test_look_ahead_of_the_future_is_all_that_a_cut_changes(streaming_config, make_network):
    """The outputs of a beginning equal those of the whole, but for the last two."""
    network = make_network(streaming_config)
    x = spectrograms(1, 60)
    whole = run(network, x, [60]).numpy()[0]
    beginning = run(network, x[:, :40], [40]).numpy()[0]
    np.testing.assert_allclose(beginning[:8], whole[:8], atol=1e-5)
    assert np.abs(beginning[8:] - whole[8:10]).max() > 1e-3


@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.1), ("mixed_float16", 0.02)])
def test_mixed_precision(policy, tolerance, tiny_config, network):
    half = DeepSpeech2(tiny_config, 29, dtype=policy)
    half.set_weights(network.get_weights())
    x = spectrograms(2, 30)
    exact = run(network, x, [30, 11]).numpy()
    logits = run(half, x, [30, 11])
    np.testing.assert_array_equal(logits[1, 6:], exact[1, 6:])
    assert logits.dtype == "float32"
    assert {layer.compute_dtype for layer in half.stack[:-1]} == {policy.removeprefix("mixed_")}
    assert np.abs(logits.numpy() - exact).max() < tolerance * np.abs(exact[0]).max()


def test_dropout_acts_in_training_alone(tiny_config):
    network = DeepSpeech2(dataclasses.replace(tiny_config, dropout=0.5), 29)
    x = spectrograms(1, 20)
    np.testing.assert_array_equal(run(network, x, [20]), run(network, x, [20]))
    one, other = (run(network, x, [20], training=True).numpy() for _ in range(2))
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_save_and_load_give_the_same_outputs(policy, streaming_config, make_network, tmp_path):
    network = make_network(dataclasses.replace(streaming_config, dropout=0.1), dtype=policy)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert again.config == network.config
    x = spectrograms(2, 30)
    np.testing.assert_array_equal(run(again, x, [30, 17]), run(network, x, [30, 17]))


def test_a_one_dimensional_front_end_hears_every_bin():
    """The paper's 1-D convolutions have kernels as high as their input."""
    config = ModelConfig(
        (ConvolutionConfig(8, (161, 5), (161, 2)), ConvolutionConfig(8, (1, 5))), 1, 8
    )
    network = DeepSpeech2(config, 29)
    x = spectrograms(1, 10)
    before = run(network, x, [10]).numpy()
    for changed in (0, 80, 160):
        y = x.copy()
        y[..., changed] += 3.0
        assert np.abs(run(network, y, [10]).numpy() - before).max() > 1e-4


def test_keras_trains_in_training_mode(tiny_config):
    """`fit` and `train_on_batch` normalize by the batch, and so move the running averages."""
    network = DeepSpeech2(tiny_config, 29)
    network.compile(optimizer=keras.optimizers.SGD(0.0), loss=CTCLoss())
    inputs = {
        "spectrogram": tf.constant(spectrograms(2, 20)),
        "num_frames": tf.constant([20, 11], tf.int32),
    }
    labels = tf.constant([[1, 2], [3, 3]])
    loss = network.train_on_batch(inputs, labels)
    averages = [w for w in network.non_trainable_weights if "moving_mean" in w.path]
    assert len(averages) == 3 and all(np.abs(w.numpy()).max() > 0.0 for w in averages)
    trained = CTCLoss()(labels, network(inputs, training=True))
    inferred = CTCLoss()(labels, network(inputs, training=False))
    np.testing.assert_allclose(loss, trained, rtol=1e-5)
    assert abs(loss - float(inferred)) > 1e-2
