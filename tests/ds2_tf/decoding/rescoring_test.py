# SPDX-License-Identifier: Apache-2.0
"""Rescoring adds exactly the second model's score."""

import pytest

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.ngram_model import NgramModel, character_tokens
from ds2_tf.decoding.rescoring import rescore
from ds2_tf.text.alphabet import Alphabet


def test_ranks_by_both_scores(word_model, character_model, random_log_probs, kenlm_score):
    hypotheses = BeamSearch(Alphabet(" ab")).decode(random_log_probs(20, 4), 30)
    for path, split in [(word_model, str.split), (character_model, character_tokens)]:
        expected = sorted(
            ((h.total + 1.5 * kenlm_score(path, split(h.text)), h.text) for h in hypotheses),
            reverse=True,
        )
        rescored = rescore(hypotheses, NgramModel(path), 1.5)
        assert [r.hypothesis.text for r in rescored] == [text for _, text in expected]
        for result, (total, _) in zip(rescored, expected):
            assert result.total == pytest.approx(total, rel=1e-5)
        assert [r.hypothesis for r in rescored] != hypotheses


def test_weight_of_nothing_changes_nothing(word_model, random_log_probs):
    hypotheses = BeamSearch(Alphabet(" abc")).decode(random_log_probs(20, 5), 10)
    rescored = rescore(hypotheses, NgramModel(word_model), 0.0)
    assert [r.hypothesis for r in rescored] == hypotheses
