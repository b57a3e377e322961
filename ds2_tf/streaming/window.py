# SPDX-License-Identifier: Apache-2.0
"""What a layer that looks back in time keeps from one chunk of a stream to the next."""

from __future__ import annotations

import tensorflow as tf


class SlidingWindow:
    """A window over a stream, each row of the batch at a place of its own.

    The window sees `size` inputs and moves by `step`; before the stream there are zeros, of which
    the first window sees `size - step`. An input is pending until its window is full.

    Args:
        size: inputs seen at once.
        step: inputs from one window to the next, at most `size`.
        shape: of one input.

    Attributes:
        state_shapes: of the state of a row: the last `size - 1` inputs, and the number of those
            that are pending. Zeros before the stream.
    """

    def __init__(self, size: int, step: int, shape: tuple[int, ...] = ()):
        self.size = size
        self.step = step
        self.state_shapes = ((size - 1, *shape), ())

    def push(self, x, count, state, last: bool = False):
        """Takes the next inputs.

        Args:
            x: [batch, n, *shape], with n of at least 1.
            count: int32 [batch], valid inputs of each row, the first.
            state: a pair of tensors, [batch, *shape] of each of `state_shapes`.
            last: whether the stream ends: zeros fill up the window of pending inputs. Defaults to
                False.

        Returns:
            A triple: [batch, m, *shape], in which the window, starting at 0 and moving by `step`,
            fits ceil(n / step) times; int32 [batch], how many of these windows are full; and the
            next state.
        """
        history, pending = state
        # A state comes from outside: whatever it holds, no other row may suffer.
        pending = tf.clip_by_value(tf.cast(pending, tf.int32), 0, self.step - 1)
        if last:
            x = _zero_past(x, count)
            x = tf.pad(x, [[0, 0], [0, self.step - 1]] + [[0, 0]] * (len(x.shape) - 2))
            count += -(pending + count) % self.step
        known = tf.concat([history, x], axis=1)
        windows = (tf.shape(x)[1] + self.step - 1) // self.step
        next_history = take(known, count, self.size - 1)
        if self.step > 1:
            # The first pending input goes where the last `step` inputs of a window begin.
            length = (windows - 1) * self.step + self.size
            known = take(known, self.step - 1 - pending, length)
        total = pending + count
        next_pending = tf.cast(total % self.step, tf.float32)
        return known, total // self.step, (next_history, next_pending)


def take(x, start, length):
    """x[row, start[row] : start[row] + length], the last of x again past its end.

    Args:
        x: [batch, n, ...].
        start: int32 [batch].
        length: how many.
    """
    places = start[:, tf.newaxis] + tf.range(length)
    return tf.gather(x, tf.minimum(places, tf.shape(x)[1] - 1), batch_dims=1)


def _zero_past(x, count):
    mask = tf.sequence_mask(count, tf.shape(x)[1])
    mask = tf.reshape(mask, tf.concat([tf.shape(mask), [1] * (len(x.shape) - 2)], 0))
    return tf.where(mask, x, tf.zeros((), x.dtype))
