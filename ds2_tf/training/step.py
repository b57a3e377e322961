# SPDX-License-Identifier: Apache-2.0
"""One training step, the same on one device and on several that share every batch."""

from __future__ import annotations

from typing import NamedTuple

import keras
import tensorflow as tf

from ds2_tf.layers.replicas import sum_over_replicas
from ds2_tf.training.loss import LABEL_PADDING
from ds2_tf.training.loss_scale import LossScale


class StepResult(NamedTuple):
    """What a batch came to.

    Attributes:
        loss: sum over its utterances.
        gradient_norm: of the gradient of their mean loss, before it is clipped.
        finite: whether both are. If not, the batch has changed nothing but the loss scale.
        exhausted: whether the loss was not scaled up, so that no smaller scale can help.
    """

    loss: float
    gradient_norm: float
    finite: bool
    exhausted: bool


class TrainingStep:
    """Changes the weights by the gradient of the mean loss of a batch, or of several.

    Keras' own step divides the loss by the utterances of each replica's share of a batch, clips the
    gradient of that share, and lets a batch that overflows spoil the running averages. Here what
    comes out does not depend on the number of replicas, but for rounding and for dropout, whose
    masks are drawn for each share alike.

    Args:
        network: built under the strategy's scope; inputs as of `DeepSpeech2`.
        optimizer: likewise, and built.
        loss: gives a loss for every utterance.
        strategy: of which every replica takes a share of each batch.
        accumulate_batches: batches for each change of the weights. Defaults to 1.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: keras.losses.Loss,
        strategy: tf.distribute.Strategy,
        accumulate_batches: int = 1,
    ):
        self._network = network
        self._loss = loss
        self._strategy = strategy
        self._accumulate_batches = accumulate_batches
        self._scale = LossScale(optimizer)
        self._optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        # Keras would add up the gradients of the replicas; they have been by then.
        self._optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        self._averages = [v for v in network.non_trainable_variables if v.dtype == "float32"]
        self._accumulated: list[keras.Variable] = []
        self._pending = None
        if accumulate_batches > 1:
            with strategy.scope():
                self._accumulated = [
                    keras.Variable(tf.zeros(v.shape), trainable=False)
                    for v in network.trainable_variables
                ]
                self._pending = keras.Variable(tf.zeros([]), trainable=False, name="pending")
        inputs = {
            "spectrogram": tf.TensorSpec([None, None, network.num_bins], tf.float32),
            "num_frames": tf.TensorSpec([None], tf.int32),
        }
        labels = tf.TensorSpec([None, None], tf.int32)
        self._train = tf.function(
            self._train_on_batch, input_signature=[inputs, labels], autograph=False
        )
        self._change = tf.function(self._change_by_accumulated, autograph=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """What the step remembers from batch to batch, beside network and optimizer."""
        return [*self._accumulated, self._pending] if self._accumulated else []

    def __call__(self, inputs, labels, step: int) -> StepResult:
        """Trains on a batch.

        Args:
            inputs: of the network.
            labels: int32 [batch, labels], padded with -1.
            step: batches of this epoch before; tells when accumulated gradients are due.
        """
        loss, norm, finite, scale = self._train(inputs, labels)
        if (step + 1) % self._accumulate_batches == 0:
            self.flush()
        return StepResult(float(loss), float(norm), bool(finite), float(scale) <= 1.0)

    def flush(self) -> None:
        """Changes the weights by what has been accumulated, if anything has."""
        if self._accumulated:
            self._change()

    def _train_on_batch(self, inputs, labels):
        scale = self._scale.value
        gradients, *results = self._strategy.run(self._replica_gradients, (inputs, labels, scale))
        loss, norm, finite = (self._strategy.experimental_local_results(r)[0] for r in results)
        if not self._accumulated:
            # No replica can decide for itself: Keras' optimizers meet in the middle of a change.
            tf.cond(finite, lambda: self._apply(gradients), lambda: None)
        self._scale.update(finite)
        return loss, norm, finite, scale

    def _replica_gradients(self, inputs, labels, scale):
        context = tf.distribute.get_replica_context()
        rows = tf.cast(tf.shape(labels)[0], tf.float32)
        replicas = context.num_replicas_in_sync
        if replicas > 1:
            inputs, labels = share_of(inputs, labels, context.replica_id_in_sync_group, replicas)
        averages = [tf.identity(v.value) for v in self._averages]
        weights = [v.value for v in self._network.trainable_variables]
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(self._loss.call(labels, self._network(inputs, training=True)))
            scaled = loss / rows * scale
        loss, *gradients = sum_over_replicas([loss, *tape.gradient(scaled, weights)])
        gradients = [gradient / scale for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(loss) & tf.math.is_finite(norm)
        for variable, before in zip(self._averages, averages):
            variable.assign(tf.where(finite, variable.value, before))
        if self._accumulated:
            for total, gradient in zip(self._accumulated, gradients):
                total.assign_add(tf.where(finite, gradient * rows, 0.0))
            self._pending.assign_add(tf.where(finite, rows, 0.0))
        return gradients, loss, norm, finite

    def _change_by_accumulated(self):
        pending = self._pending.value
        accumulated = [total.value for total in self._accumulated]

        def change():
            self._apply([total / pending for total in accumulated])

        # Nothing is pending if every batch has overflowed.
        tf.cond(pending > 0.0, change, lambda: None)
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape))

    def _apply(self, gradients):
        weights = self._network.trainable_variables
        self._strategy.run(lambda g: self._optimizer.apply(g, weights), (gradients,))


def share_of(inputs: dict, labels: tf.Tensor, rank: int, replicas: int) -> tuple:
    """One replica's share of a batch: all have equally many rows.

    A batch that has too few is filled up with rows that have no frame and no label: their loss is
    0, and they have no part in any statistics.

    Args:
        inputs: {"spectrogram": [batch, frames, bins], "num_frames": [batch]}.
        labels: [batch, labels].
        rank: of the replica.
        replicas: number of them.
    """
    rows = tf.shape(labels)[0]
    size = -(-rows // replicas)
    start = tf.minimum(rank * size, rows)

    def share(x, filler):
        x = x[start : start + size]
        lacking = size - tf.shape(x)[0]
        return tf.pad(x, [[0, lacking], *[[0, 0]] * (len(x.shape) - 1)], constant_values=filler)

    spectrogram, num_frames = inputs["spectrogram"], inputs["num_frames"]
    inputs = {"spectrogram": share(spectrogram, 0.0), "num_frames": share(num_frames, 0)}
    return inputs, share(labels, LABEL_PADDING)
