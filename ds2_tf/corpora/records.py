# SPDX-License-Identifier: Apache-2.0
"""The stored form of an utterance's features: a tf.train.Example.

| feature | type | content |
|---|---|---|
| id, transcript, speaker, split | bytes | UTF-8; empty where not known |
| num_frames | int64 | frames of the spectrogram |
| duration | float | seconds |
| spectrogram | bytes | float16, little endian, num_frames x bins, row by row |

Text and numbers among the manifest's further fields are stored under their own names, for slicing.
"""

from __future__ import annotations

import numbers
import os
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.errors import UserError

# Utterances, of a few hundred kilobytes each: TensorFlow's own choice grows to hundreds.
_READ_AHEAD = 16

FIELDS = ("id", "transcript", "speaker", "split", "num_frames", "duration", "spectrogram")


def make_example(utterance: Utterance, spectrogram: np.ndarray, duration: float):
    """Packs an utterance and its features.

    Args:
        utterance: id, transcript and slice fields.
        spectrogram: float32 [frames, bins].
        duration: length of the recording in seconds.

    Returns:
        A tf.train.Example.

    Raises:
        ValueError: a further field of the manifest bears a name of the format's own.
    """
    import tensorflow as tf

    def text(value: str) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode("utf-8")]))

    features = {
        "id": text(utterance.id),
        # Composed here, since the graph that reads it looks characters up as they stand.
        "transcript": text(unicodedata.normalize("NFC", utterance.transcript)),
        "speaker": text(utterance.speaker or ""),
        "split": text(utterance.split or ""),
        "num_frames": tf.train.Feature(int64_list=tf.train.Int64List(value=[spectrogram.shape[0]])),
        "duration": tf.train.Feature(float_list=tf.train.FloatList(value=[duration])),
        "spectrogram": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[spectrogram.astype("<f2").tobytes()])
        ),
    }
    for name, value in utterance.extra.items():
        if name in features:
            raise ValueError(f"the manifest field {name!r} of {utterance.id} is a reserved name")
        if isinstance(value, str):
            features[name] = text(value)
        elif isinstance(value, numbers.Real):
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))
    return tf.train.Example(features=tf.train.Features(feature=features))


def parse_example(serialized, num_bins: int) -> dict:
    """Unpacks one serialized Example inside a graph.

    Args:
        serialized: string scalar.
        num_bins: frequency bins of the spectrogram.

    Returns:
        id, transcript, speaker: string scalars; duration: float32 scalar; num_frames: int32 scalar;
        spectrogram: float32 [num_frames, num_bins].
    """
    import tensorflow as tf

    scalars = {
        "id": tf.io.FixedLenFeature([], tf.string),
        "transcript": tf.io.FixedLenFeature([], tf.string),
        "speaker": tf.io.FixedLenFeature([], tf.string, default_value=""),
        "duration": tf.io.FixedLenFeature([], tf.float32),
        "num_frames": tf.io.FixedLenFeature([], tf.int64),
        "spectrogram": tf.io.FixedLenFeature([], tf.string),
    }
    parsed = tf.io.parse_single_example(serialized, scalars)
    half = tf.io.decode_raw(parsed["spectrogram"], tf.float16, little_endian=True)
    parsed["spectrogram"] = tf.cast(tf.reshape(half, [-1, num_bins]), tf.float32)
    parsed["num_frames"] = tf.cast(parsed["num_frames"], tf.int32)
    return parsed


def compression_of(path: str) -> str:
    """The TFRecord compression of a file by its name: "GZIP" for `.gz`, else none."""
    return "GZIP" if path.endswith(".gz") else ""


def read_records(record_files: Sequence[str], num_bins: int):
    """Reads record files in their order.

    Args:
        record_files: paths, gzipped where they end in `.gz`.
        num_bins: frequency bins of the spectrograms.

    Returns:
        A tf.data.Dataset of what `parse_example` gives.

    Raises:
        UserError: there are no files.
    """
    import tensorflow as tf

    if not record_files:
        raise UserError("No record files were given.")
    files = [str(path) for path in record_files]
    records = tf.data.TFRecordDataset(files, compression_type=compression_of(files[0]))
    return records.map(
        lambda serialized: parse_example(serialized, num_bins),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    ).prefetch(_READ_AHEAD)


def read_transcripts(record_files: Sequence[str]) -> Iterator[str]:
    """Yields the transcripts of record files, in their order.

    Args:
        record_files: paths, gzipped where they end in `.gz`.

    Raises:
        UserError: there are no files.
    """
    import tensorflow as tf

    if not record_files:
        raise UserError("No record files were given.")
    files = [str(path) for path in record_files]
    feature = {"transcript": tf.io.FixedLenFeature([], tf.string)}
    records = tf.data.TFRecordDataset(files, compression_type=compression_of(files[0]))
    for record in records.map(lambda serialized: tf.io.parse_single_example(serialized, feature)):
        yield record["transcript"].numpy().decode("utf-8")


def split_files(directory: str | os.PathLike, split: str) -> list[str]:
    """The record files of a split, in the layout that ingestion writes.

    Args:
        directory: output of ingestion; holds `Split-<name>/data_tfrecord-*`.
        split: such as "train".

    Raises:
        UserError: there are none.
    """
    pattern = pathlib.Path(directory) / f"Split-{split}"
    files = sorted(str(path) for path in pattern.glob("data_tfrecord-*"))
    if not files:
        raise UserError(
            f"There are no records in {pattern}: make them with `ds2 pipeline ingest --output "
            f"{directory}`."
        )
    return files
