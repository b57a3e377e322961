# SPDX-License-Identifier: Apache-2.0
"""Evaluator: error rates of a model beside the last blessed one, and whether it may be pushed."""

from __future__ import annotations

import json
import os

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Evaluate

from pipeline.components.artifacts import (
    DECODER_PROPERTY,
    RESULTS_PREFIX,
    DecoderPackageArtifact,
    decoder_path,
    saved_model_path,
    split_directory,
)
from pipeline.evaluation.recognition import BASELINE, CANDIDATE
from pipeline.evaluation.run import evaluate_records


class EvaluatorExecutor(base_beam_executor.BaseBeamExecutor):
    """Runs `pipeline.evaluation.run`, and blesses the model unless a threshold is exceeded."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, object],
    ) -> None:
        """Evaluates.

        Args:
            input_dict: `examples`, `model`, and where there are such `decoder`, `baseline_model`
                and `baseline_decoder`.
            output_dict: `evaluation`, which gets TFMA's files and a line for each utterance, and
                `blessing`.
            exec_properties: `eval_config`, `slices`, `split`.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        eval_config = json_format.Parse(exec_properties["eval_config"], tfma.EvalConfig())
        artifacts = {key: items[0] for key, items in input_dict.items() if items}
        model = artifacts["model"]
        baseline = artifacts.get("baseline_model")
        models = {CANDIDATE: saved_model_path(model)}
        decoders = {}
        if "decoder" in artifacts:
            decoders[CANDIDATE] = decoder_path(artifacts["decoder"])
        if baseline:
            models[BASELINE] = saved_model_path(baseline)
            # Without a language model there is nothing to compare that of the baseline with.
            if "baseline_decoder" in artifacts and decoders:
                decoders[BASELINE] = decoder_path(artifacts["baseline_decoder"])
        (evaluation,) = output_dict["evaluation"]
        (blessing,) = output_dict["blessing"]
        (examples,) = input_dict["examples"]
        split = split_directory(examples, exec_properties["split"])
        with self._make_beam_pipeline() as pipeline:
            evaluate_records(
                pipeline,
                os.path.join(split, "*"),
                eval_config,
                evaluation.uri,
                models=models,
                decoders=decoders,
                slices=json.loads(exec_properties["slices"]),
                results_prefix=RESULTS_PREFIX,
            )
        # As TFX's Evaluator has it, whose blessings others read.
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
        )
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
        if baseline:
            blessing.set_string_custom_property(
                constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
            )
            blessing.set_int_custom_property(
                constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
            )
        if "decoder" in artifacts:
            blessing.set_string_custom_property(DECODER_PROPERTY, artifacts["decoder"].uri)
        blessed = tfma.load_validation_result(evaluation.uri).validation_ok
        name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
        with open(os.path.join(blessing.uri, name), "w", encoding="utf-8"):
            pass
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BLESSED_KEY,
            constants.BLESSED_VALUE if blessed else constants.NOT_BLESSED_VALUE,
        )


class EvaluatorSpec(ComponentSpec):
    """TFX's specification of an evaluator, with decoders."""

    PARAMETERS = {
        "eval_config": ExecutionParameter(type=str),
        "slices": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "source_hash": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "decoder": ChannelParameter(type=DecoderPackageArtifact, optional=True),
        "baseline_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "baseline_decoder": ChannelParameter(type=DecoderPackageArtifact, optional=True),
    }
    OUTPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Evaluate


class Evaluator(base_beam_component.BaseBeamComponent):
    """Measures a model with TFMA, decoded greedily and with a language model.

    TFX's own Evaluator knows nothing of decoders.

    Args:
        examples: of AudioExampleGen.
        model: of the Trainer.
        eval_config: of `pipeline.evaluation.eval_config`.
        slices: fields to slice by.
        split: the split to measure on.
        source_hash: of the code, so that the cache sees when it changes.
        decoder: of DecoderTuner.
        baseline_model: the last blessed model.
        baseline_decoder: the decoder that it was blessed with.

    Output `evaluation`: TFMA's files, and `utterances*.jsonl`. Output `blessing`: as of TFX's
    Evaluator.
    """

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(EvaluatorExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        eval_config: tfma.EvalConfig,
        slices: tuple[str, ...],
        split: str,
        source_hash: str,
        decoder: types.BaseChannel | None = None,
        baseline_model: types.BaseChannel | None = None,
        baseline_decoder: types.BaseChannel | None = None,
    ):
        super().__init__(
            EvaluatorSpec(
                examples=examples,
                model=model,
                decoder=decoder,
                baseline_model=baseline_model,
                baseline_decoder=baseline_decoder,
                eval_config=json_format.MessageToJson(eval_config, sort_keys=True),
                slices=json.dumps(slices),
                split=split,
                source_hash=source_hash,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
