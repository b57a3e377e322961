# SPDX-License-Identifier: Apache-2.0
"""From record files to batches: order, buckets of like length, labels.

Everything is a function of the seed, the epoch and the position within it, so that a run that was
killed goes on with the very batches that it would have had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ds2_tf.config import TrainingConfig
from ds2_tf.corpora.records import compression_of, parse_example
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.left_out import LeftOut
from ds2_tf.training.loss import LABEL_PADDING

# Lengths in a bucket differ by at most this factor: the most padding is what it adds over 1.
BUCKET_GROWTH = 1.15
_SHORTEST_BUCKET = 64

# Batches made while a step runs. TensorFlow's own choice grows for hours, and memory with it.
_BATCHES_AHEAD = 4


def epoch_batches(
    record_files: Sequence[str],
    alphabet: Alphabet,
    config: TrainingConfig,
    epoch: int,
    *,
    num_bins: int = 161,
    num_utterances: int | None = None,
    augment: Callable | None = None,
    left_out: LeftOut | None = None,
    with_ids: bool = False,
):
    """The training batches of one epoch.

    With SortaGrad (Section 3.2.1) epoch 0 runs from short to long utterances. Every other epoch
    reads all files at once, each from a random place on, and shuffles in a bounded buffer. Batches
    hold utterances of like length and at most `config.batch_frames` frames, padding included.

    Args:
        record_files: files of records, each ordered by length; gzipped where so named.
        alphabet: encodes the transcripts.
        config: batch sizes, order and seed.
        epoch: counted from 0; an integer, or an int64 scalar tensor.
        num_bins: frequency bins of the spectrograms. Defaults to 161.
        num_utterances: records in all files, where known; places the random starts.
        augment: function of a spectrogram, [frames, bins], and a seed, int64 [2].
        left_out: takes down the utterances that are longer than `config.max_frames`.
        with_ids: give the utterances' ids as well. Defaults to False.

    Returns:
        tf.data.Dataset of pairs: {"spectrogram": float32 [batch, frames, bins], "num_frames": int32
        [batch]} and labels, int32 [batch, labels], padded with -1; with `with_ids` of triples that
        end in the ids, string [batch].
    """
    import tensorflow as tf

    files = _existing(record_files)
    in_file = max(1, (num_utterances or 1) // len(files))
    epoch = tf.cast(epoch, tf.int64)
    ordered = tf.logical_and(config.sortagrad, tf.equal(epoch, 0))
    seed = tf.stack([tf.constant(config.seed, tf.int64), epoch])
    encode = label_encoder(alphabet)

    def read(file, index):
        records = tf.data.TFRecordDataset(file, compression_type=compression_of(files[0]))
        start = tf.random.stateless_uniform(
            [], seed + tf.stack([index + 1, 0]), 0, in_file, tf.int64
        )
        start = tf.where(ordered, tf.constant(0, tf.int64), start)
        return records.skip(start).concatenate(records.take(start))

    def utterance(index, record):
        parsed = parse_example(record, num_bins)
        spectrogram = parsed["spectrogram"]
        if augment is not None:
            spectrogram = augment(spectrogram, seed + tf.stack([index * 2**20, 0]))
        inputs = {"spectrogram": spectrogram, "num_frames": parsed["num_frames"]}
        return inputs, encode(parsed["transcript"]), parsed["id"]

    paths = tf.random.experimental.stateless_shuffle(files, seed)
    records = tf.data.Dataset.zip(
        tf.data.Dataset.from_tensor_slices(paths), tf.data.Dataset.range(len(files))
    ).interleave(
        read, cycle_length=len(files), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    shuffled = records.shuffle(
        tf.where(ordered, tf.constant(1, tf.int64), config.shuffle_buffer),
        seed=config.seed + epoch,
    )
    utterances = shuffled.enumerate().map(
        utterance, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return bucket_by_frames(
        (LeftOut() if left_out is None else left_out).without_long(utterances, config.max_frames),
        config.batch_frames,
        config.max_batch_size,
        num_bins,
        with_ids=with_ids,
    )


def evaluation_batches(
    record_files: Sequence[str],
    alphabet: Alphabet,
    *,
    batch_frames: int,
    max_batch_size: int = 64,
    num_bins: int = 161,
):
    """All utterances of some record files once, whatever their length.

    Args:
        record_files: files of records, gzipped where so named.
        alphabet: encodes the transcripts.
        batch_frames: most frames in a batch, padding included; a longer utterance stands alone.
        max_batch_size: most utterances in a batch. Defaults to 64.
        num_bins: frequency bins of the spectrograms. Defaults to 161.

    Returns:
        A dataset like that of `training_batches`.
    """
    import tensorflow as tf

    files = _existing(record_files)
    encode = label_encoder(alphabet)

    def utterance(record):
        parsed = parse_example(record, num_bins)
        inputs = {"spectrogram": parsed["spectrogram"], "num_frames": parsed["num_frames"]}
        return inputs, encode(parsed["transcript"]), parsed["id"]

    utterances = tf.data.TFRecordDataset(files, compression_type=compression_of(files[0])).map(
        utterance, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return bucket_by_frames(utterances, batch_frames, max_batch_size, num_bins)


def bucket_boundaries(max_frames: int) -> list[int]:
    """Upper ends of the length buckets, in frames: a geometric series that ends at max_frames."""
    boundaries = [min(_SHORTEST_BUCKET, max_frames)]
    while boundaries[-1] < max_frames:
        boundaries.append(min(max_frames, int(boundaries[-1] * BUCKET_GROWTH) + 1))
    return boundaries


def bucket_by_frames(
    utterances, batch_frames: int, max_batch_size: int, num_bins: int, with_ids: bool = False
):
    """Batches utterances of like length, within a budget of frames, some batches ahead.

    Args:
        utterances: dataset of ({"spectrogram", "num_frames"}, labels, id), one utterance each.
        batch_frames: most frames in a batch, padding included. An utterance that is longer stands
            in a batch of its own.
        max_batch_size: most utterances in a batch.
        num_bins: frequency bins of the spectrograms.
        with_ids: give the ids of a batch too. Defaults to False.
    """
    boundaries = bucket_boundaries(batch_frames)
    sizes = [max(1, min(max_batch_size, batch_frames // frames)) for frames in boundaries]
    batches = utterances.bucket_by_sequence_length(
        lambda inputs, labels, id: inputs["num_frames"],
        # tf.data's buckets exclude their upper end.
        bucket_boundaries=[frames + 1 for frames in boundaries],
        bucket_batch_sizes=[*sizes, 1],
        padded_shapes=({"spectrogram": [None, num_bins], "num_frames": []}, [None], []),
        padding_values=({"spectrogram": 0.0, "num_frames": 0}, LABEL_PADDING, ""),
    )
    # Keras would take a third element for weights.
    if not with_ids:
        batches = batches.map(lambda inputs, labels, ids: (inputs, labels))
    return batches.prefetch(_BATCHES_AHEAD)


def label_encoder(alphabet: Alphabet) -> Callable:
    """A graph function from a transcript, string scalar in NFC, to its labels, int32 [labels].

    Characters outside the alphabet get label -1, which a check of the corpus excludes.
    """
    import tensorflow as tf

    if alphabet.has_bigrams:
        return _bigram_encoder(alphabet)
    code_points = np.array([ord(character) for character in alphabet.characters])
    labels = np.full(code_points.max() + 2, LABEL_PADDING, np.int32)
    labels[code_points] = np.arange(1, alphabet.size)

    def encode(transcript):
        points = tf.strings.unicode_decode(transcript, "UTF-8")
        return tf.gather(labels, tf.minimum(points, len(labels) - 1))

    return encode


def _bigram_encoder(alphabet: Alphabet) -> Callable:
    import tensorflow as tf

    def labels_of(transcript: bytes) -> np.ndarray:
        text = transcript.decode("utf-8")
        labels = [LABEL_PADDING] if alphabet.unknown_characters(text) else alphabet.encode(text)
        return np.array(labels, np.int32)

    def encode(transcript):
        labels = tf.numpy_function(labels_of, [transcript], tf.int32, stateful=False)
        labels.set_shape([None])
        return labels

    return encode


def _existing(record_files: Sequence[str]) -> list[str]:
    if not record_files:
        raise UserError("No record files were given.")
    return sorted(str(path) for path in record_files)
