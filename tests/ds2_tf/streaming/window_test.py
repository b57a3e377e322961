# SPDX-License-Identifier: Apache-2.0
"""The sliding window against slices of the whole sequence."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.streaming.window import SlidingWindow, take


def all_windows(x, size, step, last):
    """Those of one sequence, zeros before it and, where it ends, behind it."""
    if last:
        x = np.concatenate([x, np.zeros((-len(x) % step, *x.shape[1:]), np.float32)])
    before = np.zeros((size - step, *x.shape[1:]), np.float32)
    padded = np.concatenate([before, x])
    return [padded[at : at + size] for at in range(0, len(x) // step * step, step)]


@pytest.mark.parametrize("size, step, shape", [(5, 2, (3,)), (4, 4, ()), (3, 1, (2,)), (1, 1, ())])
def test_windows_of_rows_at_different_places(size, step, shape):
    generator = np.random.default_rng(0)
    lengths = [23, 8, 0]
    rows = [generator.normal(size=(length, *shape)).astype(np.float32) for length in lengths]
    window = SlidingWindow(size, step, shape)
    state = [tf.zeros((3, *part)) for part in window.state_shapes]
    heard, found = [0, 0, 0], [[], [], []]

    def push(count, x, last=False):
        nonlocal state
        out, full, state = window.push(tf.constant(x), tf.constant(count), state, last)
        assert out.shape[1] == (-(-x.shape[1] // step) - 1) * step + size or last
        for row, number in enumerate(full.numpy()):
            found[row] += [out.numpy()[row, k * step : k * step + size] for k in range(number)]

    while any(done < length for done, length in zip(heard, lengths)):
        count = [
            min(int(generator.integers(0, 5)), length - done)
            for done, length in zip(heard, lengths)
        ]
        x = np.full((3, 5, *shape), np.nan, np.float32)
        for row, number in enumerate(count):
            x[row, :number] = rows[row][heard[row] : heard[row] + number]
            heard[row] += number
        push(count, x)
        for row in range(3):
            expected = all_windows(rows[row][: heard[row]], size, step, False)
            np.testing.assert_array_equal(found[row], expected)
    push([0, 0, 0], np.full((3, 1, *shape), np.nan, np.float32), last=True)
    for row in range(3):
        np.testing.assert_array_equal(found[row], all_windows(rows[row], size, step, True))
    assert len(found[0]) == -(-23 // step) and not found[2]


def test_any_pending_number_is_bounded():
    window = SlidingWindow(3, 2)
    pending = tf.constant([np.nan, np.inf, -1e30, 7.0])
    _, full, (_, after) = window.push(
        tf.zeros((4, 2)), tf.fill([4], 2), (tf.zeros((4, 2)), pending)
    )
    assert (full.numpy() == 1).all()
    assert ((after.numpy() == 0) | (after.numpy() == 1)).all()


def test_take_stays_within():
    x = tf.constant([[1, 2, 3], [4, 5, 6]])
    assert take(x, tf.constant([1, 0]), 2).numpy().tolist() == [[2, 3], [4, 5]]
    assert take(x, tf.constant([2, 1]), 2).numpy().tolist() == [[3, 3], [5, 6]]
