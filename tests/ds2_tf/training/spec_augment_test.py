# SPDX-License-Identifier: Apache-2.0
"""SpecAugment: what is masked, how much, and always the same."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.config import AugmentationConfig
from ds2_tf.training.spec_augment import spec_augment

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
    y = spec_augment(config, MEAN)(x, tf.constant(seed, tf.int64)).numpy()
    masked = y != x.numpy()
    columns, rows = masked.all(axis=0), masked.all(axis=1)
    np.testing.assert_array_equal(masked, columns[None, :] | rows[:, None])
    np.testing.assert_array_equal(y[masked], np.broadcast_to(MEAN, y.shape)[masked].astype("f4"))
    return columns, rows


def lengths_of_runs(flags):
    edges = np.flatnonzero(np.diff([0, *flags.astype(int), 0]))
    return (edges[1::2] - edges[::2]).tolist()


def test_nothing_to_mask():
    assert spec_augment(AugmentationConfig(), MEAN) is None


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
    augment = spec_augment(SEVERAL, MEAN)
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
