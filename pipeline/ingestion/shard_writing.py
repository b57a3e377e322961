# SPDX-License-Identifier: Apache-2.0
"""One shard: utterances in, a gzipped TFRecord file of features out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ds2_tf.audio.reading import AudioError, audio_duration
from ds2_tf.audio.spectrogram import log_spectrogram_of
from ds2_tf.corpora.checking import load_utterance
from ds2_tf.corpora.manifest import Utterance, resolve_audio
from ds2_tf.corpora.records import make_example
from ds2_tf.corpora.rejection import BadUtterance, Rejection
from ds2_tf.text.alphabet import Alphabet
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.shard_store import ShardContent

# Half-precision spectrograms have no repetitions for deflate to find: Huffman coding alone reaches
# the size of the full search to within 1 %, at five times its speed.
_GZIP_LEVEL = 1
_HUFFMAN_ONLY = 2


class ShardLine(NamedTuple):
    """An utterance on its way to its shard, and the manifest that its audio is relative to."""

    manifest_path: str
    utterance: Utterance

    @property
    def audio_path(self) -> str:
        """Where the recording lies."""
        return resolve_audio(self.utterance, self.manifest_path)


def shard_key(lines: Sequence[ShardLine], config: IngestionConfig, hashes: ContentHashes) -> str:
    """A hash of all that decides a shard's bytes: lines, recordings, features and checks."""
    digest = hashlib.sha256(config.record_parameters().encode())
    lines = sorted(lines, key=lambda line: line.utterance.id)
    contents = hashes.of(line.audio_path for line in lines)
    for line, content in zip(lines, contents):
        digest.update(f"{line.utterance.to_json()}\0{content}\n".encode())
    return digest.hexdigest()[:32]


def by_length(lines: Sequence[ShardLine], config: IngestionConfig) -> list[ShardLine]:
    """From short to long; equally long ones by id.

    The manifest's duration counts, or else that of the audio's header; unreadable recordings, which
    the check rejects later, come first.
    """

    def length(line: ShardLine) -> tuple[float, str]:
        duration = line.utterance.duration
        if duration is None:
            try:
                duration = audio_duration(line.audio_path, raw=config.raw)
            except AudioError:
                duration = 0.0
        return duration, line.utterance.id

    return sorted(lines, key=length)


def write_shard(
    path: str,
    lines: Sequence[ShardLine],
    config: IngestionConfig,
    on_utterance: Callable[[float], None],
) -> ShardContent:
    """Computes the features of the usable utterances and writes them from short to long.

    The bytes depend on the lines, the audio and the configuration alone: the gzip header carries
    neither a time nor a name.

    Args:
        path: the file to write.
        lines: the shard's utterances, in any order.
        config: features and checks.
        on_utterance: called after each utterance with its length in seconds, 0 for rejected ones.
    """
    import tensorflow as tf

    alphabet = Alphabet(config.alphabet)
    features = config.features
    options = tf.io.TFRecordOptions(
        "GZIP", compression_level=_GZIP_LEVEL, compression_strategy=_HUFFMAN_ONLY
    )
    written, audio_seconds, rejections = 0, 0.0, []
    with tf.io.TFRecordWriter(path, options) as writer:
        for line in by_length(lines, config):
            try:
                samples = load_utterance(
                    line.utterance,
                    line.manifest_path,
                    alphabet,
                    sample_rate=features.sample_rate,
                    hop_samples=features.hop_samples,
                    time_stride=config.time_stride,
                    raw=config.raw,
                )
            except BadUtterance as bad:
                rejections.append(Rejection(line.utterance.id, bad.reason, bad.detail))
                on_utterance(0.0)
                continue
            seconds = len(samples) / features.sample_rate
            spectrogram = log_spectrogram_of(samples, features)
            example = make_example(line.utterance, spectrogram, seconds)
            writer.write(example.SerializeToString(deterministic=True))
            written += 1
            audio_seconds += seconds
            on_utterance(seconds)
    return ShardContent(written, audio_seconds, rejections)
