# SPDX-License-Identifier: Apache-2.0
"""Reading what an evaluation found."""

from __future__ import annotations

import dataclasses

import tensorflow_model_analysis as tfma

from pipeline.evaluation.error_rate_metrics import (
    CHARACTER_ERROR_RATE,
    HIGH,
    LOW,
    WORD_ERROR_RATE,
    metric_name,
)
from pipeline.evaluation.recognition import BASELINE, CANDIDATE, GREEDY, WITH_LM


@dataclasses.dataclass(frozen=True)
class EvaluationOutcome:
    """What an evaluation found on its whole split. Intervals are of 95 %, low end first.

    Attributes:
        word_error_rate: of the candidate, by greedy decoding.
        character_error_rate: of the same.
        baseline_word_error_rate: of the last blessed model, None where there is none.
        failures: what keeps the candidate from being blessed, in words.
        word_error_rate_interval: of `word_error_rate`.
        word_error_rate_with_lm: of the candidate with its language model, None where there is none.
        character_error_rate_with_lm: of the same.
        word_error_rate_with_lm_interval: of `word_error_rate_with_lm`.
        baseline_word_error_rate_with_lm: of the last blessed model with its own.
    """

    word_error_rate: float
    character_error_rate: float
    baseline_word_error_rate: float | None
    failures: list[str]
    word_error_rate_interval: tuple[float, float] | None = None
    word_error_rate_with_lm: float | None = None
    character_error_rate_with_lm: float | None = None
    word_error_rate_with_lm_interval: tuple[float, float] | None = None
    baseline_word_error_rate_with_lm: float | None = None


def read_evaluation(directory: str) -> EvaluationOutcome:
    """Reads the evaluation that TFMA wrote into a directory."""
    rates = _rates_of_whole_split(directory)

    def rate(name: str, decoding: str, model: str = CANDIDATE) -> float | None:
        return rates.get((model, metric_name(name, decoding)))

    def interval(decoding: str) -> tuple[float, float] | None:
        name = metric_name(WORD_ERROR_RATE, decoding)
        if (CANDIDATE, name) not in rates:
            return None
        return rates[CANDIDATE, name + LOW], rates[CANDIDATE, name + HIGH]

    return EvaluationOutcome(
        word_error_rate=rates[CANDIDATE, WORD_ERROR_RATE],
        character_error_rate=rates[CANDIDATE, CHARACTER_ERROR_RATE],
        baseline_word_error_rate=rate(WORD_ERROR_RATE, GREEDY, BASELINE),
        failures=_failures(tfma.load_validation_result(directory)),
        word_error_rate_interval=interval(GREEDY),
        word_error_rate_with_lm=rate(WORD_ERROR_RATE, WITH_LM),
        character_error_rate_with_lm=rate(CHARACTER_ERROR_RATE, WITH_LM),
        word_error_rate_with_lm_interval=interval(WITH_LM),
        baseline_word_error_rate_with_lm=rate(WORD_ERROR_RATE, WITH_LM, BASELINE),
    )


def _rates_of_whole_split(directory: str) -> dict[tuple[str, str], float]:
    return {
        # Where there is one model only, TFMA drops its name.
        (item.key.model_name or CANDIDATE, item.key.name): item.value.double_value.value
        for metrics in tfma.load_metrics(directory)
        if not metrics.slice_key.single_slice_keys
        for item in metrics.metric_keys_and_values
        if not item.key.is_diff
    }


def _failures(validation: tfma.ValidationResult) -> list[str]:
    if validation.validation_ok:
        return []
    failures = []
    for slice_result in validation.metric_validations_per_slice:
        for failure in slice_result.failures:
            value = failure.metric_value.double_value.value
            threshold = failure.metric_threshold
            with_lm = failure.metric_key.name == metric_name(WORD_ERROR_RATE, WITH_LM)
            rate = (
                "the word error rate with the language model" if with_lm else "the word error rate"
            )
            limit_name = "max_wer_with_lm" if with_lm else "max_wer"
            if threshold.HasField("value_threshold"):
                limit = threshold.value_threshold.upper_bound.value
                failures.append(f"{rate} {value:.2%} is over {limit_name} {limit:.2%}")
            else:
                limit = threshold.change_threshold.absolute.value
                failures.append(
                    f"{rate} differs by {value:+.2%} from the last blessed model's, "
                    f"{limit_name}_increase is {limit:.2%}"
                )
    return failures or ["no utterance was evaluated"]
