# SPDX-License-Identifier: Apache-2.0
"""A moving average of the weights, which is often better than any of them."""

from __future__ import annotations

import keras
import tensorflow as tf


class WeightAverage:
    """An exponential moving average, in a network of its own.

    What no training step changes by a gradient, such as running averages, is copied and not
    averaged.

    Args:
        network: in training.
        average: of the same configuration; is overwritten.
        decay: share of the average that stays at each step. The first steps retain less, so that
            the initial weights are soon forgotten: (1 + step) / (10 + step).
    """

    def __init__(self, network: keras.Model, average: keras.Model, decay: float):
        self.network = average
        self._decay = decay
        self._trained = [
            (kept.value, weight.value)
            for kept, weight in zip(average.trainable_variables, network.trainable_variables)
        ]
        self._copied = [
            (kept.value, weight.value)
            for kept, weight in zip(
                average.non_trainable_variables, network.non_trainable_variables
            )
        ]
        average.set_weights(network.get_weights())
        self._update = tf.function(self._assign)

    def update(self, step: int) -> None:
        """Takes up the network's present weights.

        Args:
            step: changes of the weights made before, over all epochs.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        self._update(tf.constant(decay, tf.float32))

    def _assign(self, decay):
        for kept, weight in self._trained:
            kept.assign_add((1.0 - decay) * (weight - kept))
        for kept, weight in self._copied:
            kept.assign(weight)
