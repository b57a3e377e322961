# SPDX-License-Identifier: Apache-2.0
"""The batches of an epoch, one after the other."""

from __future__ import annotations

import dataclasses

import keras

from ds2_tf.config import TrainingConfig
from ds2_tf.errors import UserError
from ds2_tf.training.average import WeightAverage
from ds2_tf.training.checkpoint import Checkpoint, Place
from ds2_tf.training.data import TrainingData
from ds2_tf.training.optimizer import learning_rate_at
from ds2_tf.training.progress import Progress
from ds2_tf.training.step import TrainingStep
from ds2_tf.training.tensorboard import TensorBoard
from ds2_tf.training.totals import EpochTotals


class DivergenceError(UserError):
    """The loss or its gradient is infinite or no number any more."""


@dataclasses.dataclass(frozen=True)
class EpochLoop:
    """Trains on a corpus, an epoch at a call.

    Keras' own `fit` takes the number of batches of its first epoch for that of all others, and so
    would leave out the end of longer ones, and most of them after an interruption.

    Attributes:
        config: learning rate and checkpoints.
        data: the corpus.
        step: changes the weights.
        optimizer: that of `step`.
        average: follows them, where there is one.
        progress: tells of every batch.
        checkpoint: is saved every so often, where this process writes.
        tensorboard: gets the points, where this process writes.
    """

    config: TrainingConfig
    data: TrainingData
    step: TrainingStep
    optimizer: keras.optimizers.Optimizer
    average: WeightAverage | None
    progress: Progress
    checkpoint: Checkpoint | None
    tensorboard: TensorBoard | None

    def __call__(self, place: Place, totals: EpochTotals) -> Place:
        """Trains what is left of an epoch.

        Args:
            place: where to begin.
            totals: of the epoch up to there; gets the rest.

        Returns:
            The end of the epoch.

        Raises:
            DivergenceError: names the batch. No weight has been changed by it.
            UserError: there is no batch.
        """
        self.progress.start_epoch()
        batches = self.data.epoch(place.epoch, with_ids=True)
        for inputs, labels, ids in batches.skip(place.step):
            iteration = self._set_learning_rate(place.epoch)
            result = self.step(inputs, labels, place.step)
            if result.exhausted and not result.finite:
                names = ", ".join(id.decode("utf-8") for id in ids.numpy())
                raise DivergenceError(
                    f"The loss is {result.loss} and the norm of its gradient "
                    f"{result.gradient_norm} at step {place.step + 1} of epoch {place.epoch + 1}, "
                    f"with the utterances {names}. Lower training.learning_rate, or look for a bad "
                    "utterance among them: `ds2 corpus check`."
                )
            self._follow(iteration)
            place = Place(place.epoch, place.step + 1, place.batches + 1)
            totals.add(inputs["num_frames"].numpy(), inputs["spectrogram"].shape[1], result)
            self._report(place, totals, len(ids), result)
        if not place.step:
            reasons = "; ".join(self.data.left_out.reasons(self.config.max_frames))
            raise UserError(f"No utterance of the training split can be trained on; {reasons}.")
        iteration = self._set_learning_rate(place.epoch)
        self.step.flush()
        self._follow(iteration)
        return place

    def _set_learning_rate(self, epoch: int) -> int:
        iteration = int(keras.ops.convert_to_numpy(self.optimizer.iterations))
        self.optimizer.learning_rate = learning_rate_at(self.config, epoch, iteration)
        return iteration

    def _follow(self, iteration: int) -> None:
        """Has the average follow, if the weights were changed since `iteration`."""
        if self.average is not None:
            if int(keras.ops.convert_to_numpy(self.optimizer.iterations)) > iteration:
                self.average.update(iteration)

    def _report(self, place, totals, utterances, result) -> None:
        self.progress.end_step(place.epoch + 1, totals.mean_loss)
        if self.tensorboard is not None:
            rate = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
            self.tensorboard.batch(place.batches, utterances, result, rate)
        if self.checkpoint is not None and self.checkpoint.age >= self.config.checkpoint_seconds:
            if self.tensorboard is not None:
                self.tensorboard.flush()
            self.checkpoint.save(place, totals)
