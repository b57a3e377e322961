# SPDX-License-Identifier: Apache-2.0
"""Error rates of a whole corpus, or of a slice of it, as TFMA metrics.

Each comes with the ends of its confidence interval, by bootstrap over utterances, as metrics of the
same name with `_low` and `_high` behind it.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_util

from ds2_tf.metrics.bootstrap import error_rate_interval
from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, word_errors
from pipeline.evaluation.recognition import GREEDY

WORD_ERROR_RATE = "word_error_rate"
CHARACTER_ERROR_RATE = "character_error_rate"
LOW, HIGH = "_low", "_high"


def metric_name(rate: str, decoding: str) -> str:
    """The name of a rate by way of decoding: `rate` itself for greedy decoding."""
    return rate if decoding == GREEDY else f"{rate}_{decoding}"


class WordErrorRate(tfma.metrics.Metric):
    """Word edits over reference words, both added up over all utterances of a slice.

    Args:
        decoding: which of the predictions counts. Defaults to "greedy".
        name: of the metric. Defaults to "word_error_rate", with the decoding unless it is greedy.
    """

    def __init__(self, decoding: str = GREEDY, name: str | None = None):
        name = name or metric_name(WORD_ERROR_RATE, decoding)
        super().__init__(_computations(word_errors, decoding), name=name)


class CharacterErrorRate(tfma.metrics.Metric):
    """Character edits over reference characters, both added up over all utterances of a slice.

    Args:
        decoding: which of the predictions counts. Defaults to "greedy".
        name: of the metric. Defaults to "character_error_rate", with the decoding unless it is
            greedy.
    """

    def __init__(self, decoding: str = GREEDY, name: str | None = None):
        name = name or metric_name(CHARACTER_ERROR_RATE, decoding)
        super().__init__(_computations(character_errors, decoding), name=name)


class ErrorRateCombineFn(beam.CombineFn):
    """Counts utterances by their errors and length; of that, the rate and its interval follow.

    There are far fewer different (errors, length) than utterances.

    Args:
        keys: of the rate, and of the low and the high end of its interval.
        count: the errors of one utterance, from reference and hypothesis.
        decoding: which of the predictions counts.
    """

    def __init__(
        self,
        keys: tuple[tfma.metrics.MetricKey, ...],
        count: Callable[[str, str], ErrorCounts],
        decoding: str,
    ):
        self._keys = keys
        self._count = count
        self._decoding = decoding

    def create_accumulator(self) -> collections.Counter:
        return collections.Counter()

    def add_input(
        self, accumulator: collections.Counter, element: tfma.metrics.StandardMetricInputs
    ) -> collections.Counter:
        # Where there is a baseline, labels and predictions are one level deeper, by model: these
        # accessors see to it.
        names = (self._keys[0].model_name, self._keys[0].output_name)
        reference = _text(element.get_labels(*names))
        hypothesis = _text(element.get_predictions(*names)[self._decoding])
        counts = self._count(reference, hypothesis)
        accumulator[counts.errors, counts.reference_length] += 1
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[collections.Counter]):
        return sum(accumulators, collections.Counter())

    def extract_output(
        self, accumulator: collections.Counter
    ) -> dict[tfma.metrics.MetricKey, float]:
        if not accumulator:
            return dict.fromkeys(self._keys, 0.0)
        errors, lengths = np.array(list(accumulator), np.int64).T
        times = np.array(list(accumulator.values()))
        rate = ErrorCounts(
            substitutions=int(errors @ times), reference_length=int(lengths @ times)
        ).rate
        interval = error_rate_interval(errors, lengths, counts=times)
        return dict(zip(self._keys, (rate, interval.low, interval.high)))


def _text(value: np.ndarray) -> str:
    (text,) = np.asarray(value).ravel()
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _computations(count: Callable[[str, str], ErrorCounts], decoding: str):
    def create(name: str, model_name: str = "", output_name: str = "", **_):
        keys = tuple(
            tfma.metrics.MetricKey(
                name=name + suffix, model_name=model_name, output_name=output_name
            )
            for suffix in ("", LOW, HIGH)
        )
        return [
            tfma.metrics.MetricComputation(
                keys=list(keys),
                preprocessors=None,
                combiner=ErrorRateCombineFn(keys, count, decoding),
            )
        ]

    return metric_util.merge_per_key_computations(create)
