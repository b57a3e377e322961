# SPDX-License-Identifier: Apache-2.0
"""Reading WAV files inside the served graph, without ever raising.

`tf.audio.decode_wav` fails on anything but a sound 16-bit file, and with it fails the whole batch
in which the server put a stranger's request. Here a bad item has no samples and sample rate 0.
"""

from __future__ import annotations

import math

import tensorflow as tf

_RIFF, _WAVE, _FORMAT, _DATA = (tuple(tag) for tag in (b"RIFF", b"WAVE", b"fmt ", b"data"))
_PCM, _EXTENSIBLE = 1, 0xFFFE
_MOST_CHANNELS = 32
_SAMPLE_RATES = (1000, 384000)
# Chunks looked at before the samples; a file made to waste time has more.
_MOST_CHUNKS = 64


def decode_wav(wav):
    """Reads one 16-bit PCM WAV file.

    Several channels are averaged. Samples that are declared but not there are not missed.

    Args:
        wav: string scalar, the bytes of a file.

    Returns:
        A pair: float32 [samples] in [-1, 1] and the sample rate, int32 scalar; no samples and 0
        where the bytes are not such a file.
    """
    data = tf.cast(tf.io.decode_raw(wav, tf.uint8), tf.int64)
    size = tf.size(data, tf.int64)
    # Reading past the end gives zeros.
    padded = tf.pad(data, [[0, 32]])

    def number(position, width):
        window = tf.gather(padded, tf.minimum(position, size) + tf.range(width, dtype=tf.int64))
        return tf.reduce_sum(window * tf.constant([256**i for i in range(width)], tf.int64))

    def has_tag(position, tag):
        return tf.equal(number(position, 4), int.from_bytes(bytes(tag), "little"))

    def next_chunk(position, format_position, count):
        format_position = tf.where(has_tag(position, _FORMAT), position + 8, format_position)
        length = number(position + 4, 4)
        return position + 8 + length + length % 2, format_position, count + 1

    def is_before_samples(position, _, count):
        return (position + 8 <= size) & ~has_tag(position, _DATA) & (count < _MOST_CHUNKS)

    zero = tf.constant(0, tf.int64)
    position, format_position, _ = tf.while_loop(
        is_before_samples, next_chunk, (zero + 12, zero, zero)
    )
    encoding, channels = number(format_position, 2), number(format_position + 2, 2)
    # An extensible header states the encoding further on, as the beginning of a GUID.
    encoding = tf.where(encoding == _EXTENSIBLE, number(format_position + 24, 2), encoding)
    sample_rate, bits = number(format_position + 4, 4), number(format_position + 14, 2)
    good = (
        has_tag(zero, _RIFF)
        & has_tag(zero + 8, _WAVE)
        & (format_position > 0)
        & has_tag(position, _DATA)
        & (encoding == _PCM)
        & (bits == 16)
        & (channels >= 1)
        & (channels <= _MOST_CHANNELS)
        & (sample_rate >= _SAMPLE_RATES[0])
        & (sample_rate <= _SAMPLE_RATES[1])
    )
    channels = tf.where(good, channels, 1)
    start = tf.minimum(position + 8, size)
    present = tf.where(good, tf.minimum(number(position + 4, 4), size - start), 0)
    frames = present // (2 * channels)
    samples = tf.reshape(data[start : start + frames * 2 * channels], [frames, channels, 2])
    values = samples[:, :, 0] + 256 * samples[:, :, 1]
    values = tf.where(values >= 2**15, values - 2**16, values)
    mono = tf.reduce_mean(tf.cast(values, tf.float32), axis=1) / 2.0**15
    return mono, tf.cast(tf.where(good, sample_rate, 0), tf.int32)


def resample(samples, sample_rate, target: int):
    """Resamples by Fourier transform: band-limited, without a filter's delay.

    Args:
        samples: float32 [samples].
        sample_rate: int32 scalar; 0 where there are none.
        target: samples per second of the result.

    Returns:
        float32 [round(samples * target / sample_rate)].
    """

    def by_fourier():
        # A whole number of periods of both rates, or the time scale would drift.
        divisor = _greatest_common_divisor(sample_rate, target)
        step = sample_rate // divisor
        size = tf.size(samples)
        periods = -(-size // step)
        before, after = periods * step, periods * (target // divisor)
        spectrum = tf.signal.rfft(tf.pad(samples, [[0, before - size]]))
        shared = tf.minimum(before, after)
        bins = shared // 2 + 1
        # Half the lower rate is a single bin there, and one of two signs at the higher rate.
        at_half = tf.where(after < before, 2.0, 0.5)
        weights = tf.where(2 * tf.range(bins) == shared, at_half, 1.0)
        spectrum = spectrum[:bins] * tf.cast(weights, spectrum.dtype)
        spectrum = tf.pad(spectrum, [[0, after // 2 + 1 - bins]])
        resampled = tf.signal.irfft(spectrum, [after])
        ratio = tf.cast(target, tf.float32) / tf.cast(sample_rate, tf.float32)
        length = tf.cast(tf.round(tf.cast(size, tf.float32) * ratio), tf.int32)
        return (resampled * tf.cast(after, tf.float32) / tf.cast(before, tf.float32))[:length]

    unchanged = (sample_rate == target) | (tf.size(samples) == 0)
    return tf.cond(unchanged, lambda: samples, by_fourier)


def _greatest_common_divisor(number, constant: int):
    """gcd(number, constant): the largest of the constant's divisors that divides the number."""
    divisors = [d for d in range(1, constant + 1) if math.gcd(d, constant) == d]
    divisors = tf.constant(divisors, tf.int32)
    return tf.reduce_max(tf.where(number % divisors == 0, divisors, 1))
