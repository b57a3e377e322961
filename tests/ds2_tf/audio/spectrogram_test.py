# SPDX-License-Identifier: Apache-2.0
"""The log-spectrogram against its definition written in NumPy, in float64."""

import numpy as np
import pytest

from ds2_tf.audio.spectrogram import SpectrogramConfig, log_spectrogram, log_spectrogram_of
from ds2_tf.errors import UserError

CONFIG = SpectrogramConfig()


def reference(samples, window=320, hop=160, floor=1e-6):
    """float64 [N // hop, window // 2 + 1], one frame at a time with a plain DFT."""
    n = np.arange(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(window // 2 + 1), n) / window)
    padded = np.concatenate([np.zeros(window - hop), np.asarray(samples, np.float64)])
    frames = [
        np.log(np.abs(dft @ (hann * padded[i * hop : i * hop + window])) ** 2 + floor)
        for i in range(len(samples) // hop)
    ]
    return np.array(frames).reshape(-1, window // 2 + 1)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(scale=0.1, size=shape).astype(np.float32)


def compute(samples, num_samples=None, config=CONFIG):
    samples = np.asarray(samples, np.float32)
    if num_samples is None:
        num_samples = [samples.shape[1]] * samples.shape[0]
    spectrogram, num_frames = log_spectrogram(samples, np.int32(num_samples), config)
    return spectrogram.numpy(), num_frames.numpy()


@pytest.mark.parametrize("length", [0, 159, 160, 319, 4077, 160 * 1200])
@pytest.mark.parametrize("settings", [{}, {"sample_rate": 8000, "window_seconds": 0.025}])
def test_that_of_records_is_that_of_graphs(length, settings):
    config = SpectrogramConfig(**settings)
    # Loud, and quiet as silence that was recorded.
    samples = noise(1, length) * np.linspace(1, 1e-3, length, dtype=np.float32)
    expected, _ = compute(samples, config=config)
    spectrogram = log_spectrogram_of(samples[0], config)
    assert spectrogram.shape == expected[0].shape and spectrogram.dtype == np.float32
    np.testing.assert_allclose(spectrogram, expected[0], atol=2e-3)


def test_definition_of_deep_speech_2():
    assert (CONFIG.window_samples, CONFIG.hop_samples, CONFIG.num_bins) == (320, 160, 161)


@pytest.mark.parametrize("length", [160, 161, 319, 320, 1600, 4077])
def test_equals_the_definition(length):
    samples = noise(1, length)
    spectrogram, num_frames = compute(samples)
    assert spectrogram.shape == (1, length // 160, 161) and spectrogram.dtype == np.float32
    assert num_frames == [length // 160]
    np.testing.assert_allclose(spectrogram[0], reference(samples[0]), atol=2e-3)


@pytest.mark.parametrize("rate, window, hop", [(8000, 160, 80), (16000, 400, 160)])
def test_equals_the_definition_for_other_settings(rate, window, hop):
    config = SpectrogramConfig(
        sample_rate=rate, window_seconds=window / rate, hop_seconds=hop / rate, floor=1e-4
    )
    samples = noise(1, 2000)
    spectrogram, _ = compute(samples, config=config)
    expected = reference(samples[0], window, hop, 1e-4)
    np.testing.assert_allclose(spectrogram[0], expected, atol=2e-3)


@pytest.mark.parametrize("length", [0, 1, 159])
def test_less_than_a_hop_gives_no_frame(length):
    spectrogram, num_frames = compute(noise(2, length))
    assert spectrogram.shape == (2, 0, 161)
    assert num_frames.tolist() == [0, 0]


def test_silence_is_the_logarithm_of_the_floor():
    spectrogram, _ = compute(np.zeros((1, 1600)))
    np.testing.assert_allclose(spectrogram, np.log(1e-6), rtol=1e-6)


def test_a_tone_peaks_in_its_bin():
    seconds = np.arange(16000) / 16000
    for frequency in (50, 1000, 4000, 7950):
        spectrogram, _ = compute(np.sin(2 * np.pi * frequency * seconds)[np.newaxis])
        assert (spectrogram[0, 5].argmax() * 50) == frequency


def test_a_frame_sees_nothing_of_the_future():
    samples = noise(1, 1600)
    changed = samples.copy()
    changed[:, 800:] = 0.5
    before, after = compute(samples)[0], compute(changed)[0]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (before[:, 5] != after[:, 5]).any()


def test_chunks_with_the_last_hop_carried_over_give_the_same_frames():
    samples = noise(1, 1600)
    whole = compute(samples)[0]
    carried, frames = np.zeros((1, 160), np.float32), []
    for chunk in np.split(samples, [320, 480, 960], axis=1):
        extended = np.concatenate([carried, chunk], axis=1)
        frames.append(compute(extended)[0][:, 1:])
        carried = chunk[:, -160:]
    np.testing.assert_allclose(np.concatenate(frames, axis=1), whole, atol=1e-4)


def test_what_lies_past_the_length_is_ignored_and_the_frames_there_are_zero():
    samples = noise(1, 3200)
    garbage = samples.copy()
    garbage[:, 1700:] = np.nan
    spectrogram, num_frames = compute(garbage, [1700])
    assert num_frames.tolist() == [10]
    np.testing.assert_allclose(spectrogram[0, :10], reference(samples[0, :1700]), atol=2e-3)
    np.testing.assert_array_equal(spectrogram[0, 10:], 0)


def test_does_not_depend_on_the_batch():
    lengths = [3200, 170, 1700, 0]
    batch = noise(4, 3200)
    together, num_frames = compute(batch, lengths)
    for row, length in enumerate(lengths):
        alone, count = compute(batch[row : row + 1, :length])
        assert count[0] == num_frames[row]
        np.testing.assert_allclose(together[row, : count[0]], alone[0], atol=1e-5)


def test_works_with_shapes_unknown_to_the_graph():
    import tensorflow as tf

    function = tf.function(
        lambda samples, count: log_spectrogram(samples, count, CONFIG),
        input_signature=[
            tf.TensorSpec([None, None], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
    )
    samples = noise(2, 1000)
    spectrogram, num_frames = function(samples, [1000, 500])
    np.testing.assert_allclose(spectrogram[0].numpy(), reference(samples[0]), atol=2e-3)
    assert num_frames.numpy().tolist() == [6, 3]


@pytest.mark.parametrize(
    "settings", [{"hop_seconds": 0.03}, {"hop_seconds": 0.0}, {"floor": 0.0}, {"floor": -1.0}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        SpectrogramConfig(**settings)
