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
            pairs = [
                _backward_bulk(cell, *both)
                for both in zip(
                    *_backward(cell, projected, kernels, recurrents, states, upstream),
                    projected,
                    kernels,
                    states,
                )
            ]
            return (*(pair[0] for pair in pairs), *(pair[1] for pair in pairs))

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
    """Carries the gradient of the state back; gives the factors and all states' gradients."""
    factors = tuple(
        cell.linearize(_float32(x), _float32(recurrent), _previous(state), state)
        for x, recurrent, state in zip(projected, recurrents, states)
    )
    transposed = [ops.transpose(kernel) for kernel in kernels]
    zero = ops.zeros_like(upstream[0][0])

    def step(carried, inputs):
        gradients, before = [], []
        for factor, d_output, (dh, *rest), kernel in zip(*inputs, carried, transposed):
            gradient = (dh + d_output, *rest)
            d_recurrent, (dh, *rest) = cell.backward(factor, gradient)
            product = ops.matmul(ops.cast(d_recurrent, kernel.dtype), kernel)
            gradients.append(gradient)
            before.append((dh + _float32(product), *rest))
        return tuple(before), tuple(gradients)

    initial = tuple((zero,) * cell.states for _ in kernels)
    _, gradients = scan(step, initial, (factors, tuple(upstream)), reverse=True)
    return factors, gradients


def _backward_bulk(cell, factors, gradients, projected, kernel, states):
    """The gradients of one recurrence's input terms and kernel, for all steps at once."""
    d_recurrent, _ = cell.backward(factors, gradients)
    units, width = kernel.shape
    previous_output = ops.reshape(_previous(states)[0], (-1, units))
    d_kernel = ops.matmul(
        ops.transpose(ops.cast(previous_output, kernel.dtype)),
        ops.cast(ops.reshape(d_recurrent, (-1, width)), kernel.dtype),
    )
    d_projected = cell.projected_gradient(factors, gradients)
    return ops.cast(d_projected, projected.dtype), d_kernel


def _float32(x):
    return ops.cast(x, "float32")
