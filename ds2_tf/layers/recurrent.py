# SPDX-License-Identifier: Apache-2.0
"""The recurrent layer of Deep Speech 2."""

from __future__ import annotations

import keras
from keras import ops

from ds2_tf.layers.cells import CELLS
from ds2_tf.layers.masking import reverse_valid, zero_padding
from ds2_tf.layers.recurrence import recurrence
from ds2_tf.layers.sequence_batch_normalization import SequenceBatchNormalization


@keras.saving.register_keras_serializable(package="ds2_tf")
class Recurrent(keras.layers.Layer):
    """h_t = f(B(W x_t) + U h_{t-1}), forward and backward in time, summed (Sections 3.1, 3.2, 3.5).

    W x is one matrix product over all steps and both directions; B is sequence-wise batch
    normalization on that term alone; the loop does only what depends on the step before.
    cuDNN's layers, on GPUs, take no such normalization between the projection and the recurrence,
    for they compute both in one.

    Args:
        units: size of the state, and of the output.
        cell: "gru", "lstm" or "rnn" (clipped ReLU). Defaults to "gru".
        bidirectional: sum a forward and a backward recurrence. Defaults to True.

    Call arguments:
        inputs: [batch, frames, features].
        training: see `SequenceBatchNormalization`.
        mask: bool [batch, frames], valid frames first (right padding).

    Returns:
        [batch, frames, units] in the compute dtype, zero in the padding. Products are computed in
        the compute dtype, states and gates in float32.

    Masking: the backward recurrence starts at each row's last valid frame; the mask is passed on.
    """

    def __init__(self, units: int, cell: str = "gru", bidirectional: bool = True, **kwargs):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"{self.name}: cell must be one of {', '.join(CELLS)}, got {cell!r}.")
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.supports_masking = True
        # XLA's loop on the CPU is slower than TensorFlow's, and the CTC kernel has no XLA form.
        self.supports_jit = keras.config.backend() != "tensorflow"
        self.normalization = SequenceBatchNormalization(
            name="normalization", dtype=self.dtype_policy
        )

    def build(self, input_shape):
        directions = 2 if self.bidirectional else 1
        width = CELLS[self.cell].gates * self.units
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], directions * width),
            initializer="glorot_uniform",
        )
        self.recurrent_kernels = [
            self.add_weight(
                name=f"{direction}_recurrent_kernel",
                shape=(self.units, width),
                initializer=_orthogonal_gates(CELLS[self.cell].gates),
            )
            for direction in ("forward", "backward")[:directions]
        ]
        self.normalization.build((*input_shape[:-1], directions * width))

    def call(self, inputs, training=False, mask=None):
        x = zero_padding(inputs, mask)
        projected = self.normalization(ops.matmul(x, self.kernel), training=training, mask=mask)
        projected = ops.transpose(projected, (1, 0, 2))
        kernels = [ops.cast(kernel, self.compute_dtype) for kernel in self.recurrent_kernels]
        if self.bidirectional:
            forward, backward = ops.split(projected, 2, axis=-1)
            outputs = recurrence(
                CELLS[self.cell], [forward, reverse_valid(backward, mask)], kernels
            )
            output = outputs[0] + reverse_valid(outputs[1], mask)
        else:
            (output,) = recurrence(CELLS[self.cell], [projected], kernels)
        output = ops.transpose(output, (1, 0, 2))
        return zero_padding(ops.cast(output, self.compute_dtype), mask)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "cell": self.cell,
            "bidirectional": self.bidirectional,
        }


def _orthogonal_gates(gates: int):
    """Each gate's block of the recurrent kernel starts orthogonal by itself."""

    def initializer(shape, dtype=None):
        orthogonal = keras.initializers.Orthogonal(seed=keras.random.SeedGenerator())
        block = (shape[0], shape[1] // gates)
        return ops.concatenate([orthogonal(block, dtype) for _ in range(gates)], axis=-1)

    return initializer
