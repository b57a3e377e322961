# SPDX-License-Identifier: Apache-2.0
"""Training a recipe from record files to a model directory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Sequence

import keras
import yaml

import ds2_tf
from ds2_tf.audio.spectrogram import FEATURE_VERSION
from ds2_tf.config import Recipe, to_dict
from ds2_tf.corpora.statistics import SpectrogramStatistics
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, save_model
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.feeding import Position, evaluation_batches, training_batches
from ds2_tf.training.loss import CTCLoss
from ds2_tf.training.optimizer import LearningRate, make_optimizer
from ds2_tf.training.progress import Progress
from ds2_tf.training.resume import Resume
from ds2_tf.training.spec_augment import spec_augment
from ds2_tf.training.validation import StopOnDivergence, Validation


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What training came to.

    Attributes:
        wer: greedy word error rate on the dev split, of the weights that were kept.
        cer: character error rate, likewise.
        best_epoch: the epoch that they are from, counted from 1.
        epochs: epochs trained.
        seconds: time that this call took; a run taken up again counts from there.
    """

    wer: float
    cer: float
    best_epoch: int
    epochs: int
    seconds: float


def train(
    recipe: Recipe,
    *,
    train_records: Sequence[str],
    dev_records: Sequence[str],
    statistics: SpectrogramStatistics,
    output_directory: str | os.PathLike,
    state_directory: str | os.PathLike,
) -> TrainingResult:
    """Trains a network and keeps the weights of the epoch with the lowest dev word error rate.

    A run that was killed is taken up at its last checkpoint by calling this again with the same
    arguments, and ends with the same weights.

    Args:
        recipe: network and training.
        train_records: record files of the training split.
        dev_records: record files of the dev split.
        statistics: of the training split.
        output_directory: gets the model directory.
        state_directory: holds checkpoints, history and best weights. Must last from one call to
            the next for a run to be taken up again.

    Raises:
        UserError: there are no records, or the state is one of another run.
        FloatingPointError: the loss is no number any more.
    """
    started = time.monotonic()
    config = recipe.training
    keras.utils.set_random_seed(config.seed)
    alphabet = Alphabet(recipe.alphabet)
    network = DeepSpeech2(
        recipe.model, alphabet.size, recipe.features.num_bins, dtype=config.precision
    )
    network.feature_normalization.set_statistics(statistics.mean, statistics.standard_deviation)
    network.compile(optimizer=make_optimizer(config), loss=CTCLoss())
    network.optimizer.build(network.trainable_variables)

    position = Position()
    batches = training_batches(
        train_records,
        alphabet,
        config,
        position,
        num_bins=recipe.features.num_bins,
        num_utterances=statistics.num_utterances,
        augment=spec_augment(config.augmentation, statistics.mean),
    )
    dev_batches = evaluation_batches(
        dev_records,
        alphabet,
        batch_frames=config.batch_frames,
        max_batch_size=config.max_batch_size,
        num_bins=recipe.features.num_bins,
    )
    validation = Validation(dev_batches, alphabet, state_directory)
    resume = Resume(
        state_directory,
        run_fingerprint(recipe, train_records, dev_records),
        position,
        config.checkpoint_seconds,
    )
    first_epoch = resume.restore(network)
    validation.restore(first_epoch)
    hop = recipe.features.hop_seconds
    network.fit(
        batches,
        initial_epoch=first_epoch,
        epochs=config.epochs,
        verbose=0,
        callbacks=[
            LearningRate(config),
            StopOnDivergence(),
            validation,
            Progress(config.epochs, statistics.num_frames * hop),
            resume,
        ],
    )
    network.load_weights(validation.best_weights)
    best = validation.best
    result = TrainingResult(
        best["val_wer"],
        best["val_cer"],
        best["epoch"] + 1,
        config.epochs,
        time.monotonic() - started,
    )
    description = ModelDescription(recipe.model, recipe.alphabet, recipe.features)
    save_model(output_directory, network, description, _model_card(recipe, statistics, result))
    history = "".join(json.dumps(logs) + "\n" for logs in validation.history)
    (pathlib.Path(output_directory) / "history.jsonl").write_text(history, "utf-8")
    return result


def run_fingerprint(
    recipe: Recipe, train_records: Sequence[str], dev_records: Sequence[str]
) -> str:
    """Identifies a run by its recipe, the version of the features and the content of its records.

    The pause between checkpoints is left out, since it changes nothing that is learned.
    """
    content = to_dict(recipe)
    del content["training"]["checkpoint_seconds"]
    digest = hashlib.sha256(json.dumps([content, FEATURE_VERSION], sort_keys=True).encode())
    for path in (*sorted(train_records), None, *sorted(dev_records)):
        if path is None:
            digest.update(b"dev")
            continue
        with open(path, "rb") as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:16]


def _model_card(
    recipe: Recipe, statistics: SpectrogramStatistics, result: TrainingResult
) -> str:
    hours = statistics.num_frames * recipe.features.hop_seconds / 3600
    recipe_text = yaml.safe_dump(to_dict(recipe), allow_unicode=True, sort_keys=False)
    return f"""# Deep Speech 2 model

| | |
|---|---|
| trained on | {statistics.num_utterances} utterances, {hours:.2f} h |
| epochs | {result.epochs}; the weights are those of epoch {result.best_epoch} |
| dev WER, greedy | {result.wer:.2%} |
| dev CER, greedy | {result.cer:.2%} |
| seed | {recipe.training.seed} |
| ds2-tf | {ds2_tf.__version__} |

Use: `ds2 transcribe --model DIR FILE`, where DIR is this directory.

## Recipe

```yaml
{recipe_text}```
"""
