# SPDX-License-Identifier: Apache-2.0
"""The loop over time."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops, tree


def scan(step: Callable, state, inputs, reverse: bool = False):
    """Runs `state, outputs = step(state, inputs[t])` over the first axis of the inputs.

    `keras.ops.scan` with outputs of any shape and without the loop's gradient on TensorFlow: it is
    meant to be called inside a custom gradient.

    Args:
        step: function of a state and one time step of the inputs, both nested structures.
        state: the initial state.
        inputs: nested structure of tensors [time, ...].
        reverse: run from the last time step to the first. Defaults to False.

    Returns:
        The final state, and the outputs as tensors [time, ...] in the order of the inputs' time.
    """
    if keras.config.backend() == "tensorflow":
        return _tensorflow_scan(step, state, inputs, reverse)
    return ops.scan(step, state, inputs, reverse=reverse)


def _tensorflow_scan(step, state, inputs, reverse):
    import tensorflow as tf

    flat_inputs = tree.flatten(inputs)
    steps = tf.shape(flat_inputs[0])[0]
    arrays = [
        tf.TensorArray(x.dtype, steps, element_shape=x.shape[1:]).unstack(x) for x in flat_inputs
    ]
    # Which outputs there are is known only from a step; traced in a graph that is thrown away.
    specification = [tf.TensorSpec(x.shape[1:], x.dtype) for x in flat_inputs]
    traced = tf.function(lambda s, *x: step(s, tree.pack_sequence_as(inputs, x)))
    _, output_structure = traced.get_concrete_function(
        tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), state), *specification
    ).structured_outputs
    outputs = [
        tf.TensorArray(x.dtype, steps, element_shape=x.shape)
        for x in tree.flatten(output_structure)
    ]

    def body(index, state, outputs):
        time = steps - 1 - index if reverse else index
        state, produced = step(
            state, tree.pack_sequence_as(inputs, [array.read(time) for array in arrays])
        )
        produced = tree.flatten(produced)
        return index + 1, state, [o.write(time, p) for o, p in zip(outputs, produced)]

    _, state, outputs = tf.while_loop(
        lambda index, *_: index < steps, body, (tf.constant(0), state, outputs)
    )
    stacked = []
    for array, x in zip(outputs, tree.flatten(output_structure)):
        tensor = array.stack()
        tensor.set_shape([flat_inputs[0].shape[0], *x.shape])
        stacked.append(tensor)
    return state, tree.pack_sequence_as(output_structure, stacked)
