# SPDX-License-Identifier: Apache-2.0
"""What a recogniser is trained on: records of features, or recordings."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from ds2_tf.audio.augmentation import AudioAugmentation, noise_files
from ds2_tf.audio.reading import RawFormat, audio_duration
from ds2_tf.audio.spectrogram import FEATURE_VERSION
from ds2_tf.config import AudioAugmentationConfig, Recipe, to_dict
from ds2_tf.corpora.checking import check_corpus, parse_lines
from ds2_tf.corpora.manifest import Utterance, require_splits, resolve_audio
from ds2_tf.corpora.records import read_records
from ds2_tf.corpora.rejection import DEFAULT_LIMIT, RejectionReport
from ds2_tf.corpora.statistics import (
    SpectrogramStatistics,
    compute_statistics,
)
from ds2_tf.errors import UserError
from ds2_tf.models.model_directory import MODEL_NAME
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.audio_feeding import audio_batches, epoch_order, spectrograms_of
from ds2_tf.training.feeding import epoch_batches, evaluation_batches
from ds2_tf.training.left_out import LeftOut
from ds2_tf.training.spectrogram_augmentation import spectrogram_augmentation


class TrainingData(Protocol):
    """What the trainer needs of a corpus."""

    @property
    def statistics(self) -> SpectrogramStatistics:
        """Of the training split."""

    @property
    def fingerprint(self) -> str:
        """Changes with the content of the corpus."""

    @property
    def trains_on_dev(self) -> bool:
        """Whether the dev split is part of what is trained on."""

    @property
    def left_out(self) -> LeftOut:
        """What was not trained on in the epoch that was asked for last."""

    def epoch(self, epoch: int, with_ids: bool = False) -> tf.data.Dataset:
        """The training batches of an epoch, counted from 0; see `epoch_batches`."""

    def dev(self) -> tf.data.Dataset:
        """The batches of the dev split."""


class RecordData:
    """Features that ingestion has stored.

    Args:
        recipe: order, batches and changes.
        train_files: record files of the training split.
        dev_files: record files of the dev split.
        statistics: of the training split. Defaults to reading it once.

    Raises:
        UserError: there are no files, or the recipe changes recordings, which are not at hand, or
            without `statistics`, which takes reading the files: a transcript has characters outside
            the recipe's alphabet.
    """

    def __init__(
        self,
        recipe: Recipe,
        train_files: Sequence[str],
        dev_files: Sequence[str],
        statistics: SpectrogramStatistics | None = None,
    ):
        augmentation = recipe.training.augmentation
        if augmentation.audio != AudioAugmentationConfig():
            raise UserError(
                "training.augmentation.audio changes recordings, and records hold features only: "
                "train from recordings (ds2 train --manifest), or remove it from the recipe."
            )
        self._recipe = recipe
        self._train_files = train_files
        self._dev_files = dev_files
        self._alphabet = Alphabet(recipe.alphabet)
        self.statistics = statistics or compute_statistics(
            _spectrograms_of_records(train_files, recipe, self._alphabet)
        )
        self._augment = spectrogram_augmentation(augmentation, self.statistics.mean)
        self.left_out = LeftOut()

    @property
    def fingerprint(self) -> str:
        """A hash of the files' content."""
        digest = hashlib.sha256()
        for files in (self._train_files, self._dev_files):
            digest.update(f"{len(files)} files\0".encode())
            for path in sorted(files):
                digest.update(_file_digest(path))
        return digest.hexdigest()

    @property
    def trains_on_dev(self) -> bool:
        """Whether a file of the dev split is one of the training split."""
        return not set(self._train_files).isdisjoint(self._dev_files)

    def epoch(self, epoch: int, with_ids: bool = False) -> tf.data.Dataset:
        """The training batches of an epoch, counted from 0; see `epoch_batches`."""
        self.left_out = LeftOut()
        return epoch_batches(
            self._train_files,
            self._alphabet,
            self._recipe.training,
            epoch,
            num_bins=self._recipe.features.num_bins,
            num_utterances=self.statistics.num_utterances,
            augment=self._augment if augmented(self._recipe, epoch) else None,
            left_out=self.left_out,
            with_ids=with_ids,
        )

    def dev(self) -> tf.data.Dataset:
        """The batches of the dev split."""
        return evaluation_batches(
            self._dev_files,
            self._alphabet,
            batch_frames=self._recipe.training.batch_frames,
            max_batch_size=self._recipe.training.max_batch_size,
            num_bins=self._recipe.features.num_bins,
        )


