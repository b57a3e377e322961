# SPDX-License-Identifier: Apache-2.0
"""Error rates against jiwer and against the recursive definition of edit distance."""

import functools

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors

words = st.sampled_from(["a", "b", "ab", "ba", "the", "cat's"])
sentences = st.lists(words, max_size=7).map(" ".join)
said = st.lists(words, min_size=1, max_size=7).map(" ".join)


def distance(reference, hypothesis):
    @functools.cache
    def of_prefixes(i, j):
        if not i or not j:
            return i + j
        return min(
            of_prefixes(i - 1, j) + 1,
            of_prefixes(i, j - 1) + 1,
            of_prefixes(i - 1, j - 1) + (reference[i - 1] != hypothesis[j - 1]),
        )

    return of_prefixes(len(reference), len(hypothesis))


@settings(max_examples=200, deadline=None)
@given(sentences, sentences)
def test_number_of_edits_is_minimal(reference, hypothesis):
    assert word_errors(reference, hypothesis).errors == distance(
        tuple(reference.split()), tuple(hypothesis.split())
    )
    assert character_errors(reference, hypothesis).errors == distance(reference, hypothesis)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(said, sentences), min_size=1, max_size=5))
def test_equals_jiwer(pairs):
    references, hypotheses = map(list, zip(*pairs))
    expected = jiwer.process_words(references, hypotheses)
    counts = total(word_errors(*pair) for pair in pairs)
    assert counts.rate == pytest.approx(expected.wer)
    assert counts.errors == expected.substitutions + expected.insertions + expected.deletions
    assert counts.insertions - counts.deletions == expected.insertions - expected.deletions
    characters = total(character_errors(*pair) for pair in pairs)
    assert characters.rate == pytest.approx(jiwer.cer(references, hypotheses))


@given(sentences, sentences)
def test_edits_lead_from_one_length_to_the_other(reference, hypothesis):
    counts = word_errors(reference, hypothesis)
    assert counts.reference_length == len(reference.split())
    assert counts.reference_length + counts.insertions - counts.deletions == len(hypothesis.split())


@pytest.mark.parametrize(
    "reference, hypothesis, counts, rate",
    [
        ("", "", ErrorCounts(0, 0, 0, 0), 0.0),
        ("", "a b", ErrorCounts(0, 2, 0, 0), 1.0),
        ("a b", "", ErrorCounts(0, 0, 2, 2), 1.0),
        ("a", "b c d", ErrorCounts(1, 2, 0, 1), 3.0),
        ("one two three", "one too three four", ErrorCounts(1, 1, 0, 3), 2 / 3),
        ("  a \t b ", "a b", ErrorCounts(0, 0, 0, 2), 0.0),
    ],
)
def test_known_sentences(reference, hypothesis, counts, rate):
    assert word_errors(reference, hypothesis) == counts
    assert word_errors(reference, hypothesis).rate == pytest.approx(rate)


def test_characters_count_single_spaces():
    assert character_errors("a  b", "a b") == ErrorCounts(0, 0, 0, 3)
    assert character_errors("ab", "a b") == ErrorCounts(0, 1, 0, 2)


def test_counts_add_up():
    one, other = ErrorCounts(1, 2, 3, 10), ErrorCounts(4, 0, 1, 5)
    assert one + other == total([one, other]) == ErrorCounts(5, 2, 4, 15)
    # Not the mean of 0.6 and 1.0: every word weighs alike.
    assert (one + other).rate == pytest.approx(11 / 15)
    assert total([]) == ErrorCounts()
