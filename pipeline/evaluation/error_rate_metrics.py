# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate of a corpus or a slice of it, as TFMA metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_util

from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors

WORD_ERROR_RATE = "word_error_rate"
CHARACTER_ERROR_RATE = "character_error_rate"


class WordErrorRate(tfma.metrics.Metric):
    """Word edits over reference words, both added up over all utterances of a slice.

    Args:
        name: of the metric. Defaults to "word_error_rate".
    """

    def __init__(self, name: str = WORD_ERROR_RATE):
        super().__init__(_computations(word_errors), name=name)


class CharacterErrorRate(tfma.metrics.Metric):
    """Character edits over reference characters, both added up over all utterances of a slice.

    Args:
        name: of the metric. Defaults to "character_error_rate".
    """

    def __init__(self, name: str = CHARACTER_ERROR_RATE):
        super().__init__(_computations(character_errors), name=name)


class ErrorRateCombineFn(beam.CombineFn):
    """Adds up the errors of utterances.

    Args:
        key: the metric, of which model and output.
        count: the errors of one utterance, from reference and hypothesis.
    """

    def __init__(self, key: tfma.metrics.MetricKey, count: Callable[[str, str], ErrorCounts]):
        self._key = key
        self._count = count

    def create_accumulator(self) -> ErrorCounts:
        return ErrorCounts()

    def add_input(
        self, accumulator: ErrorCounts, element: tfma.metrics.StandardMetricInputs
    ) -> ErrorCounts:
        # Where there is a baseline, labels and predictions are one level deeper, by model: these
        # accessors see to it.
        names = (self._key.model_name, self._key.output_name)
        reference = _text(element.get_labels(*names))
        hypothesis = _text(element.get_predictions(*names))
        return accumulator + self._count(reference, hypothesis)

    def merge_accumulators(self, accumulators: Iterable[ErrorCounts]) -> ErrorCounts:
        return total(accumulators)

    def extract_output(self, accumulator: ErrorCounts) -> dict[tfma.metrics.MetricKey, float]:
        return {self._key: accumulator.rate}


def _text(value: np.ndarray) -> str:
    (text,) = np.asarray(value).ravel()
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)


def _computations(count: Callable[[str, str], ErrorCounts]):
    def create(name: str, model_name: str = "", output_name: str = "", **_):
        key = tfma.metrics.MetricKey(name=name, model_name=model_name, output_name=output_name)
        return [
            tfma.metrics.MetricComputation(
                keys=[key], preprocessors=None, combiner=ErrorRateCombineFn(key, count)
            )
        ]

    return metric_util.merge_per_key_computations(create)
