# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding, in NumPy and in the served graph, against a state machine."""

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.export.signatures import greedy_text
from ds2_tf.text.alphabet import Alphabet

ALPHABET = Alphabet("abc d")


def scores(paths):
    """Log probabilities whose best labels are the letters of the paths; "-" is the blank."""
    width = max(map(len, paths))
    generator = np.random.default_rng(0)
    logits = generator.uniform(0.0, 1.0, (len(paths), width, ALPHABET.size)).astype(np.float32)
    for row, path in enumerate(paths):
        for frame, letter in enumerate(path):
            label = 0 if letter == "-" else ALPHABET.encode(letter)[0]
            logits[row, frame, label] = 2.0
    return tf.nn.log_softmax(logits).numpy()


def by_numpy(log_probs, num_frames):
    return greedy_decode(log_probs, num_frames, ALPHABET)


def in_graph(log_probs, num_frames):
    texts, _ = greedy_text(
        tf.constant(log_probs), tf.constant(num_frames, tf.int32), tf.constant(ALPHABET.labels)
    )
    return [text.decode() for text in texts.numpy()]


EITHER = pytest.mark.parametrize("decode", [by_numpy, in_graph])


@EITHER
@pytest.mark.parametrize(
    "path, text",
    [
        ("", ""),
        ("----", ""),
        ("aaa", "a"),
        ("a-a", "aa"),
        ("aa--aa-a", "aaa"),
        ("abba", "aba"),
        ("--ab-bc--", "abbc"),
        ("c -- d", "c  d"),
    ],
)
def test_repeats_merge_and_blanks_part(path, text, decode):
    log_probs = scores([path + "-"])[:, : len(path)] if path else np.zeros((1, 0, 6), np.float32)
    assert decode(log_probs, [len(path)]) == [text]


@EITHER
def test_padding_says_nothing(decode):
    log_probs = scores(["abcabc", "aabbcc", "cccccc"])
    assert decode(log_probs, [6, 3, 0]) == ["abcabc", "ab", ""]


def test_both_agree_with_a_state_machine_on_random_scores():
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(40, 30, ALPHABET.size)).astype(np.float32)
    logits[..., 0] += 1.0
    log_probs = tf.nn.log_softmax(logits).numpy()
    lengths = generator.integers(0, 31, 40)
    expected = []
    for row, length in zip(log_probs, lengths):
        text, last = "", 0
        for label in row[:length].argmax(-1):
            if label and label != last:
                text += ALPHABET.labels[label]
            last = label
        expected.append(text)
    assert by_numpy(log_probs, lengths) == in_graph(log_probs, lengths) == expected


def test_score_is_that_of_the_best_path():
    log_probs = scores(["abc-", "aabb"])
    _, score = greedy_text(
        tf.constant(log_probs), tf.constant([4, 2]), tf.constant(ALPHABET.labels)
    )
    expected = [log_probs[0].max(-1).sum(), log_probs[1, :2].max(-1).sum()]
    np.testing.assert_allclose(score, expected, rtol=1e-6)


def test_a_batch_of_none():
    assert by_numpy(np.zeros((0, 5, 6), np.float32), np.zeros(0, int)) == []
    assert in_graph(np.zeros((0, 5, 6), np.float32), np.zeros(0, int)) == []
