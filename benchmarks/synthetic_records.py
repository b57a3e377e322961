# SPDX-License-Identifier: Apache-2.0
"""Record files of noise, as ingestion would write them, for benchmarks that need no speech."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow as tf

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.records import make_example
from ds2_tf.corpora.statistics import SpectrogramStatistics

BINS = 161
FRAMES_PER_SECOND = 100
# As many characters as people speak.
_CHARACTERS_PER_SECOND = 12


def write_records(
    directory: pathlib.Path,
    hours: float,
    *,
    shards: int = 8,
    mean_seconds: float = 5.0,
    compact: bool = False,
    seed: int = 0,
) -> tuple[list[str], SpectrogramStatistics]:
    """Writes gzipped record files, each ordered by length.

    Args:
        directory: gets the files.
        hours: of audio in all.
        shards: number of files. Defaults to 8.
        mean_seconds: of an utterance; lengths vary by half of it either way. Defaults to 5.
        compact: repeat a few frames in every utterance, so that 100 hours take 100 MB and not
            10 GB, and a compression that finds them. Defaults to False: noise, compressed as
            ingestion does it.
        seed: of lengths and noise.

    Returns:
        The files, and made-up statistics that have the right counts.
    """
    generator = np.random.default_rng(seed)
    number = max(shards, round(hours * 3600 / mean_seconds))
    seconds = generator.uniform(0.5 * mean_seconds, 1.5 * mean_seconds, number)
    frames = (seconds * FRAMES_PER_SECOND).astype(int)
    noise = generator.normal(-6.0, 2.0, (frames.max(), BINS)).astype(np.float32)
    if compact:
        noise = np.resize(noise[:8], noise.shape)
        options = tf.io.TFRecordOptions("GZIP", compression_level=1)
    else:
        options = tf.io.TFRecordOptions("GZIP", compression_level=1, compression_strategy=2)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz '"))
    files = []
    for shard in range(shards):
        files.append(str(directory / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"))
        with tf.io.TFRecordWriter(files[-1], options) as writer:
            for index, size in enumerate(np.sort(frames[shard::shards])):
                duration = size / FRAMES_PER_SECOND
                characters = max(1, round(duration * _CHARACTERS_PER_SECOND))
                transcript = "".join(generator.choice(letters, characters))
                utterance = Utterance(f"{shard}-{index}", "none.wav", transcript)
                example = make_example(utterance, noise[:size], duration)
                writer.write(example.SerializeToString())
    statistics = SpectrogramStatistics(
        np.full(BINS, -6.0), np.full(BINS, 2.0), int(frames.sum()), number
    )
    return files, statistics
