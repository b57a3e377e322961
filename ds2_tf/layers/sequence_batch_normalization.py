# SPDX-License-Identifier: Apache-2.0
"""Sequence-wise batch normalization."""

import keras
from keras import ops

from ds2_tf.layers.masking import zero_padding
from ds2_tf.layers.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="ds2_tf")
class SequenceBatchNormalization(keras.layers.Layer):
    """Batch normalization over the minibatch and all time steps (Section 3.2, equation 8).

    Differs from `keras.layers.BatchNormalization` in that the padding is no part of the statistics
    and that replicas of a tf.distribute strategy always share them, in one exchange.

    Args:
        momentum: share that the running averages keep at each step. Defaults to 0.99.
        epsilon: added to the variance. Defaults to 1e-3.

    Call arguments:
        inputs: [batch, frames, ..., channels].
        training: normalize by the batch's statistics and update the running averages, which
            normalize otherwise.
        mask: bool [batch, frames].

    Returns:
        The shape and dtype of the inputs. Statistics are computed in float32.

    Masking: passes the mask on. What stands in the padding of the result is not specified.
    """

    def __init__(self, momentum: float = 0.99, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape):
        def weight(name, initializer, trainable):
            # float32 under every policy: 16 bits do not hold a running average.
            return self.add_weight(
                name=name,
                shape=(input_shape[-1],),
                initializer=initializer,
                trainable=trainable,
                dtype="float32",
                autocast=False,
            )

        self.gamma = weight("gamma", "ones", True)
        self.beta = weight("beta", "zeros", True)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)

    def call(self, inputs, training=False, mask=None):
        if training:
            mean, variance = self._batch_statistics(inputs, mask)
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(
                    self.momentum * average + (1.0 - self.momentum) * ops.stop_gradient(value)
                )
        else:
            mean, variance = self.moving_mean, self.moving_variance
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        shift = self.beta - mean * scale
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(shift, inputs.dtype)

    def _batch_statistics(self, inputs, mask):
        x = ops.cast(zero_padding(inputs, mask), "float32")
        axes = tuple(range(len(x.shape) - 1))
        shape = ops.shape(x)
        if mask is None:
            count = ops.cast(shape[0] * shape[1], "float32")
        else:
            count = ops.sum(ops.cast(mask, "float32"))
        for size in shape[2:-1]:
            count = count * size
        count, total, squares = sum_over_replicas(
            [count, ops.sum(x, axis=axes), ops.sum(ops.square(x), axis=axes)]
        )
        count = ops.maximum(count, 1.0)
        mean = total / count
        return mean, ops.maximum(squares / count - ops.square(mean), 0.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
