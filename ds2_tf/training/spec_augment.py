# SPDX-License-Identifier: Apache-2.0
"""SpecAugment: bands and stretches of the spectrogram are masked (arXiv 1904.08779)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ds2_tf.config import AugmentationConfig


def spec_augment(config: AugmentationConfig, mean: np.ndarray) -> Callable | None:
    """The masking that a recipe asks for.

    Args:
        config: numbers and sizes of the masks.
        mean: float [bins], of the training split; stands in the masks.

    Returns:
        A graph function of a spectrogram, float32 [frames, bins], and a seed, int64 [2], that gives
        the masked spectrogram; None where nothing is to be masked.
    """
    import tensorflow as tf

    if not config.frequency_masks and not config.time_masks:
        return None
    mean = mean.astype(np.float32)

    def outside_masks(size, count, widest, seed):
        """bool [size], false where one of `count` random masks lies."""
        draws = tf.random.stateless_uniform([2, count, 1], seed)
        width = tf.floor(draws[0] * (widest + 1.0))
        start = tf.floor(draws[1] * (tf.cast(size, tf.float32) - width + 1.0))
        index = tf.range(tf.cast(size, tf.float32))[tf.newaxis]
        return ~tf.reduce_any((index >= start) & (index < start + width), axis=0)

    def augment(spectrogram, seed):
        frames, bins = tf.shape(spectrogram)[0], spectrogram.shape[1]
        keep = tf.ones_like(spectrogram, tf.bool)
        if config.frequency_masks:
            widest = float(min(config.frequency_mask_bins, bins))
            keep &= outside_masks(bins, config.frequency_masks, widest, seed)[tf.newaxis, :]
        if config.time_masks:
            widest = config.time_mask_share * tf.cast(frames, tf.float32)
            seed = seed + tf.constant([1, 0], tf.int64)
            keep &= outside_masks(frames, config.time_masks, widest, seed)[:, tf.newaxis]
        return tf.where(keep, spectrogram, mean)

    return augment
