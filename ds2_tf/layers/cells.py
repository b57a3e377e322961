# SPDX-License-Identifier: Apache-2.0
"""The recurrent cells: one step forward, and one step back.

All are written for a loop in which only the product of the previous output with the recurrent
kernel, called `recurrent` here, depends on the step before. `projected` is the (normalized) input
term B(W x), known for all steps beforehand. Both hold one block of units for each gate.

Going back, the gradients of a step are linear in the gradients of its state. `linearize` therefore
computes the factors for all steps at once, and `backward` only multiplies.
"""

from __future__ import annotations

from keras import ops

from ds2_tf.layers.activations import CLIP, clipped_relu


def _split(x, gates):
    return ops.split(x, gates, axis=-1)


class RNNCell:
    """h = clipped_relu(projected + recurrent), equation 7 of the paper."""

    gates = 1
    states = 1

    @staticmethod
    def forward(projected, recurrent, state):
        """The state after one step, a tuple whose first entry is the output."""
        del state
        return (clipped_relu(projected + recurrent),)

    @staticmethod
    def linearize(projected, recurrent, previous, states):
        """The factors of `backward`, for all steps at once."""
        del projected, recurrent, previous
        (h,) = states
        return (ops.cast(ops.logical_and(h > 0.0, h < CLIP), h.dtype),)

    @staticmethod
    def backward(factors, gradients):
        """Gradients of `recurrent` and, apart from it, of the state before the step."""
        (slope,), (dh,) = factors, gradients
        return dh * slope, (ops.zeros_like(dh),)

    @staticmethod
    def projected_gradient(factors, gradients):
        """The gradient of `projected`, for all steps at once."""
        (slope,), (dh,) = factors, gradients
        return dh * slope


class GRUCell:
    """Gated recurrent unit, equation 10 of the paper, the reset gate after the product.

    z = sigmoid(projected_z + recurrent_z), r = sigmoid(projected_r + recurrent_r),
    n = tanh(projected_n + r * recurrent_n), h = (1 - z) h_previous + z n.
    """

    gates = 3
    states = 1

    @staticmethod
    def _activations(projected, recurrent):
        x_z, x_r, x_n = _split(projected, 3)
        u_z, u_r, u_n = _split(recurrent, 3)
        z, r = ops.sigmoid(x_z + u_z), ops.sigmoid(x_r + u_r)
        return z, r, ops.tanh(x_n + r * u_n), u_n

    @staticmethod
    def forward(projected, recurrent, state):
        """The state after one step, a tuple whose first entry is the output."""
        (h,) = state
        z, _, n, _ = GRUCell._activations(projected, recurrent)
        return (h + z * (n - h),)

    @staticmethod
    def linearize(projected, recurrent, previous, states):
        """The factors of `backward`, for all steps at once."""
        del states
        (h,) = previous
        z, r, n, u_n = GRUCell._activations(projected, recurrent)
        to_n = z * (1.0 - ops.square(n))
        to_r = to_n * u_n * r * (1.0 - r)
        to_z = (n - h) * z * (1.0 - z)
        return ops.concatenate([to_z, to_r, to_n * r], axis=-1), to_n, 1.0 - z

    @staticmethod
    def backward(factors, gradients):
        """Gradients of `recurrent` and, apart from it, of the state before the step."""
        (to_recurrent, _, keep), (dh,) = factors, gradients
        return ops.concatenate([dh, dh, dh], axis=-1) * to_recurrent, (dh * keep,)

    @staticmethod
    def projected_gradient(factors, gradients):
        """The gradient of `projected`, for all steps at once."""
        (to_recurrent, to_n, _), (dh,) = factors, gradients
        to_z, to_r, _ = _split(to_recurrent, 3)
        return ops.concatenate([dh * to_z, dh * to_r, dh * to_n], axis=-1)


class LSTMCell:
    """Long short-term memory without peepholes.

    i, f, o = sigmoid(projected + recurrent), g = tanh(projected_g + recurrent_g),
    c = f c_previous + i g, h = o tanh(c).
    """

    gates = 4
    states = 2

    @staticmethod
    def _activations(projected, recurrent):
        i, f, g, o = _split(projected + recurrent, 4)
        return ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)

    @staticmethod
    def forward(projected, recurrent, state):
        """The state after one step, a tuple whose first entry is the output."""
        _, c = state
        i, f, g, o = LSTMCell._activations(projected, recurrent)
        c = f * c + i * g
        return o * ops.tanh(c), c

    @staticmethod
    def linearize(projected, recurrent, previous, states):
        """The factors of `backward`, for all steps at once."""
        (_, c_previous), (_, c) = previous, states
        i, f, g, o = LSTMCell._activations(projected, recurrent)
        tanh_c = ops.tanh(c)
        to_memory_gates = ops.concatenate(
            [g * i * (1.0 - i), c_previous * f * (1.0 - f), i * (1.0 - ops.square(g))], axis=-1
        )
        return to_memory_gates, tanh_c * o * (1.0 - o), o * (1.0 - ops.square(tanh_c)), f

    @staticmethod
    def backward(factors, gradients):
        """Gradients of `recurrent` and, apart from it, of the state before the step."""
        (_, _, to_c, f), (dh, dc) = factors, gradients
        return LSTMCell.projected_gradient(factors, gradients), (
            ops.zeros_like(dh),
            (dc + dh * to_c) * f,
        )

    @staticmethod
    def projected_gradient(factors, gradients):
        """The gradient of `projected`, for all steps at once."""
        (to_memory_gates, to_o, to_c, _), (dh, dc) = factors, gradients
        dc = dc + dh * to_c
        return ops.concatenate(
            [ops.concatenate([dc, dc, dc], axis=-1) * to_memory_gates, dh * to_o], axis=-1
        )


CELLS = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}
