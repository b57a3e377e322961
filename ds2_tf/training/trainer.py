# SPDX-License-Identifier: Apache-2.0
"""Training a recipe: from a corpus to a model directory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import time

import keras
import tensorflow as tf

from ds2_tf.config import Recipe
from ds2_tf.directory_lock import directory_lock
from ds2_tf.errors import UserError
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, save_model
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.average import WeightAverage
from ds2_tf.training.checkpoint import Checkpoint, Place
from ds2_tf.training.data import TrainingData, run_fingerprint
from ds2_tf.training.epoch import DivergenceError, EpochLoop
from ds2_tf.training.history import HISTORY_NAME, EpochResult, History
from ds2_tf.training.initial_weights import take_weights
from ds2_tf.training.loss import CTCLoss
from ds2_tf.training.model_card import model_card
from ds2_tf.training.optimizer import make_optimizer
from ds2_tf.training.progress import Progress
from ds2_tf.training.step import TrainingStep
from ds2_tf.training.strategy import is_chief, make_strategy, value_of_chief, workers_agree
from ds2_tf.training.tensorboard import DIRECTORY_NAME, TensorBoard
from ds2_tf.training.totals import EpochTotals
from ds2_tf.training.validation import errors_of, transcripts

__all__ = ["DivergenceError", "TrainingResult", "train"]


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What training came to.

    Attributes:
        wer: greedy word error rate on the dev split, of the weights that were kept.
        cer: character error rate, likewise.
        best_epoch: the epoch that they are from, counted from 1.
        averaged: whether they are the moving average of that epoch.
        epochs: epochs trained.
        seconds: time that this call took; a run taken up again counts from there.
    """

    wer: float
    cer: float
    best_epoch: int
    averaged: bool
    epochs: int
    seconds: float


def train(
    recipe: Recipe,
    data: TrainingData,
    *,
    output_directory: str | os.PathLike,
    state_directory: str | os.PathLike,
    strategy: tf.distribute.Strategy | None = None,
    initial_model: str | os.PathLike | None = None,
) -> TrainingResult:
    """Trains a network and keeps the weights of the epoch with the lowest dev word error rate.

    A run that was killed is taken up at its last checkpoint by calling this again with the same
    arguments, and ends with the same weights. The state directory also gets the points for
    TensorBoard, in `tensorboard`.

    Args:
        recipe: network and training.
        data: what it is trained on.
        output_directory: gets the model directory.
        state_directory: holds checkpoints, history and best weights. Must last from one call to
            the next for a run to be taken up again, and be seen by all workers.
        strategy: the devices, which share every batch. Several come to the weights of one, but for
            rounding and for dropout: rows at the same place of two shares get the same mask. Of
            several workers each reads the whole corpus, and only the chief writes. Defaults to
            that of `ds2_tf.training.strategy.make_strategy`.
        initial_model: a model directory to start from: each layer begins with the weights of its
            layer of the same name, where the shapes are the same. Defaults to random weights.

    Returns:
        What the kept weights reach on dev, of which epoch they are, and the time it took.

    Raises:
        UserError: the state is one of another run, or damaged, or nothing can be trained on.
        DirectoryInUse: another process trains with the state; the message says which.
        DivergenceError: the loss is no number any more; the message names the batch.
    """
    strategy = strategy or make_strategy()
    writes = is_chief(strategy)
    lock = directory_lock(state_directory, "training") if writes else contextlib.nullcontext()
    with lock:
        return _train(recipe, data, output_directory, state_directory, strategy, initial_model)


