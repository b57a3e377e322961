# SPDX-License-Identifier: Apache-2.0
"""FeatureNormalization against NumPy."""

import numpy as np
import pytest

from ds2_tf.layers import FeatureNormalization

LENGTHS = np.array([4, 2, 0], np.int32)
FULL = np.array([4, 4, 4], np.int32)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(-8.0, 4.0, (3, 4, 5)).astype(np.float32)


def make_layer(mean, standard_deviation, **kwargs):
    layer = FeatureNormalization(**kwargs)
    layer.build([(None, None, 5), (None,)])
    layer.set_statistics(np.asarray(mean), np.asarray(standard_deviation))
    return layer


def test_subtracts_and_divides_per_bin(features):
    mean, deviation = np.linspace(-9, -7, 5), np.linspace(1, 3, 5)
    output = make_layer(mean, deviation)([features, LENGTHS]).numpy()
    for row, length in enumerate(LENGTHS):
        expected = (features[row, :length] - mean) / deviation
        np.testing.assert_allclose(output[row, :length], expected, atol=1e-5)
        assert not output[row, length:].any()


def test_a_bin_that_never_changes_is_not_scaled(features):
    output = make_layer(np.zeros(5), [0.0, 1e-9, 1.0, 1.0, 1.0])([features, FULL]).numpy()
    np.testing.assert_array_equal(output, features)


def test_starts_the_mask(features):
    output = make_layer(np.zeros(5), np.ones(5))([features, LENGTHS])
    expected = np.arange(4) < LENGTHS[:, None]
    np.testing.assert_array_equal(output._keras_mask, expected)


def test_is_computed_in_float32_whatever_the_policy(features):
    """Features of -1000 +- 0.01 are lost in 16 bits unless the mean goes first."""
    x = -1000.0 + 0.01 * features
    mean, deviation = np.full(5, -1000.08), np.full(5, 0.04)
    exact = make_layer(mean, deviation)([x, FULL]).numpy()
    half = make_layer(mean, deviation, dtype="mixed_bfloat16")([x, FULL])
    assert half.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(half, np.float32), exact, rtol=0.01)


def test_no_training_step_changes_the_statistics():
    assert not make_layer(np.zeros(5), np.ones(5)).trainable_variables
