# SPDX-License-Identifier: Apache-2.0
"""The loop over time against a Python loop."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.layers.scan import scan


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [1, 4])
def test_equals_a_python_loop(steps, reverse, in_graph):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((steps, 2, 3)).astype(np.float32)
    y = generator.integers(0, 9, (steps, 2)).astype(np.int32)

    def step(state, inputs):
        total, (count,) = state
        a, b = inputs
        total = 0.5 * total + a
        count = count + b
        return (total, (count,)), {"doubled": 2.0 * total, "count": (count, a[:, :1])}

    def run(x, y):
        initial = (tf.zeros((2, 3)), (tf.zeros(2, tf.int32),))
        return scan(step, initial, (x, y), reverse=reverse)

    state, outputs = (tf.function(run) if in_graph else run)(tf.constant(x), tf.constant(y))

    total, count = np.zeros((2, 3)), np.zeros(2, int)
    order = range(steps)[::-1] if reverse else range(steps)
    for t in order:
        total, count = 0.5 * total + x[t], count + y[t]
        np.testing.assert_allclose(outputs["doubled"][t], 2.0 * total, rtol=1e-6)
        np.testing.assert_array_equal(outputs["count"][0][t], count)
        np.testing.assert_array_equal(outputs["count"][1][t], x[t, :, :1])
    np.testing.assert_allclose(state[0], total, rtol=1e-6)
    np.testing.assert_array_equal(state[1][0], count)


def test_an_unknown_number_of_steps_stays_unknown():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3])])
    def cumulative(x):
        _, outputs = scan(lambda s, x: (s + x, s + x), tf.zeros_like(x[0]), x)
        assert outputs.shape.as_list() == [None, None, 3]
        return outputs

    for steps in (0, 1, 5):
        x = np.random.default_rng(0).standard_normal((steps, 2, 3)).astype(np.float32)
        if steps:
            np.testing.assert_allclose(cumulative(x), np.cumsum(x, axis=0), rtol=1e-5, atol=1e-6)
