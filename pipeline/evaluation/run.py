# SPDX-License-Identifier: Apache-2.0
"""An evaluation by TFMA, from records to files of metrics and of utterances."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import apache_beam as beam
import tensorflow_model_analysis as tfma

from pipeline.evaluation.recognition import BASELINE, RESULT_KEY, RecognizeRecords


def evaluate_records(
    pipeline: beam.Pipeline,
    record_pattern: str,
    eval_config: tfma.EvalConfig,
    output: str,
    *,
    models: Mapping[str, str],
    decoders: Mapping[str, str],
    slices: Sequence[str],
    results_prefix: str,
) -> None:
    """Adds an evaluation to a pipeline; `pipeline.evaluation.outcome` reads what it leaves.

    Args:
        pipeline: to be run by the caller.
        record_pattern: file pattern of the records.
        eval_config: of `pipeline.evaluation.eval_config`.
        output: directory of what is written.
        models: SavedModels: the candidate and, where there is one, the baseline.
        decoders: decoder packages, by name of their model.
        slices: fields to slice by.
        results_prefix: of the files with one line an utterance, see
            `ds2_tf.metrics.utterance_result`.
    """
    eval_config = tfma.utils.update_eval_config_with_defaults(
        eval_config, has_baseline=BASELINE in models, rubber_stamp=True
    )
    tfma.utils.verify_eval_config(eval_config)
    evaluators = [
        tfma.evaluators.MetricsPlotsAndValidationsEvaluator(eval_config=eval_config),
        _results_evaluator(),
    ]
    writers = [
        tfma.writers.MetricsPlotsAndValidationsWriter(
            output_paths={
                kind: os.path.join(output, kind)
                for kind in ("metrics", "plots", "attributions", "validations")
            },
            eval_config=eval_config,
            output_file_format="tfrecord",
            rubber_stamp=True,
        ),
        tfma.writers.EvalConfigWriter(
            output, eval_config=eval_config, data_location=record_pattern, model_locations=models
        ),
        _results_writer(os.path.join(output, results_prefix)),
    ]
    _ = (
        pipeline
        | "Read" >> beam.io.ReadFromTFRecord(record_pattern)
        | "RecognizeRecords" >> RecognizeRecords(models, decoders, slices)
        | "Evaluate"
        >> tfma.ExtractAndEvaluate(
            extractors=[tfma.extractors.SliceKeyExtractor(eval_config=eval_config)],
            evaluators=evaluators,
        )
        | "Write" >> tfma.WriteResults(writers=writers)
    )


def _results_evaluator() -> tfma.evaluators.Evaluator:
    """Picks the results of utterances out of the extracts."""

    @beam.ptransform_fn
    def pick(extracts):
        lines = extracts | "ToLine" >> beam.Map(lambda extract: extract[RESULT_KEY].to_json())
        return {RESULT_KEY: lines}

    return tfma.evaluators.Evaluator(
        stage_name="PickResults",
        run_after=tfma.extractors.SLICE_KEY_EXTRACTOR_STAGE_NAME,
        ptransform=pick(),
    )


def _results_writer(prefix: str) -> tfma.writers.Writer:
    return tfma.writers.Writer(
        stage_name="WriteResultLines",
        ptransform=tfma.writers.Write(
            key=RESULT_KEY, ptransform=beam.io.WriteToText(prefix, file_name_suffix=".jsonl")
        ),
    )
