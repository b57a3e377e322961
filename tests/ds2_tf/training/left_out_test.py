# SPDX-License-Identifier: Apache-2.0
"""Utterances that are too long or too short are left out and named."""

import tensorflow as tf

from ds2_tf.training.left_out import LeftOut


def utterances(lengths):
    ids = tf.constant([f"ü{length}" for length in lengths])
    return tf.data.Dataset.from_tensor_slices(({"num_frames": lengths}, lengths, ids))


def test_long_ones_are_taken_down():
    left_out = LeftOut()
    kept = left_out.without_long(utterances([5, 9, 3, 8, 7]), 7)
    assert [int(labels) for _, labels, _ in kept] == [5, 3, 7]
    assert left_out.too_long == ["ü9", "ü8"] and len(left_out) == 2
    assert left_out.reasons(7) == ["longer than training.max_frames (7): 2 (ü9, ü8)"]


def test_short_ones_are_taken_down():
    """Three labels need three frames, and two that are the same a blank in between."""
    left_out = LeftOut()
    cases = {"a": (6, [1, 2, 3]), "b": (5, [1, 2, 3]), "c": (6, [1, 1, 3]), "d": (8, [1, 1, 3])}

    def generate():
        for id, (num_frames, labels) in cases.items():
            yield {"num_frames": num_frames}, labels, id

    signature = (
        {"num_frames": tf.TensorSpec([], tf.int32)},
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([], tf.string),
    )
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    kept = left_out.without_short(dataset, lambda num_frames: num_frames // 2)
    assert [id.numpy() for *_, id in kept] == [b"a", b"d"]
    assert left_out.too_short == ["b", "c"] and len(left_out) == 2
    (reason,) = left_out.reasons(7)
    assert reason.startswith("too short for their transcripts") and reason.endswith(": 2 (b, c)")


def test_only_the_first_are_named():
    left_out = LeftOut()
    assert list(left_out.without_long(utterances(list(range(10, 19))), 7)) == []
    (reason,) = left_out.reasons(7)
    assert reason.endswith(": 9 (ü10, ü11, ü12, ü13, ü14, ...)")
