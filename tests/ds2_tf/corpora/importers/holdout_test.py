# SPDX-License-Identifier: Apache-2.0
"""Holding out: shares, seeds, and stability when a corpus grows."""

import collections

from hypothesis import given
from hypothesis import strategies as st

from ds2_tf.corpora.importers.holdout import hold_out, split_by_share

NAMES = [f"speaker {n}" for n in range(100)]


@given(st.sets(st.text()), st.integers(0, 20), st.integers())
def test_chooses_as_many_as_asked_for_and_there_are(names, count, seed):
    chosen = hold_out(names, count, seed)
    assert len(set(chosen)) == len(chosen) == min(count, len(names))
    assert set(chosen) <= names


def test_depends_on_the_seed_alone():
    assert hold_out(NAMES, 10, 1) == hold_out(reversed(NAMES * 2), 10, 1)
    assert hold_out(NAMES, 10, 1) != hold_out(NAMES, 10, 2)


def test_a_name_left_behind_does_not_come_in_when_the_corpus_grows():
    before = set(hold_out(NAMES, 10, 1))
    after = set(hold_out(NAMES + ["new"], 10, 1))
    assert after <= before | {"new"}


def test_shares():
    splits = split_by_share(NAMES, 0.05, 0.2, seed=1)
    assert collections.Counter(splits.values()) == {"train": 75, "dev": 5, "test": 20}
    assert set(split_by_share(NAMES, 0, 0, seed=1).values()) == {"train"}


def test_a_share_above_nothing_gives_at_least_one():
    splits = split_by_share("abcd", 0.01, 0.01, seed=1)
    assert collections.Counter(splits.values()) == {"train": 2, "dev": 1, "test": 1}
