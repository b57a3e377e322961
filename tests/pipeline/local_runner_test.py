# SPDX-License-Identifier: Apache-2.0
"""Running components one after another: executed, cached, failed."""

# No postponed annotations: TFX reads those of component functions as they are.

import pathlib

import pytest
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from ds2_tf.corpora.rejection import TooManyRejections
from ds2_tf.errors import UserError
from pipeline.components.example_gen import AudioExampleGen
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.corpus_scan import scan_corpus
from pipeline.ingestion.sources import ManifestSource
from pipeline.local_runner import LocalRunner

_ENGLISH = " abcdefghijklmnopqrstuvwxyz'"


@component
def Produce(text: Parameter[str], model: OutputArtifact[standard_artifacts.Model]):
    (pathlib.Path(model.uri) / "text").write_text(text)


@component
def Consume(model: InputArtifact[standard_artifacts.Model]):
    if (pathlib.Path(model.uri) / "text").read_text() == "bad":
        raise UserError("it is bad")


@pytest.fixture
def run(tmp_path):
    """A function that runs components and returns what happened to each."""

    def run_components(*components, beam_args=("--runner=FnApiRunner",), uncached=()) -> list:
        seen = []
        runner = LocalRunner(on_component=seen.append, uncached=uncached)
        database = str(tmp_path / "metadata.sqlite")
        runner.run(
            Pipeline(
                pipeline_name="test",
                pipeline_root=str(tmp_path / "root"),
                components=list(components),
                enable_cache=True,
                metadata_connection_config=metadata.sqlite_metadata_connection_config(database),
                beam_pipeline_args=list(beam_args),
            )
        )
        assert seen == runner.runs
        return runner.runs

    return run_components


def _produce_and_consume(text: str) -> list:
    produce = Produce(text=text)
    return [produce, Consume(model=produce.outputs["model"])]


def _states(runs) -> dict[str, str]:
    return {run.name: run.state for run in runs}


def test_what_did_not_change_is_cached(run):
    first = run(*_produce_and_consume("good"))
    assert _states(first) == {"Produce": "executed", "Consume": "executed"}
    second = run(*_produce_and_consume("good"))
    assert second[0].state == "cached"
    assert second[0].outputs["model"][0].uri == first[0].outputs["model"][0].uri
    assert _states(run(*_produce_and_consume("better")))["Produce"] == "executed"


def test_what_is_not_to_be_cached_runs_again(run):
    run(*_produce_and_consume("good"))
    again = run(*_produce_and_consume("good"), uncached=["Consume"])
    assert _states(again) == {"Produce": "cached", "Consume": "executed"}


def test_a_failure_ends_the_run_and_is_tried_again(run):
    produce, consume = _produce_and_consume("bad")
    after = Produce(text="after").with_id("After")
    after.add_upstream_node(consume)
    runs = run(produce, consume, after)
    assert _states(runs) == {"Produce": "executed", "Consume": "failed"}
    assert isinstance(runs[-1].error, UserError)
    again = run(*_produce_and_consume("bad"))
    assert _states(again) == {"Produce": "cached", "Consume": "failed"}


def _example_gen(manifest, tmp_path, **options) -> AudioExampleGen:
    config = IngestionConfig(_ENGLISH, time_stride=2, shards=2, **options)
    sources = [ManifestSource(str(manifest))]
    fingerprint = scan_corpus(sources, config, ContentHashes(tmp_path / "hashes")).fingerprint
    return AudioExampleGen(sources, config, fingerprint, str(tmp_path / "work"))


def test_audio_example_gen_sees_changed_audio(run, make_corpus, tmp_path):
    manifest = make_corpus(6)
    (first,) = run(_example_gen(manifest, tmp_path))
    assert first.state == "executed"
    (examples,) = first.outputs["examples"]
    assert examples.split_names == '["dev", "train"]'
    names = {p.relative_to(examples.uri).parts[0] for p in pathlib.Path(examples.uri).iterdir()}
    assert names == {"Split-train", "Split-dev", "rejections.json"}
    manifest.touch()
    (second,) = run(_example_gen(manifest, tmp_path))
    assert second.state == "cached"
    recording = manifest.parent / "u000.flac"
    recording.write_bytes((manifest.parent / "u001.flac").read_bytes())
    (third,) = run(_example_gen(manifest, tmp_path))
    assert third.state == "executed"


def test_beams_options_count_for_the_work_and_not_for_the_cache(run, make_corpus, tmp_path):
    manifest = make_corpus(6)
    impossible = ["--runner=NoSuchRunner"]
    assert run(_example_gen(manifest, tmp_path), beam_args=impossible)[0].state == "failed"
    assert run(_example_gen(manifest, tmp_path))[0].state == "executed"
    assert run(_example_gen(manifest, tmp_path), beam_args=impossible)[0].state == "cached"


def test_audio_example_gen_leaves_the_report_when_too_much_is_bad(run, make_corpus, tmp_path):
    manifest = make_corpus(6)
    (manifest.parent / "u000.flac").unlink()
    (only,) = run(_example_gen(manifest, tmp_path))
    assert only.state == "failed"
    assert isinstance(only.error, TooManyRejections)
    assert "u000" in (tmp_path / "work" / "rejections.json").read_text()
