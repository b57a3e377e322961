# SPDX-License-Identifier: Apache-2.0
"""How TFMA evaluates and judges a model."""

from __future__ import annotations

import json

import tensorflow_model_analysis as tfma
from google.protobuf.wrappers_pb2 import DoubleValue

from pipeline.configs import EvaluationConfig
from pipeline.evaluation import error_rate_metrics
from pipeline.evaluation.recognition import BASELINE, CANDIDATE, GREEDY, WITH_LM


def make_eval_config(config: EvaluationConfig, with_lm: bool = False) -> tfma.EvalConfig:
    """The error rates of the whole split and of its slices; thresholds on the whole alone.

    Args:
        config: the slices and thresholds.
        with_lm: whether there is a decoder with a language model. Defaults to False.
    """
    model = {
        "signature_name": "eval_examples",
        "label_key": "transcript",
        "prediction_key": "hypothesis",
        "model_type": "tf_generic",
    }
    metrics = _error_rates(GREEDY, config.max_wer, config.max_wer_increase)
    if with_lm:
        metrics += _error_rates(WITH_LM, config.max_wer_with_lm, config.max_wer_with_lm_increase)
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(name=CANDIDATE, **model),
            tfma.ModelSpec(name=BASELINE, is_baseline=True, **model),
        ],
        slicing_specs=[
            tfma.SlicingSpec(),
            *(tfma.SlicingSpec(feature_keys=[name]) for name in config.slices),
        ],
        metrics_specs=[
            tfma.MetricsSpec(metrics=[*metrics, tfma.MetricConfig(class_name="ExampleCount")])
        ],
    )


def _error_rates(
    decoding: str, limit: float | None, increase: float | None
) -> list[tfma.MetricConfig]:
    """Word and character error rate, and what the former must not exceed."""
    words, characters = (
        tfma.MetricConfig(
            class_name=name,
            module=error_rate_metrics.__name__,
            config=json.dumps({"decoding": decoding}),
        )
        for name in ("WordErrorRate", "CharacterErrorRate")
    )
    threshold = tfma.MetricThreshold()
    if limit is not None:
        threshold.value_threshold.upper_bound.CopyFrom(DoubleValue(value=limit))
    if increase is not None:
        threshold.change_threshold.direction = tfma.MetricDirection.LOWER_IS_BETTER
        threshold.change_threshold.absolute.CopyFrom(DoubleValue(value=increase))
    if limit is not None or increase is not None:
        # A plain threshold would hold for every slice: a single difficult speaker would keep any
        # model from being pushed.
        words.per_slice_thresholds.add(slicing_specs=[tfma.SlicingSpec()], threshold=threshold)
    return [words, characters]
