# SPDX-License-Identifier: Apache-2.0
"""The recurrence and its gradient, with as little as possible inside the loop.

Automatic differentiation of a loop adds the gradient of the recurrent kernel up step by step: one
product of rank `batch` and one pass over the whole kernel for every time step. Here the loop back
only carries the gradient of the state, and the kernel's gradient is one large product afterwards.
"""

from __future__ import annotations

from keras import ops

from ds2_tf.layers.scan import scan


def recurrence(cell, projected: list, kernels: list) -> list:
    """Runs one recurrence for each entry of the lists, all in one loop.

    Args:
        cell: one of `ds2_tf.layers.cells.CELLS`.
        projected: input terms, [time, batch, gates * units] each.
        kernels: recurrent kernels, [units, gates * units] each, of the dtype in which the products
            are to be computed.

    Returns:
        The outputs, float32 [time, batch, units] each. States and gates are float32 throughout.
    """
    count = len(projected)

    @ops.custom_gradient
    def run(*arguments):
        projected, kernels = arguments[:count], arguments[count:]
        recurrents, states = _forward(cell, projected, kernels)

        def gradient(*upstream):
            # JAX hands over one tuple, TensorFlow its entries.
            if len(upstream) == 1 and isinstance(upstream[0], (tuple, list)):
                (upstream,) = upstream
            d_projected, d_recurrents = _backward(
                cell, projected, kernels, recurrents, states, upstream
            )
            return (*d_projected, *map(_kernel_gradient, kernels, states, d_recurrents))

        return tuple(state[0] for state in states), gradient

    return list(run(*projected, *kernels))


def _previous(states):
    """The state before each step: the state after it, one step later, starting with zero."""
    return tuple(
        ops.concatenate([ops.zeros_like(state[:1]), state[:-1]], axis=0) for state in states
    )


def _forward(cell, projected, kernels):
    batch = ops.shape(projected[0])[1]
    zero = ops.zeros((batch, kernels[0].shape[0]), dtype="float32")

    def step(states, projected):
        products = tuple(
            ops.matmul(ops.cast(state[0], kernel.dtype), kernel)
            for state, kernel in zip(states, kernels)
        )
        states = tuple(
            cell.forward(_float32(x), _float32(product), state)
            for x, product, state in zip(projected, products, states)
        )
        return states, (products, states)

    initial = tuple((zero,) * cell.states for _ in kernels)
    _, outputs = scan(step, initial, tuple(projected))
    return outputs


def _backward(cell, projected, kernels, recurrents, states, upstream):
    """Carries the gradient of the state back; gives those of the input terms and products."""
    transposed = [ops.transpose(kernel) for kernel in kernels]
    zero = ops.zeros_like(upstream[0][0])

    def step(carried, inputs):
        d_projected, d_recurrents, before = [], [], []
        for x, recurrent, previous, state, d_output, (dh, *rest), kernel in zip(
            *inputs, carried, transposed
        ):
            # One step's factors stay in the cache; those of all steps at once would not.
            factors = cell.linearize(_float32(x), _float32(recurrent), previous, state)
            dx, d_recurrent, (dh, *rest) = cell.backward(factors, (dh + d_output, *rest))
            d_projected.append(ops.cast(dx, x.dtype))
            d_recurrents.append(ops.cast(d_recurrent, kernel.dtype))
            before.append((dh + _float32(ops.matmul(d_recurrents[-1], kernel)), *rest))
        return tuple(before), (tuple(d_projected), tuple(d_recurrents))

    initial = tuple((zero,) * cell.states for _ in kernels)
    previous = tuple(_previous(state) for state in states)
    inputs = (tuple(projected), recurrents, previous, states, tuple(upstream))
    _, gradients = scan(step, initial, inputs, reverse=True)
    return gradients


def _kernel_gradient(kernel, states, d_recurrent):
    """The gradient of a recurrent kernel, for all steps at once."""
    units, width = kernel.shape
    previous_output = ops.reshape(_previous(states)[0], (-1, units))
    return ops.matmul(
        ops.transpose(ops.cast(previous_output, kernel.dtype)),
        ops.reshape(d_recurrent, (-1, width)),
    )


def _float32(x):
    return ops.cast(x, "float32")
