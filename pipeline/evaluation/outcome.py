# SPDX-License-Identifier: Apache-2.0
"""Reading what an evaluation found."""

from __future__ import annotations

import dataclasses

import tensorflow_model_analysis as tfma

from pipeline.evaluation.error_rate_metrics import CHARACTER_ERROR_RATE, WORD_ERROR_RATE
from pipeline.evaluation.eval_config import BASELINE, CANDIDATE


@dataclasses.dataclass(frozen=True)
class EvaluationOutcome:
    """What an evaluation found on its whole split.

    Attributes:
        word_error_rate: of the candidate.
        character_error_rate: of the candidate.
        baseline_word_error_rate: of the last blessed model, None where there is none.
        failures: what keeps the candidate from being blessed, in words.
    """

    word_error_rate: float
    character_error_rate: float
    baseline_word_error_rate: float | None
    failures: list[str]


def read_evaluation(directory: str) -> EvaluationOutcome:
    """Reads the evaluation that TFMA wrote into a directory."""
    rates = _rates_of_whole_split(directory)
    return EvaluationOutcome(
        word_error_rate=rates[CANDIDATE, WORD_ERROR_RATE],
        character_error_rate=rates[CANDIDATE, CHARACTER_ERROR_RATE],
        baseline_word_error_rate=rates.get((BASELINE, WORD_ERROR_RATE)),
        failures=_failures(tfma.load_validation_result(directory)),
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
            if threshold.HasField("value_threshold"):
                limit = threshold.value_threshold.upper_bound.value
                failures.append(f"the word error rate {value:.2%} is over max_wer {limit:.2%}")
            else:
                limit = threshold.change_threshold.absolute.value
                failures.append(
                    f"the word error rate differs by {value:+.2%} from the last blessed model's, "
                    f"max_wer_increase is {limit:.2%}"
                )
    return failures or ["no utterance was evaluated"]
