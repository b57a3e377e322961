# SPDX-License-Identifier: Apache-2.0
"""The graph of the pipeline, as TFX compiles it."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest
import yaml
from tfx.dsl.compiler.compiler import Compiler

from ds2_tf.errors import UserError
from pipeline import dag
from pipeline.configs import (
    EvaluationConfig,
    PipelineConfig,
    SplitsConfig,
    StepsConfig,
)
from pipeline.dag import create_pipeline
from pipeline.language_model_config import LanguageModelConfig


@pytest.fixture
def config(make_corpus, recipe_path, tmp_path) -> PipelineConfig:
    """A pipeline over a tiny corpus."""
    return PipelineConfig(
        name="tiny",
        root=str(tmp_path / "run"),
        recipe=str(recipe_path),
        evaluation=EvaluationConfig(max_wer=0.5),
        manifest=str(make_corpus(6)),
    )


def _upstream(config: PipelineConfig) -> dict[str, set[str]]:
    compiled = Compiler().compile(create_pipeline(config))
    return {
        node.pipeline_node.node_info.id: set(node.pipeline_node.upstream_nodes)
        for node in compiled.nodes
    }


def test_every_step_waits_for_what_it_needs(config):
    upstream = _upstream(config)
    assert upstream == {
        "AudioExampleGen": set(),
        "StatisticsGen": {"AudioExampleGen"},
        "RecordSchema": set(),
        "ExampleValidator": {"StatisticsGen", "RecordSchema"},
        "AnomalyGate": {"ExampleValidator"},
        "CorpusStatistics": {"AudioExampleGen", "AnomalyGate"},
        "Trainer": {"AudioExampleGen", "CorpusStatistics"},
        "Baseline": {"Trainer"},
        "Evaluator": {"AudioExampleGen", "Trainer", "Baseline"},
        "EvaluationReport": {"Evaluator"},
        "SavedModelCheck": {"AudioExampleGen", "Trainer"},
        "ModelPusher": {"Trainer", "Evaluator", "SavedModelCheck"},
    }


def test_a_language_model_is_built_beside_training_and_pushed_with_the_model(config):
    upstream = _upstream(dataclasses.replace(config, steps=StepsConfig(language_model=True)))
    assert upstream["LanguageModel"] == {"AudioExampleGen"}
    assert upstream["DecoderTuner"] == {"AudioExampleGen", "Trainer", "LanguageModel"}
    assert upstream["Evaluator"] == {"AudioExampleGen", "Trainer", "DecoderTuner", "Baseline"}
    assert upstream["ModelPusher"] == {"Trainer", "DecoderTuner", "Evaluator", "SavedModelCheck"}
    # Without KenLM the run fails before it has trained for hours.
    assert list(upstream).index("LanguageModel") < list(upstream).index("Trainer")


def test_changed_text_changes_what_the_language_model_is_made_of(config, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("one two")

    def contents() -> str:
        changed = dataclasses.replace(
            config,
            steps=StepsConfig(language_model=True),
            language_model=LanguageModelConfig(texts=(str(text),)),
        )
        (step,) = (c for c in create_pipeline(changed).components if c.id == "LanguageModel")
        return step.exec_properties["text_contents"]

    before = contents()
    assert contents() == before
    text.write_text("one two three")
    assert contents() != before


def test_optional_steps_can_be_left_out(config):
    bare = dataclasses.replace(
        config,
        steps=StepsConfig(validate_data=False, check_saved_model=False, push=False, report=False),
    )
    assert set(_upstream(bare)) == {
        "AudioExampleGen",
        "CorpusStatistics",
        "Trainer",
        "Baseline",
        "Evaluator",
    }
    unchecked = dataclasses.replace(config, steps=StepsConfig(check_saved_model=False))
    assert _upstream(unchecked)["ModelPusher"] == {"Trainer", "Evaluator"}


def test_a_real_server_must_load_the_model_where_it_is_asked_for(config):
    asked = dataclasses.replace(config, steps=StepsConfig(real_server=True))
    upstream = _upstream(asked)
    assert upstream["InfraValidator"] == {"Trainer"}
    assert upstream["ModelPusher"] == {"Trainer", "Evaluator", "SavedModelCheck", "InfraValidator"}
    with pytest.raises(UserError, match="steps.real_server .* Kubeflow"):
        create_pipeline(asked, looking_steps=True)


def test_it_is_the_server_of_the_deployments():
    compose = pathlib.Path(dag.__file__).parents[1] / "deploy" / "compose.yaml"
    services = yaml.safe_load(compose.read_text())["services"].values()
    assert f"tensorflow/serving:{dag._SERVING_TAG}" in {service["image"] for service in services}


def test_a_split_that_does_not_exist_is_noticed_before_the_first_step(config):
    typo = dataclasses.replace(config, splits=SplitsConfig(evaluation="tset"))
    with pytest.raises(UserError, match="splits.evaluation is 'tset', .* found are train, dev"):
        create_pipeline(typo)
    # Elsewhere the corpus may not be at hand: a step tells.
    (step,) = (
        c
        for c in create_pipeline(typo, looking_steps=True).components
        if c.id == "CorpusFingerprint"
    )
    assert step.exec_properties["splits"] == (
        '{"train": "train", "dev": "dev", "evaluation": "tset"}'
    )


def test_two_configurations_share_nothing(config, tmp_path):
    other = dataclasses.replace(config, name="other", root=str(tmp_path / "other"))
    first, second = create_pipeline(config), create_pipeline(other)
    assert first.pipeline_info.pipeline_root != second.pipeline_info.pipeline_root
    assert not {id(c) for c in first.components} & {id(c) for c in second.components}


def test_changed_audio_changes_what_ingestion_is_asked_for(config, change_unnoticed, tmp_path):
    def fingerprint() -> str:
        (example_gen,) = (
            c for c in create_pipeline(config).components if c.id == "AudioExampleGen"
        )
        return example_gen.exec_properties["corpus_fingerprint"]

    before = fingerprint()
    recording = next((tmp_path / "corpus").glob("*.flac"))
    recording.touch()
    assert fingerprint() == before
    change_unnoticed(recording)
    assert fingerprint() != before


def test_elsewhere_steps_look_at_the_corpus_and_for_the_baseline(config):
    compiled = create_pipeline(config, looking_steps=True)
    upstream = {c.id: {u.id for u in c.upstream_nodes} for c in compiled.components}
    assert upstream["AudioExampleGen"] == {"CorpusFingerprint"}
    assert upstream["LastPushedVersion"] == {"Trainer"}
    assert upstream["PushedBaseline"] == {"LastPushedVersion"}
    assert "PushedBaseline" in upstream["Evaluator"]
    assert "Baseline" not in upstream
