# SPDX-License-Identifier: Apache-2.0
"""Recurrent against a step-by-step reference in float64, and against Keras' own layers."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.layers import Recurrent

BATCH, FRAMES, FEATURES, UNITS = 3, 5, 4, 3
LENGTHS = np.array([5, 3, 1])
MASK = np.arange(FRAMES) < LENGTHS[:, None]
EPSILON = 1e-3


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def rnn_step(x, u, state):
    return (np.clip(x + u, 0.0, 20.0),)


def gru_step(x, u, state):
    (x_z, x_r, x_n), (u_z, u_r, u_n) = np.split(x, 3), np.split(u, 3)
    z, r = sigmoid(x_z + u_z), sigmoid(x_r + u_r)
    return ((1.0 - z) * state[0] + z * np.tanh(x_n + r * u_n),)


def lstm_step(x, u, state):
    i, f, g, o = np.split(x + u, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


STEPS = {"rnn": (rnn_step, 1), "gru": (gru_step, 1), "lstm": (lstm_step, 2)}


def reference(cell, inputs, kernel, recurrent_kernels, gamma, beta, averages=None):
    """[batch, frames, features] -> [batch, frames, units], one row and one frame at a time.

    averages: mean and variance to normalize by; those of the valid frames where None.
    """
    step, states = STEPS[cell]
    product = inputs @ kernel
    valid = product[MASK]
    mean, variance = averages or (valid.mean(0), valid.var(0))
    projected = (product - mean) / np.sqrt(variance + EPSILON) * gamma + beta
    output = np.zeros((BATCH, FRAMES, UNITS))
    directions = np.split(projected, len(recurrent_kernels), axis=-1)
    for direction, (x, recurrent_kernel) in enumerate(zip(directions, recurrent_kernels)):
        for row, length in enumerate(LENGTHS):
            state = (np.zeros(UNITS),) * states
            order = range(length)[::-1] if direction else range(length)
            for t in order:
                state = step(x[row, t], state[0] @ recurrent_kernel, state)
                output[row, t] += state[0]
    return output


def make_layer(cell, bidirectional):
    generator = np.random.default_rng(5)
    layer = Recurrent(UNITS, cell, bidirectional)
    layer.build((None, None, FEATURES))
    for weight in layer.weights:
        weight.assign(generator.normal(scale=0.7, size=weight.shape))
    layer.normalization.moving_variance.assign(
        generator.uniform(0.5, 2.0, layer.normalization.moving_variance.shape)
    )
    return layer


def double(*variables):
    return [np.asarray(variable, np.float64) for variable in variables]


def weights_of(layer):
    """The trainable weights in the order of the reference's arguments."""
    return [
        layer.kernel,
        *layer.recurrent_kernels,
        layer.normalization.gamma,
        layer.normalization.beta,
    ]


def reference_of(cell, inputs, weights, averages=None):
    kernel, *recurrent_kernels, gamma, beta = weights
    return reference(cell, inputs, kernel, recurrent_kernels, gamma, beta, averages)


@pytest.fixture
def inputs():
    return np.random.default_rng(0).standard_normal((BATCH, FRAMES, FEATURES))


BOTH = pytest.mark.parametrize(
    "cell, bidirectional", list(itertools.product(["rnn", "gru", "lstm"], [False, True]))
)


@BOTH
@pytest.mark.parametrize("training", [False, True])
def test_equals_a_loop_over_frames(cell, bidirectional, training, inputs):
    layer = make_layer(cell, bidirectional)
    weights = double(*weights_of(layer))
    averages = double(layer.normalization.moving_mean, layer.normalization.moving_variance)
    output = layer(inputs.astype(np.float32), training=training, mask=MASK).numpy()
    expected = reference_of(cell, inputs, weights, None if training else averages)
    np.testing.assert_allclose(output, expected, atol=2e-5)


