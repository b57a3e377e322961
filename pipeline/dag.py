# SPDX-License-Identifier: Apache-2.0
"""The pipeline: which step feeds which."""

from __future__ import annotations

import json
import os
import pathlib

import tensorflow_data_validation as tfdv
from tfx.components import ExampleValidator, StatisticsGen
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base import base_component, base_node
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from ds2_tf.config import to_dict
from ds2_tf.recipes import load_recipe
from pipeline.components.anomaly_gate import AnomalyGate
from pipeline.components.artifacts import DecoderPackageArtifact
from pipeline.components.baseline import LatestOtherBlessedModelStrategy
from pipeline.components.corpus_statistics import CorpusStatistics
from pipeline.components.decoder_tuner import DecoderTuner
from pipeline.components.evaluation_report import EvaluationReport
from pipeline.components.evaluator import Evaluator
from pipeline.components.example_gen import AudioExampleGen
from pipeline.components.language_model import LanguageModel
from pipeline.components.pusher import ModelPusher
from pipeline.components.saved_model_check import SavedModelCheck
from pipeline.components.trainer import Trainer
from pipeline.configs import PipelineConfig
from pipeline.evaluation.eval_config import make_eval_config
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.sources import file_stamp
from pipeline.source_hash import (
    DECODING_SOURCES,
    EVALUATION_SOURCES,
    LANGUAGE_MODEL_SOURCES,
    REPORT_SOURCES,
    hash_of_sources,
    source_hash,
)

_SCHEMA_PATH = str(pathlib.Path(__file__).parent / "schema" / "schema.pbtxt")
# What statistics are made of: not spectrograms, which would dwarf everything else.
STATISTICS_FEATURES = ("id", "transcript", "speaker", "split", "num_frames", "duration")
_NUM_CANARY_RECORDINGS = 3
# Beam's default first tries to download a runner; and TFX would put up to 1,000 spectrograms into a
# batch, were batches not bounded in bytes.
_BEAM_DEFAULTS = ("--runner=FnApiRunner", "--tfxio_use_byte_size_batching=true")


def create_pipeline(config: PipelineConfig) -> Pipeline:
    """Builds the pipeline that a configuration describes.

    Args:
        config: paths, thresholds and the steps that are wanted.

    Returns:
        A TFX pipeline, ready for a runner.

    Raises:
        UserError: the recipe or a manifest cannot be read.
    """
    recipe = load_recipe(config.recipe)
    ingestion = config.ingestion(recipe)
    splits = config.splits

    example_gen = AudioExampleGen(
        config.sources,
        ingestion,
        os.path.join(config.work_directory, "ingestion"),
        config.max_bad_share,
    )
    examples = example_gen.outputs["examples"]
    validation = _data_validation(examples) if config.steps.validate_data else []
    statistics = CorpusStatistics(
        examples=examples,
        ingestion=ingestion.to_json(),
        split=splits.train,
    )
    if validation:
        statistics.add_upstream_node(validation[-1])
    trainer = Trainer(
        examples=examples,
        statistics=statistics.outputs["statistics"],
        recipe=json.dumps(to_dict(recipe), sort_keys=True),
        ingestion=ingestion.to_json(),
        train_split=splits.train,
        dev_split=splits.dev,
        work_directory=os.path.join(config.work_directory, "training"),
        source_hash=source_hash(),
    )
    model = trainer.outputs["model"]
    decoding = _decoding(config, ingestion, examples, model) if config.steps.language_model else []
    decoder = decoding[-1].outputs["decoder"] if decoding else None
    candidates = {"baseline": Channel(type=standard_artifacts.Model)}
    if decoder:
        candidates["baseline_decoder"] = Channel(type=DecoderPackageArtifact)
    baseline = Resolver(
        strategy_class=LatestOtherBlessedModelStrategy,
        candidate=model,
        blessing=Channel(type=standard_artifacts.ModelBlessing),
        **candidates,
    ).with_id("Baseline")
    evaluator = Evaluator(
        examples=examples,
        model=model,
        decoder=decoder,
        baseline_model=baseline.outputs["baseline"],
        baseline_decoder=baseline.outputs["baseline_decoder"] if decoder else None,
        eval_config=make_eval_config(config.evaluation, with_lm=bool(decoder)),
        slices=config.evaluation.slices,
        split=splits.evaluation,
        source_hash=hash_of_sources(*EVALUATION_SOURCES),
    )
    components: list[base_node.BaseNode] = [
        example_gen,
        *validation,
        statistics,
        trainer,
        *decoding,
        baseline,
        evaluator,
    ]
    if config.steps.report:
        components.append(
            EvaluationReport(
                evaluation=evaluator.outputs["evaluation"],
                title=f"{config.name}: {splits.evaluation}",
                slices=json.dumps(config.evaluation.slices),
                source_hash=hash_of_sources(*REPORT_SOURCES),
            )
        )
    infra_blessing = None
    if config.steps.check_saved_model:
        check = SavedModelCheck(
            model=model,
            examples=examples,
            manifests=json.dumps(config.sources),
            ingestion=ingestion.to_json(),
            split=splits.evaluation,
            num_recordings=_NUM_CANARY_RECORDINGS,
        )
        infra_blessing = check.outputs["blessing"]
        components.append(check)
    if config.steps.push:
        components.append(
            ModelPusher(
                model=model,
                model_blessing=evaluator.outputs["blessing"],
                infra_blessing=infra_blessing,
                decoder=decoder,
                push_destination=pusher_pb2.PushDestination(
                    filesystem=pusher_pb2.PushDestination.Filesystem(
                        base_directory=config.serving_directory
                    )
                ),
            )
        )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=config.root,
        components=components,
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(config.metadata_path),
        beam_pipeline_args=[*_BEAM_DEFAULTS, *config.beam_args],
    )


def _decoding(
    config: PipelineConfig, ingestion: IngestionConfig, examples: Channel, model: Channel
) -> list[base_component.BaseComponent]:
    """The language model, and the decoder that is tuned for the model."""
    language_model = LanguageModel(
        examples=examples,
        config=json.dumps(to_dict(config.language_model), sort_keys=True),
        ingestion=ingestion.to_json(),
        split=config.splits.train,
        text_stamps=json.dumps([file_stamp(path) for path in config.language_model.texts]),
        source_hash=hash_of_sources(*LANGUAGE_MODEL_SOURCES),
    )
    tuner = DecoderTuner(
        examples=examples,
        model=model,
        language_model=language_model.outputs["language_model"],
        config=json.dumps(to_dict(config.decoder), sort_keys=True),
        ingestion=ingestion.to_json(),
        split=config.splits.dev,
        source_hash=hash_of_sources(*DECODING_SOURCES),
    )
    return [language_model, tuner]


def _data_validation(examples: Channel) -> list[base_component.BaseComponent]:
    """Statistics, the schema, what does not match it, and the gate."""
    statistics_gen = StatisticsGen(
        examples=examples,
        stats_options=tfdv.StatsOptions(feature_allowlist=list(STATISTICS_FEATURES)),
    )
    schema = ImportSchemaGen(schema_file=_SCHEMA_PATH)
    validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema.outputs["schema"]
    )
    gate = AnomalyGate(anomalies=validator.outputs["anomalies"])
    return [statistics_gen, schema, validator, gate]
