# SPDX-License-Identifier: Apache-2.0
"""What a change makes run again: that, and nothing else.

A step runs again when its own parameters change or, through its inputs, when a step before it has
run. Here is the first half, for every kind of change; that the runner keeps to it is tested with
the runner.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest
import yaml
from tfx.dsl.compiler.compiler import Compiler

from ds2_tf.corpora.manifest import read_manifest, write_manifest
from ds2_tf.errors import UserError
from pipeline import dag, source_hash
from pipeline.components import example_gen
from pipeline.configs import EvaluationConfig, PipelineConfig, SplitsConfig, StepsConfig
from pipeline.dag import create_pipeline
from pipeline.decoder_config import DecoderConfig
from pipeline.language_model_config import LanguageModelConfig


@pytest.fixture
def config(make_corpus, recipe_path, tmp_path) -> PipelineConfig:
    """A pipeline with every step."""
    (tmp_path / "text.txt").write_text("one two")
    manifest = make_corpus(7)
    utterances = list(read_manifest(manifest))
    write_manifest(manifest, [*utterances[:-1], dataclasses.replace(utterances[-1], split="x")])
    return PipelineConfig(
        steps=StepsConfig(language_model=True),
        language_model=LanguageModelConfig(texts=(str(tmp_path / "text.txt"),)),
        name="tiny",
        root=str(tmp_path / "run"),
        recipe=str(recipe_path),
        evaluation=EvaluationConfig(max_wer=0.5),
        manifest=str(manifest),
    )


def _parameters(config: PipelineConfig) -> dict[str, str]:
    """What each step is asked for, as TFX compiles it."""
    return {
        node.pipeline_node.node_info.id: str(node.pipeline_node.parameters)
        for node in Compiler().compile(create_pipeline(config)).nodes
    }


@pytest.fixture
def changed_by(config, tmp_path):
    """A function that makes a change and returns the steps that are then asked for other things.

    The change is a function of the configuration and may return another one.
    """

    def compare(change: Callable[[PipelineConfig], PipelineConfig | None]) -> set[str]:
        before = _parameters(config)
        assert _parameters(config) == before
        after = _parameters(change(config) or config)
        assert before.keys() == after.keys()
        return {step for step in before if before[step] != after[step]}

    return compare


@pytest.fixture
def forget_hashes():
    """A function that has the code be read again."""
    yield source_hash.source_hash.cache_clear
    source_hash.source_hash.cache_clear()


def _edit_recipe(config: PipelineConfig, **changes) -> None:
    with open(config.recipe, encoding="utf-8") as file:
        recipe = yaml.safe_load(file)
    for key, value in changes.items():
        recipe.setdefault(key, {}).update(value)
    with open(config.recipe, "w", encoding="utf-8") as file:
        json.dump(recipe, file)


def _edit_manifest(config: PipelineConfig, edit) -> None:
    write_manifest(config.manifest, edit(list(read_manifest(config.manifest))))


def test_a_text_that_is_missing_is_named(config, tmp_path):
    (tmp_path / "text.txt").unlink()
    with pytest.raises(UserError, match="language_model.texts: .*text.txt is missing"):
        create_pipeline(config)


_AUDIO = {"AudioExampleGen"}
# What is told the features, the alphabet and the shards.
_INGESTION = {
    "AudioExampleGen",
    "CorpusStatistics",
    "LanguageModel",
    "Trainer",
    "DecoderTuner",
    "SavedModelCheck",
}


def test_a_recording(changed_by, change_unnoticed, tmp_path):
    assert changed_by(lambda _: change_unnoticed(tmp_path / "corpus" / "u003.flac")) == _AUDIO


@pytest.mark.parametrize("line", ["what?", '{"id": "u8", "audio": 3}', None])
def test_a_line_that_cannot_be_used(changed_by, line):
    def append(config):
        with open(config.manifest, "r+", encoding="utf-8") as file:
            first = file.readline()
            file.seek(0, 2)
            file.write(f"{line or first.rstrip()}\n")

    assert changed_by(append) == _AUDIO


def test_a_recording_that_is_gone(changed_by, tmp_path):
    assert changed_by(lambda _: (tmp_path / "corpus" / "u003.flac").unlink()) == _AUDIO


def test_times_and_order_do_not_count(changed_by, tmp_path):
    def shuffle_and_touch(config):
        _edit_manifest(config, lambda utterances: utterances[::-1])
        for path in (tmp_path / "corpus").iterdir():
            path.touch()

    assert changed_by(shuffle_and_touch) == set()


@pytest.mark.parametrize(
    "edit",
    [
        lambda utterances: utterances[1:],
        lambda utterances: [dataclasses.replace(u, transcript="a dog") for u in utterances],
        lambda utterances: [dataclasses.replace(utterances[0], split="dev"), *utterances[1:]],
        lambda utterances: [dataclasses.replace(u, speaker="x") for u in utterances],
    ],
    ids=["line", "transcript", "split", "speaker"],
)
def test_the_corpus(changed_by, edit):
    assert changed_by(lambda config: _edit_manifest(config, edit)) == _AUDIO


@pytest.mark.parametrize(
    "changes, steps",
    [
        ({"training": {"epochs": 2}}, {"Trainer"}),
        ({"model": {"recurrent_units": 9}}, {"Trainer"}),
        ({"features": {"window_seconds": 0.025}}, _INGESTION),
    ],
    ids=["training", "network", "features"],
)
def test_the_recipe(changed_by, changes, steps):
    assert changed_by(lambda config: _edit_recipe(config, **changes)) == steps


@pytest.mark.parametrize(
    "changes, steps",
    [
        ({"shards": 2}, _INGESTION),
        ({"max_bad_share": 0.5}, {"AudioExampleGen"}),
        ({"splits": SplitsConfig(train="x")}, {"CorpusStatistics", "LanguageModel", "Trainer"}),
        ({"splits": SplitsConfig(dev="x")}, {"Trainer", "DecoderTuner"}),
        (
            {"splits": SplitsConfig(evaluation="x")},
            {"Evaluator", "EvaluationReport", "SavedModelCheck"},
        ),
        ({"language_model": LanguageModelConfig(order=2)}, {"LanguageModel"}),
        ({"decoder": DecoderConfig(refinements=0)}, {"DecoderTuner"}),
        ({"evaluation": EvaluationConfig(max_wer=0.4)}, {"Evaluator"}),
        ({"evaluation": EvaluationConfig(max_wer=0.5, max_wer_with_lm=0.4)}, {"Evaluator"}),
        (
            {"evaluation": EvaluationConfig(max_wer=0.5, slices=("accent",))},
            {"Evaluator", "EvaluationReport"},
        ),
        ({"serving": "/elsewhere"}, {"ModelPusher"}),
        ({"beam_args": ("--direct_num_workers=2",)}, set()),
    ],
    ids=[
        "shards",
        "rejections",
        "train split",
        "dev split",
        "evaluation split",
        "language model",
        "decoder",
        "threshold",
        "threshold with LM",
        "slices",
        "destination",
        "runner",
    ],
)
def test_the_configuration(changed_by, changes, steps):
    assert changed_by(lambda config: dataclasses.replace(config, **changes)) == steps


def test_a_text_of_the_language_model(changed_by, tmp_path):
    text = tmp_path / "text.txt"
    assert changed_by(lambda _: text.touch()) == set()
    assert changed_by(lambda _: text.write_text("one dog") and None) == {"LanguageModel"}


def test_the_version_of_the_features(changed_by, monkeypatch):
    # Of the other steps' inputs, the records tell.
    assert changed_by(lambda _: monkeypatch.setattr(example_gen, "FEATURE_VERSION", 99)) == _AUDIO


@pytest.mark.parametrize(
    "module, steps",
    [
        ("ds2_tf/corpora/statistics.py", {"CorpusStatistics", "Trainer"}),
        ("ds2_tf/lm/building.py", {"LanguageModel"}),
        ("ds2_tf/training/optimizer.py", {"Trainer"}),
        ("ds2_tf/export/signatures.py", {"Trainer"}),
        ("ds2_tf/decoding/tuning.py", {"DecoderTuner"}),
        ("ds2_tf/decoding/beam_search.py", {"DecoderTuner", "Evaluator", "EvaluationReport"}),
        ("ds2_tf/metrics/bootstrap.py", {"Evaluator", "EvaluationReport"}),
        ("pipeline/evaluation/error_rate_metrics.py", {"Evaluator"}),
        ("ds2_tf/reports/evaluation_report.py", {"EvaluationReport"}),
        ("pipeline/saved_model_probe.py", {"SavedModelCheck"}),
        ("pipeline/components/corpus_statistics.py", {"CorpusStatistics"}),
        ("pipeline/components/evaluator.py", {"Evaluator"}),
        ("pipeline/components/saved_model_check.py", {"SavedModelCheck"}),
        ("pipeline/kubeflow/config.py", set()),
        ("serving/server.py", set()),
    ],
)
def test_the_code(changed_by, monkeypatch, forget_hashes, module, steps):
    def change(_):
        real = source_hash._code
        monkeypatch.setattr(
            source_hash,
            "_code",
            lambda path: real(path) + "changed" * str(path).endswith(module),
        )
        forget_hashes()

    assert changed_by(change) == steps


def test_the_schema(changed_by, monkeypatch, tmp_path):
    def change(_):
        (tmp_path / "schema").write_text(dag._SCHEMA_PATH.read_text() + "# new\n")
        monkeypatch.setattr(dag, "_SCHEMA_PATH", tmp_path / "schema")

    assert changed_by(change) == {"RecordSchema"}
