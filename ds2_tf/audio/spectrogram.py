# SPDX-License-Identifier: Apache-2.0
"""The log-spectrogram: one definition for ingestion, training and the served graph.

In TensorFlow for graphs, and in NumPy for records, of which tests see that they agree.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ds2_tf.value_checks import InvalidValue, require_numbers

# Part of every fingerprint of stored features: raise it with any change of the numbers below.
FEATURE_VERSION = 1
# Frames that `log_spectrogram_of` computes at once: what a processor's cache holds.
_BLOCK_FRAMES = 512


@dataclasses.dataclass(frozen=True)
class SpectrogramConfig:
    """Deep Speech 2's features: log power of linear frequency bins (Section 3.1).

    Attributes:
        sample_rate: samples per second. Defaults to 16000.
        window_seconds: length of the Hann window. Defaults to 0.020.
        hop_seconds: distance between neighboring frames. Defaults to 0.010.
        floor: power added before the logarithm; about 20 dB under the noise of a quiet room
            recorded at 16 bits. Defaults to 1e-6.
    """

    sample_rate: int = 16000
    window_seconds: float = 0.020
    hop_seconds: float = 0.010
    floor: float = 1e-6

    def __post_init__(self):
        require_numbers(self, "sample_rate", least=1)
        require_numbers(self, "window_seconds", "hop_seconds", "floor", over=0)
        if not 0 < self.hop_samples <= self.window_samples:
            raise InvalidValue(
                "hop_seconds",
                f"({self.hop_seconds} s, {self.hop_samples} samples) must be at least one sample "
                f"and no longer than window_seconds ({self.window_seconds} s, "
                f"{self.window_samples} samples).",
            )

    @property
    def window_samples(self) -> int:
        """Length of the window, in samples."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def hop_samples(self) -> int:
        """Distance between neighboring frames, in samples."""
        return round(self.hop_seconds * self.sample_rate)

    @property
    def num_bins(self) -> int:
        """Number of frequency bins, from 0 Hz to half the sample rate."""
        return self.window_samples // 2 + 1


def log_spectrogram(samples, num_samples, config: SpectrogramConfig = SpectrogramConfig()):
    """Computes `log(|STFT|^2 + floor)` with stock TensorFlow ops.

    The first window is padded on the left with zeros, so that every hop of samples completes
    exactly one frame and a stream can compute the same frames from chunks. Samples that do not
    complete a hop are dropped.

    Args:
        samples: float32 [B, N], in [-1, 1].
        num_samples: int32 [B], valid samples of each row; what lies past them is ignored.
        config: the feature definition.

    Returns:
        A pair: float32 [B, N // hop, num_bins], zero past each row's length; and int32 [B], the
        number of valid frames.
    """
    import tensorflow as tf

    num_frames = tf.cast(num_samples, tf.int32) // config.hop_samples
    padded = tf.pad(samples, [[0, 0], [config.window_samples - config.hop_samples, 0]])
    logarithm = log_power(padded, config)
    valid = tf.sequence_mask(num_frames, tf.shape(logarithm)[1])[:, :, tf.newaxis]
    return tf.where(valid, logarithm, 0.0), num_frames


def log_spectrogram_of(
    samples: np.ndarray, config: SpectrogramConfig = SpectrogramConfig()
) -> np.ndarray:
    """As `log_spectrogram` but for rounding, of one recording, without TensorFlow.

    On a processor it takes a third of the time, and a recording of hours no more memory than its
    result.

    Args:
        samples: float32 [N], in [-1, 1].
        config: the feature definition.

    Returns:
        float32 [N // hop, num_bins].
    """
    import scipy.fft

    hop, length = config.hop_samples, config.window_samples
    num_frames = len(samples) // hop
    result = np.empty((num_frames, config.num_bins), np.float32)
    if not num_frames:
        return result
    padded = np.concatenate([np.zeros(length - hop, np.float32), samples[: num_frames * hop]])
    frames = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi / length * np.arange(length))
    window = window.astype(np.float32)
    for start in range(0, num_frames, _BLOCK_FRAMES):
        rows = slice(start, start + _BLOCK_FRAMES)
        spectrum = scipy.fft.rfft(frames[rows] * window, axis=1)
        power = np.square(spectrum.real, out=result[rows])
        power += np.square(spectrum.imag)
        power += np.float32(config.floor)
        np.log(power, out=power)
    return result


def log_power(samples, config: SpectrogramConfig):
    """`log(|STFT|^2 + floor)` of the windows that fit: float32 [B, N] -> [B, windows, num_bins]."""
    import tensorflow as tf

    window = config.window_samples
    spectrum = tf.signal.stft(
        samples, frame_length=window, frame_step=config.hop_samples, fft_length=window
    )
    power = tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    return tf.math.log(power + config.floor)
