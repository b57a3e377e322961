# SPDX-License-Identifier: Apache-2.0
"""The scale of the loss, which keeps float16's gradients from vanishing and overflowing."""

from __future__ import annotations

import keras
import tensorflow as tf


class LossScale:
    """The dynamic scale of a `keras.optimizers.LossScaleOptimizer`; 1 for any other optimizer.

    It is halved with every gradient that is not finite, but never to under 1, and doubled after
    `dynamic_growth_steps` finite ones. Keras' own handling decides by each replica's part of the
    gradient, and does not know of accumulation.

    Args:
        optimizer: built.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        self._optimizer = None
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self._optimizer = optimizer

    @property
    def value(self) -> tf.Tensor:
        """The scale, float32 []."""
        if self._optimizer is None:
            return tf.ones([])
        return tf.convert_to_tensor(self._optimizer.dynamic_scale.value)

    def update(self, finite: tf.Tensor) -> None:
        """Takes account of a gradient. To be called outside of replicas.

        Args:
            finite: bool [], whether the gradient was.
        """
        if self._optimizer is None:
            return
        good = self._optimizer.step_counter.value + 1
        good = tf.where(finite, good, tf.zeros_like(good))
        grown = good == self._optimizer.dynamic_growth_steps
        factor = tf.where(finite, tf.where(grown, 2.0, 1.0), 0.5)
        scale = self._optimizer.dynamic_scale
        scale.assign(tf.maximum(1.0, scale.value * factor))
        self._optimizer.step_counter.assign(tf.where(grown, tf.zeros_like(good), good))
