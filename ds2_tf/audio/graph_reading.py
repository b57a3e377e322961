# SPDX-License-Identifier: Apache-2.0
"""Reading recordings inside a TensorFlow graph, with tensorflow-io.

Of use where Python must stay out of the input pipeline. It gives the samples of
`ds2_tf.audio.reading`, bit for bit, but knows fewer formats and decodes FLAC at about a quarter of
the rate.
"""

from __future__ import annotations

import os

import numpy as np

from ds2_tf.audio.byte_order import LEAST_SAMPLES, SWAPPED_RATIO
from ds2_tf.errors import UserError

DECODERS = ("soundfile", "tensorflow-io")


def require_tensorflow_io():
    """The package, imported.

    Raises:
        UserError: it is not installed, or not for this TensorFlow.
    """
    try:
        import tensorflow_io

        # The kernels are loaded at their first use, which fails with another TensorFlow.
        tensorflow_io.audio.decode_wav  # noqa: B018
    except (ImportError, NotImplementedError, AttributeError) as error:
        raise UserError(
            f"The decoder tensorflow-io cannot be used ({error}): install the release that goes "
            "with this TensorFlow (pip install 'ds2-tf[tfio]'), or choose soundfile."
        ) from error
    return tensorflow_io


def readable_in_graph(path: str | os.PathLike, sample_rate: int) -> bool:
    """Whether `read_in_graph` reads a file: 16-bit WAV or FLAC of the sample rate wanted."""
    import soundfile

    try:
        info = soundfile.info(os.fspath(path))
    except soundfile.LibsndfileError:
        return False
    return (
        info.format in ("WAV", "FLAC")
        and info.subtype == "PCM_16"
        and info.samplerate == sample_rate
    )


def read_in_graph(path):
    """Reads a recording that is `readable_in_graph`, in a graph.

    Args:
        path: string scalar.

    Returns:
        float32 [samples] in [-1, 1], the channels averaged and swapped bytes put right.
    """
    import tensorflow as tf

    audio = require_tensorflow_io().audio
    content = tf.io.read_file(path)
    samples = tf.cond(
        tf.equal(tf.strings.substr(content, 0, 4), b"fLaC"),
        lambda: audio.decode_flac(content, dtype=tf.int16),
        lambda: audio.decode_wav(content, dtype=tf.int16),
    )
    samples = tf.cond(_bytes_are_swapped(samples), lambda: _swap(samples), lambda: samples)
    scaled = tf.cast(samples, tf.float32) / np.float32(2.0**15)
    return tf.reduce_mean(scaled, axis=1)


def _bytes_are_swapped(samples):
    """`ds2_tf.audio.byte_order.bytes_are_swapped` in a graph; samples int16 [N, channels]."""
    import tensorflow as tf

    pairs = tf.cast(tf.bitcast(samples[:, 0], tf.int8), tf.float32)
    change = tf.reduce_mean(tf.abs(pairs[1:] - pairs[:-1]), axis=0)
    swapped = change[1] > SWAPPED_RATIO * tf.maximum(change[0], 1e-3)
    return tf.logical_and(tf.shape(samples)[0] >= LEAST_SAMPLES, swapped)


def _swap(samples):
    import tensorflow as tf

    return tf.bitcast(tf.bitcast(samples, tf.uint8)[..., ::-1], tf.int16)
