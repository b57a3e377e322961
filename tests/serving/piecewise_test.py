# SPDX-License-Identifier: Apache-2.0
"""A recording that is refused does not take its batch with it."""

import numpy as np
import pytest

from serving.piecewise import batches_by_length, in_batches


class Refused(Exception):
    pass


class Away(Exception):
    pass


def recordings(*lengths):
    return [np.zeros(length, np.float32) for length in lengths]


def is_refusal(error):
    return isinstance(error, Refused)


@pytest.fixture
def sender():
    """Answers with the lengths; refuses requests with 13 samples, and fails with 666."""
    requests = []

    def send(batch):
        lengths = [len(samples) for samples in batch]
        requests.append(lengths)
        if 666 in lengths:
            raise Away
        if 13 in lengths:
            raise Refused
        return lengths

    send.requests = requests
    return send


def test_batches_are_of_similar_length():
    assert list(batches_by_length(recordings(5, 1, 4, 2, 3), 2)) == [[1, 3], [4, 2], [0]]


def test_results_come_in_order(sender):
    done = []
    results = in_batches(
        recordings(5, 1, 4),
        sender,
        batch_size=2,
        is_of_the_request=is_refusal,
        progress=done.append,
    )
    assert results == [5, 1, 4] and sender.requests == [[1, 4], [5]] and done == [5, 5]


def test_what_is_refused_is_found(sender):
    results = in_batches(
        recordings(9, 13, 11, 13, 2), sender, batch_size=4, is_of_the_request=is_refusal
    )
    assert [r if isinstance(r, int) else type(r) for r in results] == [9, Refused, 11, Refused, 2]


def test_a_server_that_is_away_ends_it(sender):
    with pytest.raises(Away):
        in_batches(recordings(1, 666, 3), sender, batch_size=8, is_of_the_request=is_refusal)
    assert sender.requests == [[1, 3, 666]]


def test_nothing_to_send(sender):
    assert in_batches([], sender, batch_size=8, is_of_the_request=is_refusal) == []
