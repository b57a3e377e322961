# SPDX-License-Identifier: Apache-2.0
"""How far an error rate can be trusted: intervals by drawing utterances again, with replacement.

Utterances are drawn, and not words: the errors of one utterance are not independent of each other
(Bisani & Ney, 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000
# Numbers held at a time while drawing.
_CHUNK = 4_000_000


@dataclasses.dataclass(frozen=True)
class Interval:
    """The ends of a confidence interval."""

    low: float
    high: float


def error_rate_interval(
    errors: Sequence[int],
    lengths: Sequence[int],
    *,
    counts: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of errors / length, both added up over utterances; of percentiles.

    The result does not depend on the order of the utterances.

    Args:
        errors: edits of each utterance.
        lengths: reference units (words or characters) of each.
        counts: how many utterances each entry stands for. Defaults to one.
        confidence: share of the resamples that lie inside. Defaults to 0.95.
        resamples: how often to draw. Defaults to 1000.
        seed: of the draws.

    Raises:
        ValueError: there are no utterances.
    """
    columns = np.stack([np.asarray(errors), np.asarray(lengths)], axis=1)
    sums = _resampled_sums(columns, counts, resamples, seed)
    return _percentiles(_rates(sums[:, 0], sums[:, 1]), confidence)


def error_rate_difference_interval(
    errors: Sequence[int],
    other_errors: Sequence[int],
    lengths: Sequence[int],
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of the difference of two rates on the same utterances, drawn in pairs.

    Two recognizers tend to fail on the same utterances, so this is narrower than the intervals of
    the rates themselves suggest.

    Args:
        errors: edits of each utterance by one recognizer.
        other_errors: edits of the same by another, whose rate is subtracted.
        lengths: reference units of each utterance.
        confidence: share of the resamples that lie inside. Defaults to 0.95.
        resamples: how often to draw. Defaults to 1000.
        seed: of the draws.

    Raises:
        ValueError: there are no utterances.
    """
    columns = np.stack([np.asarray(errors), np.asarray(other_errors), np.asarray(lengths)], axis=1)
    sums = _resampled_sums(columns, None, resamples, seed)
    difference = _rates(sums[:, 0], sums[:, 2]) - _rates(sums[:, 1], sums[:, 2])
    return _percentiles(difference, confidence)


def _resampled_sums(columns, counts, resamples, seed) -> np.ndarray:
    """Sums of each column over utterances drawn with replacement: [resamples, columns].

    Utterances with equal numbers are drawn together: of those there are far fewer.
    """
    if not len(columns):
        raise ValueError("there are no utterances to draw from")
    distinct, place = np.unique(columns, axis=0, return_inverse=True)
    weights = np.bincount(place.ravel(), counts, len(distinct))
    total = int(round(weights.sum()))
    generator = np.random.default_rng(seed)
    sums = np.empty((resamples, columns.shape[1]))
    step = max(1, _CHUNK // len(distinct))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.multinomial(total, weights / weights.sum(), size)
        sums[start : start + size] = drawn @ distinct
    return sums


def _rates(errors: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    # As ErrorCounts.rate: errors against nothing are a rate of 1.
    return np.where(lengths > 0, errors / np.maximum(lengths, 1), errors > 0)


def _percentiles(values: np.ndarray, confidence: float) -> Interval:
    tail = 50 * (1 - confidence)
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))
