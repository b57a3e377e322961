# SPDX-License-Identifier: Apache-2.0
"""Utterances that are too long are left out and named."""

import tensorflow as tf

from ds2_tf.training.left_out import LeftOut


def utterances(lengths):
    ids = tf.constant([f"ü{length}" for length in lengths])
    return tf.data.Dataset.from_tensor_slices(({"num_frames": lengths}, lengths, ids))


def test_long_ones_are_taken_down():
    left_out = LeftOut()
    kept = left_out.filter(utterances([5, 9, 3, 8, 7]), 7)
    assert [int(labels) for _, labels, _ in kept] == [5, 3, 7]
    assert left_out.ids == ["ü9", "ü8"]
    assert left_out.summary() == "2 (ü9, ü8)"


def test_only_the_first_are_named():
    left_out = LeftOut()
    assert list(left_out.filter(utterances(list(range(10, 19))), 7)) == []
    assert left_out.summary() == "9 (ü10, ü11, ü12, ü13, ü14, ...)"
