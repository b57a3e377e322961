# SPDX-License-Identifier: Apache-2.0
"""Ranking the best texts of a search again, with a second language model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ds2_tf.decoding.beam_search import Hypothesis
from ds2_tf.decoding.ngram_model import NgramModel


@dataclasses.dataclass(frozen=True)
class RescoredHypothesis:
    """A text of the search and its new score.

    Attributes:
        hypothesis: as it came from the search.
        log_p_lm: natural log probability of the second language model, the end included.
        total: the search's total plus the weighted `log_p_lm`.
    """

    hypothesis: Hypothesis
    log_p_lm: float
    total: float


def rescore(
    hypotheses: Sequence[Hypothesis], model: NgramModel, weight: float
) -> list[RescoredHypothesis]:
    """Adds weight * ln p of a second model to the total of each hypothesis; best first.

    Args:
        hypotheses: the n best of one utterance.
        model: of words or of characters, of any order.
        weight: of its natural log probability.
    """
    rescored = []
    for hypothesis in hypotheses:
        log_p = model.score(model.tokens(hypothesis.text))
        rescored.append(RescoredHypothesis(hypothesis, log_p, hypothesis.total + weight * log_p))
    return sorted(rescored, key=lambda item: -item.total)
