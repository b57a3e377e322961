# SPDX-License-Identifier: Apache-2.0
"""SequenceBatchNormalization against NumPy in float64."""

import numpy as np
import pytest

from ds2_tf.layers import SequenceBatchNormalization

LENGTHS = np.array([6, 3, 1])
MASK = np.arange(6) < LENGTHS[:, None]


def make_input(shape):
    generator = np.random.default_rng(0)
    return (2.0 + 3.0 * generator.standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 6, 4), (3, 6, 5, 4)])
def test_training_normalizes_by_the_valid_frames(shape):
    x = make_input(shape)
    x[~MASK] = np.nan
    layer = SequenceBatchNormalization(momentum=0.9, epsilon=0.01)
    layer.build(shape)
    layer.gamma.assign([0.5, 1.0, 2.0, -1.0])
    layer.beta.assign([0.0, 1.0, -1.0, 3.0])
    output = layer(x, training=True, mask=MASK).numpy()

    valid = x[MASK].reshape(-1, 4).astype(np.float64)
    mean, variance = valid.mean(0), valid.var(0)
    expected = (x - mean) / np.sqrt(variance + 0.01) * layer.gamma.numpy() + layer.beta.numpy()
    np.testing.assert_allclose(output[MASK], expected[MASK], atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * variance, rtol=1e-5)


def test_every_frame_counts_without_a_mask():
    x = make_input((3, 6, 4))
    layer = SequenceBatchNormalization(momentum=0.0)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x.var((0, 1)), rtol=1e-5)


def test_inference_uses_and_keeps_the_running_averages():
    x = make_input((3, 6, 2))
    layer = SequenceBatchNormalization()
    layer.build(x.shape)
    layer.moving_mean.assign([1.0, -2.0])
    layer.moving_variance.assign([4.0, 0.25])
    output = layer(x, training=False, mask=MASK).numpy()
    expected = (x - [1.0, -2.0]) / np.sqrt(np.array([4.0, 0.25]) + 1e-3)
    np.testing.assert_allclose(output[MASK], expected[MASK], atol=1e-5)
    assert layer.moving_mean.numpy().tolist() == [1.0, -2.0]
    assert layer.moving_variance.numpy().tolist() == [4.0, 0.25]


def test_running_averages_converge_to_the_statistics():
    x = make_input((3, 6, 2))
    layer = SequenceBatchNormalization(momentum=0.5)
    for _ in range(30):
        layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x.mean((0, 1)), rtol=1e-5)


def test_a_batch_without_a_valid_frame_does_no_harm():
    layer = SequenceBatchNormalization()
    layer(np.full((2, 3, 4), np.nan, np.float32), training=True, mask=np.zeros((2, 3), bool))
    assert np.isfinite(layer.moving_mean.numpy()).all()
    assert np.isfinite(layer.moving_variance.numpy()).all()