def _train(
    recipe: Recipe,
    data: TrainingData,
    output_directory: str | os.PathLike,
    state_directory: str | os.PathLike,
    strategy: tf.distribute.Strategy,
    initial_model: str | os.PathLike | None,
) -> TrainingResult:
    """`train`, in a state directory that is this process' own."""
    started = time.monotonic()
    config, statistics = recipe.training, data.statistics
    keras.utils.set_random_seed(config.seed)
    alphabet = Alphabet(recipe.alphabet)
    # Validated outside of the strategy, where Keras would have every device decode everything.
    network = trained = DeepSpeech2.from_recipe(recipe)
    network.feature_normalization.set_statistics(statistics.mean, statistics.standard_deviation)
    fresh = None
    if initial_model is not None:
        fresh = take_weights(network, initial_model, recipe.features)
    with strategy.scope():
        if strategy.num_replicas_in_sync > 1:
            trained = DeepSpeech2.from_recipe(recipe)
            _copy_variables(network, trained)
        optimizer = make_optimizer(config)
        optimizer.build(trained.trainable_variables)
    step = TrainingStep(trained, optimizer, CTCLoss(), strategy, config.accumulate_batches)
    average = None
    variables = [*trained.variables, *optimizer.variables, *step.variables]
    if config.average_decay:
        average = WeightAverage(trained, DeepSpeech2.from_recipe(recipe), config.average_decay)
        variables += average.network.variables
    dev_batches = data.dev()

    writes = is_chief(strategy)
    fingerprint = run_fingerprint(recipe, data, initial_model)
    checkpoint = Checkpoint(state_directory, fingerprint, variables)
    place, totals = checkpoint.restore()
    _check_workers(strategy, fingerprint, place, state_directory)
    history = History(state_directory, place.epoch, writes, config.keep_last)
    progress = Progress(config.epochs, quiet=not writes)
    if fresh is not None and not place.batches:
        progress.initialized(initial_model, fresh)
    tensorboard = (
        TensorBoard(pathlib.Path(state_directory) / DIRECTORY_NAME, place) if writes else None
    )
    train_epoch = EpochLoop(
        config,
        data,
        step,
        optimizer,
        average,
        progress,
        checkpoint if writes else None,
        tensorboard,
    )
    while place.epoch < config.epochs and not _stopped(history, config.patience, strategy):
        epoch_started, whole, frames = time.monotonic(), place.step == 0, totals.frames
        place = train_epoch(place, totals)
        seconds = time.monotonic() - epoch_started
        audio_rate = (totals.frames - frames) * recipe.features.hop_seconds / seconds

        if trained is not network:
            _copy_variables(trained, network)
        heard = transcripts(network, dev_batches, alphabet)
        words, characters = errors_of(heard)
        result = EpochResult(
            epoch=place.epoch + 1,
            loss=totals.mean_loss,
            wer=words.rate,
            cer=characters.rate,
            learning_rate=float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
            seconds=seconds,
            padding=totals.padding,
            left_out=len(data.left_out),
            overflows=totals.overflows,
        )
        if average is not None:
            heard_by_average = transcripts(average.network, dev_batches, alphabet)
            words, characters = errors_of(heard_by_average)
            result = dataclasses.replace(
                result, average_wer=words.rate, average_cer=characters.rate
            )
        history.add(result, average.network if result.averaged else network)
        progress.left_out(result.epoch, data.left_out, config.max_frames)
        progress.end_epoch(result, audio_rate, whole)
        place, totals = Place(place.epoch + 1, 0, place.batches), EpochTotals()
        if writes:
            tensorboard.epoch(result, audio_rate, heard_by_average if result.averaged else heard)
            checkpoint.save(place, totals)

    best = history.best
    if writes:
        network.load_weights(history.best_weights)
        save_model(
            output_directory,
            network,
            ModelDescription.from_recipe(recipe),
            model_card(recipe, data, history, initial_model),
        )
        (pathlib.Path(output_directory) / HISTORY_NAME).write_text(history.text(), "utf-8")
    # A worker that ends would take the others with it.
    value_of_chief(strategy, 0)
    return TrainingResult(
        best.kept_wer,
        best.kept_cer,
        best.epoch,
        best.averaged,
        len(history.epochs),
        time.monotonic() - started,
    )


def _copy_variables(source: keras.Model, target: keras.Model) -> None:
    """Copies weights, running averages and random generators."""
    for variable, value in zip(target.variables, source.variables, strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))


def _stopped(history: History, patience: int, strategy: tf.distribute.Strategy) -> bool:
    # What workers hear may differ by rounding: the chief decides.
    return bool(value_of_chief(strategy, int(history.stopped(patience))))


def _check_workers(
    strategy: tf.distribute.Strategy, fingerprint: str, place: Place, state_directory
) -> None:
    if not workers_agree(strategy, int(fingerprint[:7], 16)):
        raise UserError(
            f"The workers were given different recipes or corpora (here {fingerprint}): start all "
            "of them with the same."
        )
    if not workers_agree(strategy, place.batches) or not workers_agree(strategy, place.epoch):
        raise UserError(
            f"The workers would go on at different places (here epoch {place.epoch + 1} after "
            f"{place.batches} batches): the state directory, {state_directory}, must be one that "
            "all of them see."
        )
