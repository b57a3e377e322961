# SPDX-License-Identifier: Apache-2.0
"""From a manifest of recordings straight to batches, with changes made to the recordings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from ds2_tf.audio.augmentation import AudioAugmentation
from ds2_tf.audio.graph_reading import (
    DECODERS,
    read_in_graph,
    readable_in_graph,
    require_tensorflow_io,
)
from ds2_tf.audio.reading import RawFormat, read_audio
from ds2_tf.audio.spectrogram import SpectrogramConfig, log_spectrogram
from ds2_tf.corpora.manifest import Utterance, resolve_audio
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.feeding import bucket_by_frames, label_encoder
from ds2_tf.training.left_out import LeftOut


def spectrograms_of(
    utterances: Sequence[Utterance],
    order: np.ndarray,
    manifest_path: str | os.PathLike,
    features: SpectrogramConfig = SpectrogramConfig(),
    *,
    raw: RawFormat | None = None,
    augment_audio: AudioAugmentation | None = None,
    augment_spectrogram: Callable | None = None,
    seed: tuple[int, int] = (0, 0),
    decoder: str = "soundfile",
):
    """Reads recordings in parallel and computes their spectrograms in the graph.

    Args:
        utterances: usable ones (`ds2_tf.corpora.checking`).
        order: indices into them.
        manifest_path: where their manifest lies.
        features: the feature definition.
        raw: the format of headerless recordings, where the corpus has them.
        augment_audio: changes made to a recording. Defaults to none.
        augment_spectrogram: see `ds2_tf.training.spectrogram_augmentation`. Defaults to none.
        seed: of the changes: the run's seed and the epoch.
        decoder: "tensorflow-io" reads inside the graph what `ds2_tf.audio.graph_reading` can read,
            and soundfile the rest; the samples are the same. Defaults to "soundfile" for all.

    Returns:
        tf.data.Dataset of {"spectrogram": float32 [frames, bins], "num_frames": int32}, the
        transcript and the id.
    """
    import tensorflow as tf

    if decoder not in DECODERS:
        raise UserError(f"decoder must be one of {', '.join(DECODERS)}, got {decoder!r}.")
    paths = [resolve_audio(utterance, manifest_path) for utterance in utterances]
    transcripts = tf.constant([utterance.transcript for utterance in utterances])
    ids = tf.constant([utterance.id for utterance in utterances])

    def read(index):
        return read_audio(paths[index], sample_rate=features.sample_rate, raw=raw)

    def augmented(samples, index):
        return augment_audio(samples, (*seed, int(index)))

    def samples_of(index):
        def by_soundfile():
            return tf.ensure_shape(tf.numpy_function(read, [index], tf.float32), [None])

        if decoder == "soundfile":
            return by_soundfile()
        return tf.cond(in_graph[index], lambda: read_in_graph(path_tensor[index]), by_soundfile)

    if decoder == "tensorflow-io":
        require_tensorflow_io()
        path_tensor = tf.constant(paths)
        in_graph = tf.constant([readable_in_graph(path, features.sample_rate) for path in paths])

    def utterance(index):
        samples = samples_of(index)
        if augment_audio is not None:
            changed = tf.numpy_function(augmented, [samples, index], tf.float32)
            samples = tf.ensure_shape(changed, [None])
        spectrogram, num_frames = log_spectrogram(samples[None], tf.size(samples)[None], features)
        spectrogram = spectrogram[0]
        if augment_spectrogram is not None:
            keys = tf.constant(seed, tf.int64) + tf.stack([index * 2**20, 0])
            spectrogram = augment_spectrogram(spectrogram, keys)
        inputs = {"spectrogram": spectrogram, "num_frames": num_frames[0]}
        return inputs, transcripts[index], ids[index]

    return tf.data.Dataset.from_tensor_slices(order.astype(np.int64)).map(
        utterance, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def audio_batches(
    spectrograms,
    alphabet: Alphabet,
    *,
    batch_frames: int,
    max_batch_size: int,
    num_bins: int,
    output_frames: Callable,
    max_frames: int | None = None,
    left_out: LeftOut | None = None,
    with_ids: bool = False,
):
    """Batches of like length out of `spectrograms_of`.

    A recording that was sped up may have become too short for its transcript under CTC; it is left
    out.

    Args:
        spectrograms: dataset of `spectrograms_of`.
        alphabet: encodes the transcripts.
        batch_frames: most frames in a batch, padding included; a longer utterance stands alone.
        max_batch_size: most utterances in a batch.
        num_bins: frequency bins of the spectrograms.
        output_frames: the network's frames for a number of spectrogram frames.
        max_frames: longer utterances are left out. Defaults to none.
        left_out: takes those down.
        with_ids: give the utterances' ids as well. Defaults to False.

    Returns:
        A dataset like that of `ds2_tf.training.feeding.epoch_batches`.
    """
    encode = label_encoder(alphabet)

    left_out = LeftOut() if left_out is None else left_out
    utterances = spectrograms.map(lambda inputs, text, id: (inputs, encode(text), id))
    utterances = left_out.without_short(utterances, output_frames)
    if max_frames is not None:
        utterances = left_out.without_long(utterances, max_frames)
    return bucket_by_frames(utterances, batch_frames, max_batch_size, num_bins, with_ids=with_ids)


def epoch_order(durations: Sequence[float], sortagrad: bool, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: by duration in epoch 0 with SortaGrad, else a random permutation.

    Args:
        durations: of the utterances, in seconds.
        sortagrad: whether epoch 0 runs from short to long.
        seed: of the run.
        epoch: counted from 0.

    Returns:
        Indices, int64 [utterances].
    """
    if sortagrad and epoch == 0:
        return np.argsort(durations, kind="stable")
    return np.random.default_rng((seed, epoch)).permutation(len(durations))