class AudioData:
    """The recordings of a manifest.

    Args:
        recipe: features, order, batches and changes.
        manifest_path: utterances with their splits.
        train_split: the split to train on, or several, of which "dev" may be one. Defaults to
            "train".
        dev_split: the split to watch. Defaults to "dev".
        raw: the format of headerless recordings, where the corpus has them.
        max_bad_share: most utterances, as a share, that may be unusable; they are left out.
            Defaults to 0.01.
        decoder: "soundfile" or "tensorflow-io", see `spectrograms_of`. Defaults to "soundfile".
        jobs: processes that check the recordings. Defaults to 1, this one: a script that starts
            others must be guarded by `if __name__ == "__main__"`. None takes all processors.

    Raises:
        TooManyRejections: more utterances than that are unusable; the message names them.
        UserError: a split is not there, or has no usable utterance.
    """

    def __init__(
        self,
        recipe: Recipe,
        manifest_path: str | os.PathLike,
        *,
        train_split: str | Sequence[str] = "train",
        dev_split: str = "dev",
        raw: RawFormat | None = None,
        max_bad_share: float = DEFAULT_LIMIT,
        decoder: str = "soundfile",
        jobs: int | None = 1,
    ):
        self._recipe = recipe
        self._manifest_path = manifest_path
        self._raw = raw
        self._decoder = decoder
        self._alphabet = Alphabet(recipe.alphabet)
        train_splits = {train_split} if isinstance(train_split, str) else set(train_split)
        splits = (*sorted(train_splits), dev_split)
        require_splits(splits, manifest_path)
        usable = _usable_utterances(recipe, manifest_path, raw, max_bad_share, jobs)
        self.trains_on_dev = dev_split in train_splits
        self._train = [u for u in usable if u.split in train_splits]
        self._dev = [u for u in usable if u.split == dev_split]
        for name in splits:
            if all(utterance.split != name for utterance in usable):
                raise UserError(f"No utterance of the split {name!r} in {manifest_path} is usable.")
        self._durations = [self._duration(utterance) for utterance in self._train]
        augmentation = recipe.training.augmentation
        self._augment_audio = (
            AudioAugmentation(augmentation.audio, recipe.features.sample_rate)
            if augmentation.audio != AudioAugmentationConfig()
            else None
        )
        plain = self._spectrograms(self._train, np.arange(len(self._train)))
        self.statistics = compute_statistics(
            inputs["spectrogram"] for inputs, *_ in plain.as_numpy_iterator()
        )
        self._augment = spectrogram_augmentation(augmentation, self.statistics.mean)
        self.left_out = LeftOut()

    @property
    def fingerprint(self) -> str:
        """A hash of the manifest's usable lines and of the recordings' content."""
        digest = hashlib.sha256()
        for utterance in (*self._train, *self._dev):
            digest.update(utterance.to_json().encode())
            digest.update(_file_digest(resolve_audio(utterance, self._manifest_path)))
        return digest.hexdigest()

    def epoch(self, epoch: int, with_ids: bool = False) -> tf.data.Dataset:
        """The training batches of an epoch, counted from 0; see `epoch_batches`."""
        self.left_out = LeftOut()
        training = self._recipe.training
        changes = augmented(self._recipe, epoch)
        spectrograms = self._spectrograms(
            self._train,
            epoch_order(self._durations, training.sortagrad, training.seed, epoch),
            augment_audio=self._augment_audio if changes else None,
            augment_spectrogram=self._augment if changes else None,
            seed=(training.seed, epoch),
        )
        return self._batches(
            spectrograms,
            max_frames=training.max_frames,
            left_out=self.left_out,
            with_ids=with_ids,
        )

    def dev(self) -> tf.data.Dataset:
        """The batches of the dev split."""
        return self._batches(self._spectrograms(self._dev, np.arange(len(self._dev))))

    def _spectrograms(self, utterances, order, **options):
        return spectrograms_of(
            utterances,
            order,
            self._manifest_path,
            self._recipe.features,
            raw=self._raw,
            decoder=self._decoder,
            **options,
        )

    def _batches(self, spectrograms, **options):
        return audio_batches(
            spectrograms,
            self._alphabet,
            batch_frames=self._recipe.training.batch_frames,
            max_batch_size=self._recipe.training.max_batch_size,
            num_bins=self._recipe.features.num_bins,
            output_frames=self._recipe.model.output_frames,
            **options,
        )

    def _duration(self, utterance: Utterance) -> float:
        if utterance.duration is not None:
            return utterance.duration
        return audio_duration(resolve_audio(utterance, self._manifest_path), raw=self._raw)


