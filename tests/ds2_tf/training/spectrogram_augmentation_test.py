# SPDX-License-Identifier: Apache-2.0
"""What is masked and warped, how much, and always the same."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.config import AugmentationConfig
from ds2_tf.training.spectrogram_augmentation import spectrogram_augmentation, warp_frequencies

FRAMES, BINS = 50, 30
MEAN = np.linspace(-9.0, -5.0, BINS)
SEVERAL = AugmentationConfig(
    frequency_masks=2, frequency_mask_bins=5, time_masks=2, time_mask_share=0.2
)


def spectrogram(frames=FRAMES):
    return tf.constant(np.random.default_rng(0).uniform(0.0, 1.0, (frames, BINS)), tf.float32)


def masked_runs(config, seed, frames=FRAMES):
    """Masked bins and frames, after checking that what is masked is the mean, and whole."""
    x = spectrogram(frames)
    y = spectrogram_augmentation(config, MEAN)(x, tf.constant(seed, tf.int64)).numpy()
    masked = y != x.numpy()
    columns, rows = masked.all(axis=0), masked.all(axis=1)
    np.testing.assert_array_equal(masked, columns[None, :] | rows[:, None])
    np.testing.assert_array_equal(y[masked], np.broadcast_to(MEAN, y.shape)[masked].astype("f4"))
    return columns, rows


def lengths_of_runs(flags):
    edges = np.flatnonzero(np.diff([0, *flags.astype(int), 0]))
    return (edges[1::2] - edges[::2]).tolist()


def test_nothing_to_mask():
    assert spectrogram_augmentation(AugmentationConfig(), MEAN) is None


def test_one_band_of_every_width_up_to_the_widest():
    config = AugmentationConfig(frequency_masks=1, frequency_mask_bins=4)
    widths, touched = set(), np.zeros(BINS, bool)
    for number in range(150):
        columns, rows = masked_runs(config, [number, 0])
        assert not rows.any() and len(lengths_of_runs(columns)) <= 1
        widths.add(int(columns.sum()))
        touched |= columns
    assert widths == {0, 1, 2, 3, 4}
    assert touched.all()


def test_one_stretch_of_at_most_its_share():
    config = AugmentationConfig(time_masks=1, time_mask_share=0.1)
    widths, touched = set(), np.zeros(FRAMES, bool)
    for number in range(150):
        columns, rows = masked_runs(config, [number, 7])
        assert not columns.any() and len(lengths_of_runs(rows)) <= 1
        widths.add(int(rows.sum()))
        touched |= rows
    assert widths == {0, 1, 2, 3, 4, 5}
    assert touched.mean() > 0.9


def test_several_masks_are_independent():
    patterns = [masked_runs(SEVERAL, [number, 0]) for number in range(60)]
    assert max(len(lengths_of_runs(columns)) for columns, _ in patterns) == 2
    assert max(len(lengths_of_runs(rows)) for _, rows in patterns) == 2
    starts = [(np.argmax(columns), np.argmax(rows)) for columns, rows in patterns]
    assert len(set(starts)) > 40


def test_same_seed_same_masks():
    augment = spectrogram_augmentation(SEVERAL, MEAN)
    one, again, other = (
        augment(spectrogram(), tf.constant(seed, tf.int64)).numpy()
        for seed in ([3, 1], [3, 1], [3, 2])
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_utterances_survive(frames):
    config = AugmentationConfig(time_masks=2, time_mask_share=1.0)
    for number in range(10):
        masked_runs(config, [number, 0], frames)


def test_bands_wider_than_the_spectrogram():
    config = AugmentationConfig(frequency_masks=1, frequency_mask_bins=1000)
    widths = {int(masked_runs(config, [number, 0])[0].sum()) for number in range(100)}
    assert max(widths) <= BINS and len(widths) > 15


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.3])
def test_warping_is_linear_interpolation(factor):
    x = spectrogram().numpy()
    bins = np.arange(BINS)
    expected = np.stack([np.interp(bins / factor, bins, frame) for frame in x])
    np.testing.assert_allclose(warp_frequencies(x, factor), expected, atol=1e-5)


def test_a_resonance_moves_up_by_the_factor():
    x = np.exp(-0.5 * ((np.arange(161) - 60) / 3.0) ** 2)[None].astype(np.float32)
    assert np.argmax(warp_frequencies(x, 1.2)) == 72
    assert np.argmax(warp_frequencies(x, 0.9)) == 54


def test_every_utterance_is_warped_by_a_factor_of_its_own():
    x = tf.constant(np.arange(161)[None] * 0.01, tf.float32)
    augment = spectrogram_augmentation(AugmentationConfig(frequency_warp=(0.9, 1.1)), np.zeros(161))
    factors = [1.0 / augment(x, tf.constant([n, 4], tf.int64))[0, 100].numpy() for n in range(200)]
    assert 0.9 <= min(factors) < 0.905 and 1.095 < max(factors) <= 1.1
    assert abs(np.mean(factors) - 1.0) < 0.02
