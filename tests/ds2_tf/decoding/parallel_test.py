# SPDX-License-Identifier: Apache-2.0
"""Decoding many utterances: order, bounded look-ahead, errors."""

import pytest

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.parallel import decode_many
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

SEARCH = BeamSearch(Alphabet(" abc"))


@pytest.mark.parametrize("threads", [1, 3])
def test_keeps_the_order(random_log_probs, threads):
    # Long and short ones take turns, so that they end in another order.
    utterances = [random_log_probs(3 + 90 * (n % 2), 5, n) for n in range(40)]
    results = decode_many(SEARCH, utterances, num_best=2, threads=threads)
    assert list(results) == [SEARCH.decode(log_probs, 2) for log_probs in utterances]


def test_takes_few_utterances_ahead(random_log_probs):
    taken = 0

    def utterances():
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield random_log_probs(3, 5)

    results = decode_many(SEARCH, utterances(), threads=2)
    for _ in range(10):
        next(results)
    assert taken < 30
    results.close()


def test_errors_arrive(random_log_probs):
    results = decode_many(SEARCH, [random_log_probs(3, 5), random_log_probs(3, 7)])
    next(results)
    with pytest.raises(UserError, match=r"got \[3, 7\]"):
        next(results)


def test_nothing():
    assert list(decode_many(SEARCH, [])) == []
