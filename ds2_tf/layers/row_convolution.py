# SPDX-License-Identifier: Apache-2.0
"""Row convolution: a little future for a network that runs forward only."""

import keras
from keras import ops

from ds2_tf.layers.masking import zero_padding


@keras.saving.register_keras_serializable(package="ds2_tf")
class RowConvolution(keras.layers.Layer):
    """r[t, i] = sum over j = 0..future of W[i, j] h[t + j, i] (Section 3.6, equation 11).

    Each unit has its own filter over the present and the next frames, and sees no other unit.

    Args:
        future_frames: how many frames after the present are seen (tau in the paper).

    Call arguments:
        inputs: [batch, frames, units].
        mask: bool [batch, frames].

    Returns:
        [batch, frames, units], zero in the padding.

    Masking: frames past the end count as zero; the mask is passed on.
    """

    def __init__(self, future_frames: int, **kwargs):
        super().__init__(**kwargs)
        if future_frames < 1:
            raise ValueError(f"{self.name}: future_frames must be at least 1, got {future_frames}.")
        self.future_frames = future_frames
        self.supports_masking = True

    def build(self, input_shape):
        # Starts as the identity: the layers below learn before the look-ahead does.
        def identity(shape, dtype=None):
            future = ops.zeros((shape[0] - 1, *shape[1:]), dtype=dtype)
            return ops.concatenate([ops.ones((1, *shape[1:]), dtype=dtype), future])

        self.kernel = self.add_weight(
            name="kernel", shape=(self.future_frames + 1, input_shape[-1]), initializer=identity
        )

    def call(self, inputs, mask=None):
        x = ops.pad(zero_padding(inputs, mask), ((0, 0), (0, self.future_frames), (0, 0)))
        # A sum of shifted products: on CPUs with one thread, TensorFlow 2.16 dies of a division by
        # zero in the gradient of a depthwise convolution of this shape.
        frames = ops.shape(inputs)[1]
        total = sum(x[:, j : j + frames] * self.kernel[j] for j in range(self.future_frames + 1))
        return zero_padding(total, mask)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "future_frames": self.future_frames}
