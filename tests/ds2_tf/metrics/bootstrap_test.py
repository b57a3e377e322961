# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals against drawing one utterance after another, and against known answers."""

import numpy as np
import pytest

from ds2_tf.metrics.bootstrap import error_rate_difference_interval, error_rate_interval


def _utterances(count, seed=0):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 12, count)
    return generator.binomial(lengths, generator.beta(1, 4, count)), lengths


def test_agrees_with_drawing_utterances_one_by_one():
    errors, lengths = _utterances(200)
    generator = np.random.default_rng(5)
    rates = []
    for _ in range(4000):
        drawn = generator.integers(0, 200, 200)
        rates.append(errors[drawn].sum() / lengths[drawn].sum())
    low, high = np.percentile(rates, [2.5, 97.5])
    interval = error_rate_interval(errors, lengths, resamples=4000)
    assert interval.low == pytest.approx(low, abs=0.004)
    assert interval.high == pytest.approx(high, abs=0.004)


def test_covers_the_truth_as_often_as_it_says():
    # Every word is wrong with a probability of 0.2, so that is the rate of an endless corpus.
    hits = 0
    for seed in range(200):
        lengths = np.full(100, 5)
        errors = np.random.default_rng(seed).binomial(lengths, 0.2)
        interval = error_rate_interval(errors, lengths, resamples=300)
        hits += interval.low <= 0.2 <= interval.high
    assert 180 <= hits <= 199


def test_depends_neither_on_order_nor_on_how_utterances_are_counted():
    errors, lengths = _utterances(60)
    expected = error_rate_interval(errors, lengths)
    order = np.random.default_rng(1).permutation(60)
    assert error_rate_interval(errors[order], lengths[order]) == expected
    pairs, counts = np.unique(np.stack([errors, lengths]), axis=1, return_counts=True)
    assert error_rate_interval(pairs[0], pairs[1], counts=counts) == expected


def test_narrows_as_the_square_root_of_the_corpus():
    def width(count):
        interval = error_rate_interval(*_utterances(count), resamples=2000)
        return interval.high - interval.low

    assert width(100) / width(1600) == pytest.approx(4, rel=0.25)


def test_a_difference_of_pairs_is_narrower_than_the_rates_suggest():
    errors, lengths = _utterances(300)
    # Another recognizer makes one error less in every third utterance that has one.
    better = errors - ((errors > 0) & (np.arange(300) % 3 == 0))
    interval = error_rate_difference_interval(better, errors, lengths)
    truth = (better.sum() - errors.sum()) / lengths.sum()
    assert interval.low < truth < interval.high < 0
    alone = error_rate_interval(errors, lengths)
    assert interval.high - interval.low < 0.5 * (alone.high - alone.low)
    same = error_rate_difference_interval(errors, errors, lengths)
    assert (same.low, same.high) == (0, 0)


def test_utterances_of_no_words():
    empty = error_rate_interval([0, 0], [0, 0])
    assert (empty.low, empty.high) == (0, 0)
    inserted = error_rate_interval([2], [0])
    assert (inserted.low, inserted.high) == (1, 1)
    with pytest.raises(ValueError, match="no utterances"):
        error_rate_interval(np.zeros(0), np.zeros(0))
