# SPDX-License-Identifier: Apache-2.0
"""Convolution over time and frequency whose result does not depend on padding."""

from __future__ import annotations

import keras
from keras import ops

from ds2_tf.layers.masking import zero_padding

# With more, TensorFlow's gradients of a convolution can take a hundred times the forward pass on a
# CPU: its library has quick code only for kernels of so many columns. Rows may be more.
_MOST_COLUMNS = 14


@keras.saving.register_keras_serializable(package="ds2_tf")
class SequenceConvolution(keras.layers.Layer):
    """2-D convolution, "same" in time and frequency, without a bias (Section 3.3).

    A 1-D convolution of the paper is one whose kernel covers every frequency bin, with that as its
    stride. Keras' "same" shifts its padding with the parity of the length once the stride is over
    1, so that the frames next to the padding depend on the batch; here output frame j always stands
    at input frame j * stride.

    Args:
        filters: number of output channels.
        kernel_size: [frequency bins, frames].
        strides: [frequency bins, frames]. Defaults to (1, 1).
        causal: output frame j sees no input frame after j * stride + stride - 1, the last of the
            frames that it stands for. Defaults to False: the kernel is centered.

    Call arguments:
        inputs: [batch, frames, bins, channels].
        mask: bool [batch, frames].

    Returns:
        [batch, ceil(frames / stride), ceil(bins / stride), filters], zero in the padding.

    Masking: the padding is taken as zero; the mask is passed on at the new rate.
    """

    def __init__(self, filters: int, kernel_size, strides=(1, 1), causal: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.causal = causal
        self.supports_masking = True
        if any(size < step for size, step in zip(self.kernel_size, self.strides)):
            raise ValueError(
                f"{self.name}: a stride larger than the kernel skips input: got kernel_size "
                f"{self.kernel_size} and strides {self.strides} in [frequency, time]."
            )

    def build(self, input_shape):
        frequency, time = self.kernel_size
        self.kernel = self.add_weight(
            name="kernel",
            shape=(time, frequency, input_shape[-1], self.filters),
            initializer="glorot_uniform",
        )

    def call(self, inputs, mask=None):
        time = self.kernel_size[1]
        before = time - self.strides[1] if self.causal else (time - 1) // 2
        padding = ((0, 0), (before, time - 1 - before), (0, 0), (0, 0))
        x = self.convolve(ops.pad(zero_padding(inputs, mask), padding))
        return zero_padding(x, self.compute_mask(inputs, mask))

    def convolve(self, x):
        """The convolution where the kernel fits into the time of x, "same" in frequency alone.

        Args:
            x: [batch, frames, bins, channels].

        Returns:
            [batch, (frames - kernel frames) // stride + 1, ceil(bins / stride), filters].
        """
        kernel = self.kernel
        frequency, time = self.kernel_size
        if x.shape[2] == frequency == self.strides[0]:
            # A 1-D convolution: the bins are so many channels, which is far quicker.
            batch, frames, _, channels = ops.shape(x)
            x = ops.reshape(x, (batch, frames, 1, frequency * channels))
            kernel = ops.reshape(kernel, (time, 1, frequency * channels, self.filters))
            frequency = 1
        # The number of bins never varies: they are padded evenly, as Keras does it.
        bins, step = x.shape[2], min(self.strides[0], x.shape[2])
        around = max((bins - 1) // step * step + frequency - bins, 0)
        low = around // 2
        x = ops.pad(x, ((0, 0), (0, 0), (low, around - low), (0, 0)))
        dtype = _convolution_dtype(self.compute_dtype, channels=kernel.shape[2])
        x = _convolve(ops.cast(x, dtype), ops.cast(kernel, dtype), (self.strides[1], step))
        return ops.cast(x, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None:
            return None
        return previous_mask[:, :: self.strides[1]]

    def compute_output_shape(self, input_shape):
        batch, frames, bins, _ = input_shape
        return (
            batch,
            None if frames is None else -(-frames // self.strides[1]),
            -(-bins // self.strides[0]),
            self.filters,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "causal": self.causal,
        }


def _convolve(x, kernel, strides):
    """A convolution without padding, turned on its side where its kernel has too many columns."""
    turned = kernel.shape[1] > max(_MOST_COLUMNS, kernel.shape[0])
    if turned:
        x = ops.transpose(x, (0, 2, 1, 3))
        kernel = ops.transpose(kernel, (1, 0, 2, 3))
        strides = strides[::-1]
    x = ops.conv(x, kernel, strides=strides, padding="valid")
    return ops.transpose(x, (0, 2, 1, 3)) if turned else x


def _convolution_dtype(compute_dtype: str, channels: int) -> str:
    """The type in which a convolution is computed.

    TensorFlow 2.16's bfloat16 convolution on CPUs gives NaN or noise for some shapes of one
    channel, such as [2, 95, 9, 1] under a kernel of 9 x 7 with strides of 1 and 3: one channel is
    computed in float32 there. It is the smallest convolution of a network.
    """
    if compute_dtype == "bfloat16" and channels == 1 and keras.config.backend() == "tensorflow":
        return "float32"
    return compute_dtype
