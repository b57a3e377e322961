# SPDX-License-Identifier: Apache-2.0
"""How TFMA evaluates and judges a model."""

from __future__ import annotations

import tensorflow_model_analysis as tfma
from google.protobuf.wrappers_pb2 import DoubleValue

from pipeline.configs import EvaluationConfig
from pipeline.evaluation import error_rate_metrics

# Names of the models in evaluations.
CANDIDATE = "candidate"
BASELINE = "baseline"


def make_eval_config(config: EvaluationConfig) -> tfma.EvalConfig:
    """The error rates of the whole split and of each speaker; thresholds on the whole alone.

    Args:
        config: the thresholds.
    """
    whole = tfma.SlicingSpec()
    model = {
        "signature_name": "eval_examples",
        "label_key": "transcript",
        "prediction_key": "hypothesis",
        "model_type": "tf_generic",
    }
    threshold = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(upper_bound=DoubleValue(value=config.max_wer)),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.LOWER_IS_BETTER,
            absolute=DoubleValue(value=config.max_wer_increase),
        ),
    )
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(name=CANDIDATE, **model),
            tfma.ModelSpec(name=BASELINE, is_baseline=True, **model),
        ],
        slicing_specs=[whole, tfma.SlicingSpec(feature_keys=["speaker"])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(
                        class_name="WordErrorRate",
                        module=error_rate_metrics.__name__,
                        # A plain threshold would hold for every slice: a single difficult speaker
                        # would keep any model from being pushed.
                        per_slice_thresholds=[
                            tfma.PerSliceMetricThreshold(slicing_specs=[whole], threshold=threshold)
                        ],
                    ),
                    tfma.MetricConfig(
                        class_name="CharacterErrorRate", module=error_rate_metrics.__name__
                    ),
                    tfma.MetricConfig(class_name="ExampleCount"),
                ]
            )
        ],
    )