@BOTH
def test_gradient_equals_finite_differences(cell, bidirectional, inputs):
    layer = make_layer(cell, bidirectional)
    upstream = np.random.default_rng(1).standard_normal((BATCH, FRAMES, UNITS))
    x = tf.Variable(inputs.astype(np.float32))
    with tf.GradientTape() as tape:
        output = layer(x, training=True, mask=MASK)
        loss = tf.reduce_sum(output * upstream.astype(np.float32))
    gradients = tape.gradient(loss, [x, *(weight.value for weight in weights_of(layer))])

    parameters = [inputs.astype(np.float32).astype(np.float64), *double(*weights_of(layer))]
    step = 1e-6
    for parameter, gradient in zip(parameters, gradients):
        expected = np.zeros(parameter.shape)
        for index in np.ndindex(parameter.shape):
            value = parameter[index]
            losses = []
            for parameter[index] in (value + step, value - step):
                losses.append((reference_of(cell, parameters[0], parameters[1:]) * upstream).sum())
            parameter[index] = value
            expected[index] = (losses[0] - losses[1]) / (2 * step)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, atol=1e-4 * scale, rtol=1e-3)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_gradient_in_a_graph_with_unknown_shapes(cell, inputs):
    layer = make_layer(cell, True)

    def gradients(x, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x, training=True, mask=mask)))
        return tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])

    signature = [tf.TensorSpec([None, None, FEATURES]), tf.TensorSpec([None, None], tf.bool)]
    arguments = tf.constant(inputs, tf.float32), tf.constant(MASK)
    in_graph = tf.function(gradients, input_signature=signature)(*arguments)
    for actual, expected in zip(in_graph, gradients(*arguments)):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_equals_the_layer_of_keras(cell, inputs):
    """With the normalization taken out; Keras' update gate keeps where the paper's replaces."""
    layer = make_layer(cell, False)
    layer.normalization.gamma.assign(np.ones_like(layer.normalization.gamma))
    layer.normalization.moving_mean.assign(np.zeros_like(layer.normalization.moving_mean))
    layer.normalization.moving_variance.assign(
        np.full_like(layer.normalization.moving_variance, 1.0 - EPSILON)
    )
    kernel, recurrent_kernel = double(layer.kernel, *layer.recurrent_kernels)
    (bias,) = double(layer.normalization.beta)
    if cell == "gru":
        stock = keras.layers.GRU(UNITS, reset_after=True, return_sequences=True)
        for weights in (kernel, recurrent_kernel, bias):
            weights[..., :UNITS] *= -1.0
        bias = np.stack([bias, np.zeros_like(bias)])
    else:
        stock = keras.layers.LSTM(UNITS, return_sequences=True)
    stock.build((None, None, FEATURES))
    stock.set_weights([kernel, recurrent_kernel, bias])
    x = inputs.astype(np.float32)
    np.testing.assert_allclose(
        layer(x, mask=MASK).numpy()[MASK], stock(x, mask=tf.constant(MASK)).numpy()[MASK], atol=1e-5
    )


def test_simple_rnn_is_clipped():
    layer = Recurrent(2, "rnn", bidirectional=False)
    layer.build((None, None, 2))
    layer.kernel.assign(np.eye(2))
    layer.recurrent_kernels[0].assign(100.0 * np.eye(2))
    output = layer(np.array([[[1.0, -1.0]] * 3], np.float32)).numpy()
    np.testing.assert_allclose(output[0, 1:], [[20.0, 0.0]] * 2, atol=1e-3)


@pytest.mark.parametrize("cell, gates", [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_each_gate_starts_orthogonal(cell, gates):
    layer = Recurrent(8, cell)
    layer.build((None, None, 5))
    blocks = [
        block
        for kernel in layer.recurrent_kernels
        for block in np.split(kernel.numpy(), gates, axis=1)
    ]
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(8), atol=1e-5)
    for one, other in itertools.combinations(blocks, 2):
        assert np.abs(one - other).max() > 0.1


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="one of rnn, gru, lstm, got 'mgu'"):
        Recurrent(4, "mgu")
