# SPDX-License-Identifier: Apache-2.0
"""Training a recipe: from a corpus to a model directory."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import time

import keras
import tensorflow as tf
import yaml

import ds2_tf
from ds2_tf.config import Recipe, TrainingConfig, to_dict
from ds2_tf.corpora.statistics import SpectrogramStatistics
from ds2_tf.errors import UserError
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, save_model
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.checkpoint import Checkpoint, Place
from ds2_tf.training.data import TrainingData, run_fingerprint
from ds2_tf.training.history import HISTORY_NAME, EpochResult, History
from ds2_tf.training.loss import CTCLoss
from ds2_tf.training.optimizer import learning_rate_at, make_optimizer
from ds2_tf.training.progress import Progress
from ds2_tf.training.validation import validate


class DivergenceError(UserError):
    """The loss is infinite or no number any more."""


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
    data: TrainingData,
    *,
    output_directory: str | os.PathLike,
    state_directory: str | os.PathLike,
) -> TrainingResult:
    """Trains a network and keeps the weights of the epoch with the lowest dev word error rate.

    A run that was killed is taken up at its last checkpoint by calling this again with the same
    arguments, and ends with the same weights.

    Args:
        recipe: network and training.
        data: what it is trained on.
        output_directory: gets the model directory.
        state_directory: holds checkpoints, history and best weights. Must last from one call to
            the next for a run to be taken up again.

    Raises:
        UserError: the state is one of another run, or damaged, or nothing can be trained on.
        DivergenceError: the loss is no number any more.
    """
    started = time.monotonic()
    config, statistics = recipe.training, data.statistics
    keras.utils.set_random_seed(config.seed)
    alphabet = Alphabet(recipe.alphabet)
    network = DeepSpeech2(
        recipe.model, alphabet.size, recipe.features.num_bins, dtype=config.precision
    )
    network.feature_normalization.set_statistics(statistics.mean, statistics.standard_deviation)
    network.compile(optimizer=make_optimizer(config), loss=CTCLoss())
    network.optimizer.build(network.trainable_variables)
    dev_batches = data.dev()

    checkpoint = Checkpoint(state_directory, run_fingerprint(recipe, data))
    place = checkpoint.restore(network)
    history = History(state_directory, place.epoch)
    audio_seconds = statistics.num_frames * recipe.features.hop_seconds
    progress = Progress(config.epochs, audio_seconds)
    while place.epoch < config.epochs:
        epoch_started = time.monotonic()
        batches = data.epoch(place.epoch)
        loss = _train_epoch(network, batches, config, place, checkpoint, progress)
        seconds = time.monotonic() - epoch_started
        words, characters = validate(network, dev_batches, alphabet)
        rate = float(keras.ops.convert_to_numpy(network.optimizer.learning_rate))
        result = EpochResult(place.epoch + 1, loss, words.rate, characters.rate, rate, seconds)
        history.add(result, network)
        progress.end_epoch(result, whole=place.step == 0)
        place = Place(place.epoch + 1)
        checkpoint.save(network, place)

    network.load_weights(history.best_weights)
    result = TrainingResult(
        history.best.wer,
        history.best.cer,
        history.best.epoch,
        config.epochs,
        time.monotonic() - started,
    )
    description = ModelDescription(recipe.model, recipe.alphabet, recipe.features)
    save_model(output_directory, network, description, _model_card(recipe, statistics, result))
    (pathlib.Path(output_directory) / HISTORY_NAME).write_text(history.text(), "utf-8")
    return result


def _train_epoch(
    network: keras.Model,
    batches: tf.data.Dataset,
    config: TrainingConfig,
    place: Place,
    checkpoint: Checkpoint,
    progress: Progress,
) -> float:
    """Trains what is left of an epoch and gives the mean loss of all of it.

    Keras' own `fit` takes the number of batches of its first epoch for that of all others, and so
    would leave out the end of longer ones, and most of them after an interruption.
    """
    progress.start_epoch()
    if place.step == 0:
        network.reset_metrics()
    network.make_train_function()
    iterator = iter(batches.skip(place.step))
    iteration = int(keras.ops.convert_to_numpy(network.optimizer.iterations))
    step = place.step
    while True:
        network.optimizer.learning_rate = learning_rate_at(config, place.epoch, iteration)
        try:
            loss = float(network.train_function(iterator)["loss"])
        except tf.errors.OutOfRangeError:
            if step == 0:
                raise UserError(
                    "No utterance of the training split is short enough to train on: "
                    f"training.max_frames is {config.max_frames}."
                ) from None
            return float(network.get_metrics_result()["loss"])
        step, iteration = step + 1, iteration + 1
        if not math.isfinite(loss):
            raise DivergenceError(
                f"The loss is {loss} at step {step} of epoch {place.epoch + 1}. Lower "
                "training.learning_rate, or look for a bad utterance: `ds2 corpus check`."
            )
        progress.end_step(place.epoch + 1, loss)
        if checkpoint.age >= config.checkpoint_seconds:
            checkpoint.save(network, Place(place.epoch, step))


def _model_card(recipe: Recipe, statistics: SpectrogramStatistics, result: TrainingResult) -> str:
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
