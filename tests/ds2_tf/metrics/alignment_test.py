# SPDX-License-Identifier: Apache-2.0
"""Alignments against the texts that they are of, and against the error counts."""

import collections

from hypothesis import given, settings
from hypothesis import strategies as st

from ds2_tf.metrics.alignment import AlignedWord, align_words, count_confusions
from ds2_tf.metrics.error_rate import word_errors

_TEXTS = st.lists(st.sampled_from("a b c d".split()), max_size=8).map(" ".join)


@settings(deadline=None)
@given(reference=_TEXTS, hypothesis=_TEXTS)
def test_holds_both_texts_and_the_fewest_edits(reference, hypothesis):
    aligned = align_words(reference, hypothesis)
    assert [w.reference for w in aligned if w.reference is not None] == reference.split()
    assert [w.hypothesis for w in aligned if w.hypothesis is not None] == hypothesis.split()
    kinds = collections.Counter(word.kind for word in aligned)
    counts = word_errors(reference, hypothesis)
    assert kinds["substitution"] == counts.substitutions
    assert kinds["insertion"] == counts.insertions
    assert kinds["deletion"] == counts.deletions


def test_an_alignment():
    assert align_words("the cat sat down", "a cat sat") == [
        AlignedWord("the", "a"),
        AlignedWord("cat", "cat"),
        AlignedWord("sat", "sat"),
        AlignedWord("down", None),
    ]


def test_confusions_are_ordered_by_number():
    found = count_confusions(
        align_words(*pair)
        for pair in [("x a", "x b"), ("a", "b"), ("c", "d"), ("e", ""), ("", "f"), ("e g", "g")]
    )
    assert list(found.substitutions.items()) == [(("a", "b"), 2), (("c", "d"), 1)]
    assert found.deletions == {"e": 2} and found.insertions == {"f": 1}
    assert found.said == {"a": 2, "e": 2, "c": 1, "g": 1, "x": 1}
