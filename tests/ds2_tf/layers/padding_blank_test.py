# SPDX-License-Identifier: Apache-2.0
"""PaddingToBlank: a padding frame is certainly blank and takes part in nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.layers import PaddingToBlank

MASK = np.array([[True, True, True], [True, False, False]])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_padding_becomes_a_certain_blank(dtype):
    logits = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(dtype)
    output = PaddingToBlank()(logits, mask=MASK)
    assert output.dtype == "float32"
    np.testing.assert_array_equal(output.numpy()[MASK], logits[MASK].astype(np.float32))
    probabilities = tf.nn.softmax(output).numpy()[~MASK]
    assert probabilities.tolist() == [[1.0, 0.0, 0.0, 0.0]] * 2


def test_without_a_mask_nothing_changes():
    logits = np.ones((2, 3, 4), np.float32)
    np.testing.assert_array_equal(PaddingToBlank()(logits), logits)


def test_the_mask_ends_here_and_no_gradient_flows_from_the_padding():
    logits = tf.Variable(np.full((2, 3, 4), np.nan, np.float32))
    with tf.GradientTape() as tape:
        output = PaddingToBlank()(logits, mask=tf.constant(MASK))
        loss = tf.reduce_sum(output)
    assert getattr(output, "_keras_mask", None) is None
    gradient = tape.gradient(loss, logits).numpy()
    np.testing.assert_array_equal(gradient[MASK], 1.0)
    np.testing.assert_array_equal(gradient[~MASK], 0.0)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_mask_arrives_from_a_layer_of_any_precision(dtype):
    below = keras.layers.Dense(4, dtype=f"mixed_{dtype}" if dtype != "float32" else dtype)
    inputs = tf.ones((2, 3, 5))
    inputs = keras.layers.Activation("linear", dtype=below.dtype_policy)(inputs)
    inputs._keras_mask = tf.constant(MASK)
    output = PaddingToBlank()(below(inputs)).numpy()
    assert (output[~MASK][:, 1:] < -1000).all() and (output[MASK] > -1000).all()
