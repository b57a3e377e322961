# SPDX-License-Identifier: Apache-2.0
"""Changes of spectrograms: warped frequencies, and masks as in SpecAugment (arXiv 1904.08779)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ds2_tf.config import AugmentationConfig


def spectrogram_augmentation(config: AugmentationConfig, mean: np.ndarray) -> Callable | None:
    """The changes of spectrograms that a recipe asks for.

    Args:
        config: how far frequencies are warped, numbers and sizes of the masks.
        mean: float [bins], of the training split; stands in the masks.

    Returns:
        A graph function of a spectrogram, float32 [frames, bins], and a seed, int64 [2], that gives
        the changed spectrogram; None where nothing is to be changed.
    """
    import tensorflow as tf

    warps = config.frequency_warp != (1.0, 1.0)
    if not (warps or config.frequency_masks or config.time_masks):
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
        if warps:
            keys = seed + tf.constant([2, 0], tf.int64)
            spectrogram = warp_frequencies(
                spectrogram, tf.random.stateless_uniform([], keys, *config.frequency_warp)
            )
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


def warp_frequencies(spectrogram, factor):
    """Moves what stands at each frequency to `factor` times it, as vocal tracts of other length do.

    Args:
        spectrogram: float32 [frames, bins], the first bin at 0 Hz.
        factor: over 0, a float or a scalar tensor. Over 1, the highest frequencies are lost; under
            1, the highest bin fills what becomes free.

    Returns:
        float32 [frames, bins], interpolated between neighboring bins.
    """
    import tensorflow as tf

    last = spectrogram.shape[1] - 1
    source = tf.minimum(tf.range(last + 1, dtype=tf.float32) / factor, float(last))
    below = tf.minimum(tf.cast(source, tf.int32), last - 1)
    share = source - tf.cast(below, tf.float32)
    return (1.0 - share) * tf.gather(spectrogram, below, axis=1) + share * tf.gather(
        spectrogram, below + 1, axis=1
    )
