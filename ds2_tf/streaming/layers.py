# SPDX-License-Identifier: Apache-2.0
"""The layers that remember, in steps: what each keeps between two chunks of a stream.

All have `state_shapes`, the shapes of what is kept for a row, and

    push(x, count, state, last) -> (x, skip, count, state)

where row b of x [batch, frames, ...] is valid in frames 0 to count[b] of the inputs, and skip[b] to
count[b] of the outputs; `last` ends the stream. A state of zeros begins one. Each gives, frame by
frame, what the layer it stands for gives on the whole utterance.
"""

from __future__ import annotations

import tensorflow as tf
from keras import ops

from ds2_tf.audio.spectrogram import SpectrogramConfig, log_power
from ds2_tf.layers import Recurrent, RowConvolution, SequenceConvolution
from ds2_tf.layers.cells import CELLS
from ds2_tf.layers.scan import scan
from ds2_tf.streaming.window import SlidingWindow, take


class StreamedSpectrogram:
    """`log_spectrogram`: keeps the samples that the next windows see, too.

    Samples that do not complete a hop give no frame, at the end neither.
    """

    def __init__(self, config: SpectrogramConfig):
        self._config = config
        self._window = SlidingWindow(config.window_samples, config.hop_samples)
        self.state_shapes = self._window.state_shapes

    def push(self, x, count, state, last: bool = False):
        assert not last, "the end of a stream completes no hop"
        x, count, state = self._window.push(x, count, state)
        return log_power(x, self._config), tf.zeros_like(count), count, state


class StreamedConvolution:
    """A causal `SequenceConvolution`: keeps the frames that the next positions see, too."""

    def __init__(self, layer: SequenceConvolution, input_shape: tuple[int, ...]):
        self._layer = layer
        self._window = SlidingWindow(layer.kernel_size[1], layer.strides[1], input_shape)
        self.state_shapes = self._window.state_shapes

    def push(self, x, count, state, last: bool = False):
        x, count, state = self._window.push(x, count, state, last)
        return self._layer.convolve(x), tf.zeros_like(count), count, state


class StreamedRecurrence:
    """A forward `Recurrent` layer: keeps the state of its cell."""

    def __init__(self, layer: Recurrent):
        self._layer = layer
        self._cell = CELLS[layer.cell]
        self.state_shapes = ((layer.units,),) * self._cell.states

    def push(self, x, count, state, last: bool = False):
        layer, cell = self._layer, self._cell
        (kernel,) = (ops.convert_to_tensor(kernel) for kernel in layer.recurrent_kernels)
        projected = layer.normalization(ops.matmul(x, layer.kernel), training=False)

        def step(before, projected):
            after = cell.forward(projected, ops.matmul(before[0], kernel), before)
            return after, after

        _, after = scan(step, tuple(state), tf.transpose(projected, [1, 0, 2]))
        after = [tf.transpose(values, [1, 0, 2]) for values in after]
        # A row's next state is that after its last valid frame; the one before where it has none.
        state = [
            take(tf.concat([before[:, tf.newaxis], values], axis=1), count, 1)[:, 0]
            for before, values in zip(state, after)
        ]
        return after[0], tf.zeros_like(count), count, state


class StreamedRowConvolution:
    """A `RowConvolution`: holds each frame back until those that it looks ahead to are known.

    Keeps those frames, and how many of them the stream has had; the rest come before it.
    """

    def __init__(self, layer: RowConvolution, units: int):
        self._layer = layer
        self._future = layer.future_frames
        self.state_shapes = ((self._future, units), ())

    def push(self, x, count, state, last: bool = False):
        held, heard = state
        heard = tf.clip_by_value(tf.cast(heard, tf.int32), 0, self._future)
        known = tf.concat([held, x], axis=1)
        next_state = (
            take(known, count, self._future),
            tf.cast(tf.minimum(heard + count, self._future), tf.float32),
        )
        missing = self._future - heard
        if not last:
            x = self._layer(known)[:, : tf.shape(x)[1]]
            return x, tf.minimum(missing, count), count, next_state
        # All that is held comes out and x, whose only frame need not be valid: rows end together.
        known = take(tf.pad(known, [[0, 0], [1, 0], [0, 0]]), count, self._future + 1)
        frames = tf.fill(tf.shape(count), self._future + 1)
        return self._layer(known), missing + 1 - count, frames, next_state