def augmented(recipe: Recipe, epoch: int) -> bool:
    """Whether the recipe changes the utterances of an epoch, counted from 0."""
    return epoch + 1 >= recipe.training.augmentation.first_epoch


def endless(data: TrainingData, first_epoch: int = 0) -> tf.data.Dataset:
    """The training batches of one epoch after the other, without end, for `keras.Model.fit`.

    Epochs differ in their number of batches, which `fit` does not expect of a dataset: with this
    one, give it `steps_per_epoch`.

    A network that was built and compiled under the scope of a `tf.distribute.MirroredStrategy` is
    trained by `fit` on all its devices, with the normalization statistics of all. As Keras does
    it, though, each device's share of a batch counts as much as another's, also where it has fewer
    utterances, and gradients are clipped before they are added up: with uneven batches, or with
    `global_clipnorm`, the weights are not quite those of one device. `ds2_tf.train` has neither
    limit.

    Args:
        data: a corpus.
        first_epoch: the epoch to begin with, from 0. Defaults to 0, the ordered one of SortaGrad.
    """

    def batches():
        for epoch in itertools.count(first_epoch):
            yield from data.epoch(epoch)

    return tf.data.Dataset.from_generator(
        batches, output_signature=data.epoch(first_epoch).element_spec
    ).prefetch(1)


def run_fingerprint(
    recipe: Recipe, data: TrainingData, initial_model: str | os.PathLike | None = None
) -> str:
    """Identifies a training run by its recipe, its features and the content of its corpus.

    So do the weights of the model that it starts from, where there is one. The pause between
    checkpoints is left out, since it changes nothing that is learned; recordings of noise count by
    what they hold, and not by where they lie.
    """
    content = to_dict(recipe)
    del content["training"]["checkpoint_seconds"]
    audio = content["training"]["augmentation"]["audio"]
    if audio["noise_directory"] is not None:
        files = noise_files(audio["noise_directory"])
        audio["noise_directory"] = [_file_digest(path).hex() for path in files]
    parts = [content, FEATURE_VERSION, data.fingerprint]
    if initial_model is not None:
        parts.append(_file_digest(os.path.join(initial_model, MODEL_NAME)).hex())
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _spectrograms_of_records(files, recipe, alphabet) -> Iterator[np.ndarray]:
    for record in read_records(files, recipe.features.num_bins).as_numpy_iterator():
        transcript = record["transcript"].decode("utf-8")
        unknown = alphabet.unknown_characters(transcript)
        if unknown:
            raise UserError(
                f"The record {record['id'].decode('utf-8')} has {unknown!r} in {transcript!r}, "
                "which the recipe's alphabet lacks: ingest the corpus again with this recipe."
            )
        yield record["spectrogram"]


def _usable_utterances(recipe, manifest_path, raw, max_bad_share, jobs) -> list[Utterance]:
    report = check_corpus(
        manifest_path,
        Alphabet(recipe.alphabet),
        sample_rate=recipe.features.sample_rate,
        hop_samples=recipe.features.hop_samples,
        time_stride=recipe.model.time_stride,
        raw=raw,
        jobs=jobs,
    )
    report.enforce(max_bad_share)
    if report.rejections:
        print(report.summary(), file=sys.stderr)
    # The first of several utterances with one id is good, and has no rejection of another kind.
    rejected = {r.id for r in report.rejections if r.reason != "duplicate-id"}
    return [
        dataclasses.replace(u, transcript=unicodedata.normalize("NFC", u.transcript))
        for u in parse_lines(manifest_path, RejectionReport())
        if u.id not in rejected
    ]


def _file_digest(path: str | os.PathLike) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        # A record file may hold an eighth of the corpus: it is never in memory as a whole.
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
