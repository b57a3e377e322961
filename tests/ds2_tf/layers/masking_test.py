# SPDX-License-Identifier: Apache-2.0
"""Masks of right-padded sequences."""

import keras
import numpy as np
import pytest

from ds2_tf.layers.masking import mask_of_lengths, reverse_valid, zero_padding


def test_mask_of_lengths():
    mask = mask_of_lengths(np.full((4, 3, 2), np.nan, np.float32), np.array([0, 1, 3, 9]))
    assert np.asarray(mask).astype(int).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]]


def test_mask_of_lengths_of_a_symbolic_tensor():
    mask = mask_of_lengths(keras.Input((None, 2)), keras.Input((), dtype="int32"))
    assert mask.shape == (None, None) and mask.dtype == "bool"


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_zero_padding_selects(shape):
    x = np.full(shape, np.inf, np.float32)
    x[0, :2] = 7.0
    mask = np.array([[True, True, False], [False, False, False]])
    expected = np.zeros(shape)
    expected[0, :2] = 7.0
    np.testing.assert_array_equal(zero_padding(x, mask), expected)
    assert zero_padding(x, None) is x


def test_reverse_valid():
    x = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    lengths = np.array([5, 3, 1, 0])
    mask = np.arange(5) < lengths[:, None]
    expected = x.copy()
    for row, length in enumerate(lengths):
        expected[:length, row] = x[:length, row][::-1]
    result = reverse_valid(x, mask)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(reverse_valid(result, mask), x)
    np.testing.assert_array_equal(reverse_valid(x, None), x[::-1])
