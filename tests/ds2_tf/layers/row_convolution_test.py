# SPDX-License-Identifier: Apache-2.0
"""RowConvolution against equation 11 written out."""

import numpy as np
import pytest

from ds2_tf.layers import RowConvolution

LENGTHS = np.array([9, 4, 1])
MASK = np.arange(9) < LENGTHS[:, None]


@pytest.fixture
def layer():
    layer = RowConvolution(3)
    layer.build((None, None, 5))
    layer.kernel.assign(np.random.default_rng(1).standard_normal((4, 5)))
    return layer


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((3, 9, 5)).astype(np.float32)


def test_equation(layer, x):
    output = layer(x, mask=MASK).numpy()
    weights = layer.kernel.numpy()
    expected = np.zeros(x.shape)
    for row, length in enumerate(LENGTHS):
        for t in range(length):
            for j in range(4):
                if t + j < length:
                    expected[row, t] += weights[j] * x[row, t + j]
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_sees_the_future_and_never_the_past(layer, x):
    changed = x.copy()
    changed[:, 5] += 1.0
    difference = np.abs(layer(changed).numpy() - layer(x).numpy()).max((0, 2))
    assert (difference[2:6] > 0).all()
    assert not difference[:2].any() and not difference[6:].any()


def test_starts_as_the_identity(x):
    np.testing.assert_array_equal(RowConvolution(2)(x).numpy(), x)


def test_no_future_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        RowConvolution(0)
