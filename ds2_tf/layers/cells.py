# SPDX-License-Identifier: Apache-2.0
"""The recurrent cells: one step forward, and one step back.

All are written for a loop in which only the product of the previous output with the recurrent
kernel, called `recurrent` here, depends on the step before. `projected` is the (normalized) input
term B(W x), known for all steps beforehand. Both hold one block of units for each gate.

Going back, the gradients of a step are linear in the gradients of its state: `linearize` computes
the factors, which do not wait for the step after, and `backward` only multiplies.
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
        """The factors of `backward`."""
        del projected, recurrent, previous
        (h,) = states
        return (ops.cast(ops.logical_and(h > 0.0, h < CLIP), h.dtype),)

    @staticmethod
    def backward(factors, gradients):
        """Gradients of `projected`, `recurrent` and, apart from it, of the state before."""
        (slope,), (dh,) = factors, gradients
        both = dh * slope
        return both, both, (ops.zeros_like(dh),)


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
        """The factors of `backward`."""
        del states
        (h,) = previous
        z, r, n, u_n = GRUCell._activations(projected, recurrent)
        to_n = z * (1.0 - ops.square(n))
        to_r = to_n * u_n * r * (1.0 - r)
        keep = 1.0 - z
        return (n - h) * z * keep, to_r, to_n, r, keep

    @staticmethod
    def backward(factors, gradients):
        """Gradients of `projected`, `recurrent` and, apart from it, of the state before."""
        (to_z, to_r, to_n, r, keep), (dh,) = factors, gradients
        dz, dr, dn = dh * to_z, dh * to_r, dh * to_n
        return (
            ops.concatenate([dz, dr, dn], axis=-1),
            ops.concatenate([dz, dr, dn * r], axis=-1),
            (dh * keep,),
        )


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
        """The factors of `backward`."""
        (_, c_previous), (_, c) = previous, states
        i, f, g, o = LSTMCell._activations(projected, recurrent)
        tanh_c = ops.tanh(c)
        to_memory_gates = ops.concatenate(
            [g * i * (1.0 - i), c_previous * f * (1.0 - f), i * (1.0 - ops.square(g))], axis=-1
        )
        return to_memory_gates, tanh_c * o * (1.0 - o), o * (1.0 - ops.square(tanh_c)), f

    @staticmethod
    def backward(factors, gradients):
        """Gradients of `projected`, `recurrent` and, apart from it, of the state before."""
        (to_memory_gates, to_o, to_c, f), (dh, dc) = factors, gradients
        dc = dc + dh * to_c
        both = ops.concatenate(
            [ops.concatenate([dc, dc, dc], axis=-1) * to_memory_gates, dh * to_o], axis=-1
        )
        return both, both, (ops.zeros_like(dh), dc * f)


CELLS = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}
