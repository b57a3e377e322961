# SPDX-License-Identifier: Apache-2.0
"""The pipeline: which step feeds which."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence

import tensorflow_data_validation as tfdv
from tfx.components import ExampleValidator, InfraValidator, StatisticsGen
from tfx.dsl.components.base import base_component, base_node
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import infra_validator_pb2, pusher_pb2
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from ds2_tf.config import to_dict
from ds2_tf.errors import UserError
from ds2_tf.recipes import load_recipe
from pipeline.components.anomaly_gate import AnomalyGate
from pipeline.components.artifacts import DecoderPackageArtifact
from pipeline.components.baseline import LatestOtherBlessedModelStrategy
from pipeline.components.corpus_fingerprint import CorpusFingerprint
from pipeline.components.corpus_statistics import CorpusStatistics
from pipeline.components.decoder_tuner import DecoderTuner
from pipeline.components.evaluation_report import EvaluationReport
from pipeline.components.evaluator import Evaluator
from pipeline.components.example_gen import AudioExampleGen
from pipeline.components.language_model import LanguageModel
from pipeline.components.pushed_baseline import LastPushedVersion, PushedBaseline
from pipeline.components.pusher import ModelPusher
from pipeline.components.record_schema import RecordSchema
from pipeline.components.saved_model_check import SavedModelCheck
from pipeline.components.trainer import Trainer
from pipeline.configs import PipelineConfig
from pipeline.evaluation import error_rate_metrics
from pipeline.evaluation.eval_config import make_eval_config
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import MISSING, ContentHashes
from pipeline.ingestion.corpus_scan import require_splits, scan_corpus
from pipeline.ingestion.sources import expand_manifests
from pipeline.source_hash import source_hash

_SCHEMA_PATH = pathlib.Path(__file__).parent / "schema" / "schema.pbtxt"
# What statistics are made of: not spectrograms, which would dwarf everything else.
STATISTICS_FEATURES = ("id", "transcript", "speaker", "split", "num_frames", "duration")
# Steps that look at the world outside the pipeline, which no cache sees. The pusher looks at what
# is served: going back to an earlier configuration must bring back its model.
LOOKING_STEPS = ("CorpusFingerprint", "LastPushedVersion", "ModelPusher")
_NUM_CANARY_RECORDINGS = 3
# Of the image tensorflow/serving: the release of TensorFlow that exports.
_SERVING_TAG = "2.16.1"
# Beam's default first tries to download a runner; and TFX would put up to 1,000 spectrograms into a
# batch, were batches not bounded in bytes.
_BEAM_DEFAULTS = ("--runner=FnApiRunner", "--tfxio_use_byte_size_batching=true")


def create_pipeline(config: PipelineConfig, *, looking_steps: bool = False) -> Pipeline:
    """Builds the pipeline that a configuration describes.

    Args:
        config: paths, thresholds and the steps that are wanted.
        looking_steps: look at the corpus and for the baseline in steps of the pipeline, for
            orchestrators that run it elsewhere and cannot resolve artifacts. Defaults to false: the
            corpus is read now, and the baseline found in the metadata.

    Returns:
        A TFX pipeline, ready for a runner.

    Raises:
        UserError: the recipe or a manifest cannot be read, or no utterance is in one of the splits
            that are used.
    """
    recipe = load_recipe(config.recipe)
    ingestion = config.ingestion(recipe)
    splits = config.splits

    fingerprint, corpus_steps = _fingerprint(config, ingestion, looking_steps)
    example_gen = AudioExampleGen(
        config.sources,
        ingestion,
        fingerprint,
        os.path.join(config.work_directory, "ingestion"),
        config.max_bad_share,
    )
    examples = example_gen.outputs["examples"]
    validation = _data_validation(examples) if config.steps.validate_data else []
    statistics = CorpusStatistics(
        examples=examples,
        ingestion=ingestion.to_json(),
        split=splits.train,
        source_hash=source_hash("pipeline.components.corpus_statistics"),
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
        source_hash=source_hash("pipeline.components.trainer"),
    )
    model = trainer.outputs["model"]
    baseline, baseline_decoder, baseline_steps = _baseline(config, model, looking_steps)
    decoding = []
    if config.steps.language_model:
        decoding = _decoding(config, ingestion, examples, model, looking_steps)
    decoder = decoding[-1].outputs["decoder"] if decoding else None
    evaluator = Evaluator(
        examples=examples,
        model=model,
        decoder=decoder,
        baseline_model=baseline,
        baseline_decoder=baseline_decoder,
        eval_config=make_eval_config(config.evaluation, with_lm=bool(decoder)),
        slices=config.evaluation.slices,
        split=splits.evaluation,
        # TFMA imports the metrics by their names.
        source_hash=source_hash("pipeline.components.evaluator", error_rate_metrics.__name__),
    )
    components: list[base_node.BaseNode] = [
        *corpus_steps,
        example_gen,
        *validation,
        statistics,
        trainer,
        *decoding,
        *baseline_steps,
        evaluator,
    ]
    if config.steps.report:
        components.append(
            EvaluationReport(
                evaluation=evaluator.outputs["evaluation"],
                title=f"{config.name}: {splits.evaluation}",
                slices=json.dumps(config.evaluation.slices),
                source_hash=source_hash("pipeline.components.evaluation_report"),
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
            source_hash=source_hash("pipeline.components.saved_model_check"),
        )
        infra_blessing = check.outputs["blessing"]
        components.append(check)
    server_blessing = None
    if config.steps.real_server:
        validator = _real_server(model, looking_steps)
        server_blessing = validator.outputs["blessing"]
        components.append(validator)
    if config.steps.push:
        components.append(
            ModelPusher(
                model=model,
                model_blessing=evaluator.outputs["blessing"],
                infra_blessing=infra_blessing,
                server_blessing=server_blessing,
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


def _fingerprint(
    config: PipelineConfig, ingestion: IngestionConfig, looking_steps: bool
) -> tuple[str | Placeholder, list[base_node.BaseNode]]:
    """What the corpus holds, or the step that will tell; both see that the splits are there."""
    splits = config.splits.uses
    memory = os.path.join(config.work_directory, "ingestion", "hashes.tsv")
    if looking_steps:
        step = CorpusFingerprint(
            manifests=json.dumps(config.sources),
            ingestion=ingestion.to_json(),
            splits=json.dumps(splits),
            memory=memory,
        )
        return step.outputs["fingerprint"].future()[0].value, [step]
    hashes = ContentHashes(memory)
    scan = scan_corpus(expand_manifests(config.sources), ingestion, hashes)
    hashes.save()
    require_splits(scan.splits, splits, ingestion.split_by)
    return scan.fingerprint, []


def _baseline(
    config: PipelineConfig, model: Channel, looking_steps: bool
) -> tuple[Channel, Channel | None, list[base_node.BaseNode]]:
    """The model that a candidate is measured against, its decoder, and the steps that find them."""
    with_decoder = config.steps.language_model
    if looking_steps:
        version = LastPushedVersion(model=model, serving=config.serving_directory)
        step = PushedBaseline(version=version.outputs["version"].future()[0].value)
        steps = [version, step]
    else:
        decoders = {"baseline_decoder": Channel(type=DecoderPackageArtifact)}
        step = Resolver(
            strategy_class=LatestOtherBlessedModelStrategy,
            candidate=model,
            baseline=Channel(type=standard_artifacts.Model),
            blessing=Channel(type=standard_artifacts.ModelBlessing),
            **(decoders if with_decoder else {}),
        ).with_id("Baseline")
        steps = [step]
    decoder = step.outputs["baseline_decoder"] if with_decoder else None
    return step.outputs["baseline"], decoder, steps


def _decoding(
    config: PipelineConfig,
    ingestion: IngestionConfig,
    examples: Channel,
    model: Channel,
    looking_steps: bool,
) -> list[base_component.BaseComponent]:
    """The language model, and the decoder that is tuned for the model."""
    texts = config.language_model.texts
    # Elsewhere the texts may not be at hand: one that changes wants a new name there.
    contents = list(texts) if looking_steps else _contents(config, texts)
    language_model = LanguageModel(
        examples=examples,
        config=json.dumps(to_dict(config.language_model), sort_keys=True),
        ingestion=ingestion.to_json(),
        split=config.splits.train,
        text_contents=json.dumps(contents),
        source_hash=source_hash("pipeline.components.language_model"),
    )
    tuner = DecoderTuner(
        examples=examples,
        model=model,
        language_model=language_model.outputs["language_model"],
        config=json.dumps(to_dict(config.decoder), sort_keys=True),
        ingestion=ingestion.to_json(),
        split=config.splits.dev,
        source_hash=source_hash("pipeline.components.decoder_tuner"),
    )
    return [language_model, tuner]


def _contents(config: PipelineConfig, paths: Sequence[str]) -> list[str]:
    """Hashes of the language model's texts.

    Raises:
        UserError: one cannot be read.
    """
    hashes = ContentHashes(os.path.join(config.work_directory, "language_model", "hashes.tsv"))
    found = hashes.of(paths)
    hashes.save()
    for path, content in zip(paths, found):
        if content == MISSING:
            raise UserError(f"language_model.texts: {path} is missing or cannot be read.")
    return found


def _real_server(model: Channel, looking_steps: bool) -> InfraValidator:
    """The model in TensorFlow Serving's container, which must load it."""
    if looking_steps:
        raise UserError(
            "steps.real_server starts a Docker container on the machine that runs the pipeline, "
            "which no step can on Kubeflow: set it to false there."
        )
    return InfraValidator(
        model=model,
        serving_spec=infra_validator_pb2.ServingSpec(
            tensorflow_serving=infra_validator_pb2.TensorFlowServing(tags=[_SERVING_TAG]),
            local_docker=infra_validator_pb2.LocalDockerConfig(),
        ),
    )


def _data_validation(examples: Channel) -> list[base_component.BaseComponent]:
    """Statistics, the schema, what does not match it, and the gate."""
    statistics_gen = StatisticsGen(
        examples=examples,
        stats_options=tfdv.StatsOptions(feature_allowlist=list(STATISTICS_FEATURES)),
    )
    schema = RecordSchema(text=_SCHEMA_PATH.read_text("utf-8"))
    validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema.outputs["schema"]
    )
    gate = AnomalyGate(anomalies=validator.outputs["anomalies"])
    return [statistics_gen, schema, validator, gate]
