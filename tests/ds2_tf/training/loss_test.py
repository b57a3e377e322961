# SPDX-License-Identifier: Apache-2.0
"""The CTC loss against the sum over every alignment, and against Keras' own."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.layers import PaddingToBlank
from ds2_tf.training.loss import CTCLoss

LABELS = 4


def collapse(path):
    return tuple(label for label, _ in itertools.groupby(path) if label)


def by_enumeration(labels, logits):
    """-log of the summed probability of every path that collapses to the labels."""
    probabilities = np.exp(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    likelihood = sum(
        math.prod(probabilities[t, label] for t, label in enumerate(path))
        for path in itertools.product(range(LABELS), repeat=len(logits))
        if collapse(path) == tuple(labels)
    )
    return -math.log(likelihood)


def random_logits(batch, frames, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(scale=2.0, size=(batch, frames, LABELS)).astype(np.float32)


def padded(rows):
    width = max(map(len, rows))
    return np.array([[*row, *[-1] * (width - len(row))] for row in rows], np.int32).reshape(
        len(rows), width
    )


def loss_of(rows, logits):
    return CTCLoss(reduction=None)(padded(rows), logits).numpy()


ROWS = [(1, 2, 3), (1,), (3, 3), (2, 2), (1, 1, 1), (3, 1, 3), (2, 2, 1)]


def test_equals_enumeration_of_all_alignments():
    logits = random_logits(len(ROWS), 5)
    expected = [by_enumeration(row, x) for row, x in zip(ROWS, logits.astype(np.float64))]
    np.testing.assert_allclose(loss_of(ROWS, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_shortest_lattices(frames):
    row = (1, 2, 3)[:frames]
    logits = random_logits(1, frames)
    expected = by_enumeration(row, logits[0].astype(np.float64))
    np.testing.assert_allclose(loss_of([row], logits), [expected], rtol=1e-5)


def test_padding_frames_change_nothing():
    """A batch whose rows have their own lengths gives the losses of the rows alone."""
    lengths = [9, 5, 3, 4, 7, 9, 6]
    logits = random_logits(len(ROWS), 9)
    mask = np.arange(9) < np.array(lengths)[:, None]
    together = loss_of(ROWS, PaddingToBlank()(logits, mask=mask))
    for row, labels in enumerate(ROWS):
        alone = loss_of([labels], logits[row : row + 1, : lengths[row]])
        if math.isinf(alone[0]):
            assert together[row] > 1000
        else:
            np.testing.assert_allclose(together[row], alone[0], rtol=1e-5)


def test_equals_keras():
    rows = [(1, 2, 3, 1), (3, 3), (2,)]
    logits = random_logits(3, 12)
    labels = np.maximum(padded(rows), 0)
    expected = keras.ops.ctc_loss(
        labels, logits, np.array([4, 2, 1]), np.array([12, 12, 12]), mask_index=0
    )
    np.testing.assert_allclose(loss_of(rows, logits), expected, rtol=1e-4)


def test_gradient_is_that_of_the_occupation():
    """d loss / d logits = softmax - share of the label among the alignments; sums to 0."""
    logits = tf.Variable(random_logits(len(ROWS), 5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(CTCLoss(reduction=None)(padded(ROWS), logits))
    gradient = tape.gradient(loss, logits).numpy()
    np.testing.assert_allclose(gradient.sum(-1), 0.0, atol=1e-5)
    step = 1e-5
    for row, t, label in [(0, 0, 1), (3, 2, 0), (4, 1, 1), (2, 4, 3)]:
        values = []
        for sign in (1, -1):
            x = logits.numpy()[row].astype(np.float64)
            x[t, label] += sign * step
            values.append(by_enumeration(ROWS[row], x))
        expected = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose(gradient[row, t, label], expected, atol=1e-4)


def test_gradient_is_finite_where_the_network_is_sure():
    logits = tf.Variable(10.0 * random_logits(2, 6))
    with tf.GradientTape() as tape:
        loss = CTCLoss()(padded([(1, 2), (3,)]), logits)
    assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, logits)).all()


def test_half_precision_logits_are_summed_in_full_precision():
    logits = random_logits(1, 40).astype(np.float16)
    half, full = (loss_of([(1, 2, 3)], x) for x in (logits, logits.astype(np.float32)))
    assert half.dtype == np.float32
    np.testing.assert_array_equal(half, full)


def test_reduction_is_the_mean_over_utterances():
    logits = random_logits(len(ROWS), 5)
    assert CTCLoss()(padded(ROWS), logits).numpy() == pytest.approx(loss_of(ROWS, logits).mean())


def test_survives_its_configuration():
    again = keras.losses.deserialize(keras.losses.serialize(CTCLoss(reduction="sum")))
    assert isinstance(again, CTCLoss) and again.reduction == "sum"


@pytest.mark.parametrize("rows", [[(), (1,)], [(), ()]])
def test_rows_without_labels_are_all_blank(rows):
    logits = random_logits(len(rows), 3)
    expected = [by_enumeration(row, x) for row, x in zip(rows, logits.astype(np.float64))]
    labels = np.full((2, 2), -1, np.int32)
    for labels_row, row in zip(labels, rows):
        labels_row[: len(row)] = row
    np.testing.assert_allclose(CTCLoss(reduction=None)(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("gap", [50.0, 90.0, 1000.0])
def test_a_network_that_is_wrong_and_sure_can_still_learn(gap):
    """The label's logit lies far below the blank's, beyond what a float32 probability holds."""
    logits = tf.constant([[[gap, 0.0, 0.0, 0.0]] * 3])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = CTCLoss()(padded([(1,)]), logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert np.isfinite(loss) and loss > 40
    assert np.isfinite(gradient).all()
    assert (gradient[0, :, 1] < 0).all() and (gradient[0, :, 0] > 0).all()
