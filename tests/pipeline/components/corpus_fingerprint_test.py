# SPDX-License-Identifier: Apache-2.0
"""The step that looks at the corpus where the pipeline runs elsewhere."""

from __future__ import annotations

import json

import pytest
from tfx.orchestration import metadata
from tfx.orchestration.pipeline import Pipeline

from ds2_tf.errors import UserError
from pipeline.components.corpus_fingerprint import CorpusFingerprint
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.corpus_scan import scan_corpus
from pipeline.ingestion.sources import ManifestSource
from pipeline.local_runner import LocalRunner


@pytest.fixture
def look(make_corpus, tmp_path):
    """A function that runs the step for the splits that are used, and the fingerprint expected."""
    sources = [ManifestSource(str(make_corpus(6)))]
    config = IngestionConfig("abc", time_stride=2)

    def run(**splits: str):
        step = CorpusFingerprint(
            manifests=json.dumps(sources),
            ingestion=config.to_json(),
            splits=json.dumps(splits),
            memory=str(tmp_path / "work" / "hashes.tsv"),
        )
        database = str(tmp_path / "metadata.sqlite")
        runner = LocalRunner(on_component=lambda run: None)
        runner.run(
            Pipeline(
                pipeline_name="test",
                pipeline_root=str(tmp_path / "root"),
                components=[step],
                metadata_connection_config=metadata.sqlite_metadata_connection_config(database),
            )
        )
        (only,) = runner.runs
        return only

    return run, scan_corpus(sources, config, ContentHashes(tmp_path / "other")).fingerprint


def test_it_hands_on_what_it_saw(look):
    run, expected = look
    (value,) = run(train="train", evaluation="dev").outputs["fingerprint"]
    value.read()
    assert value.value == expected


def test_it_ends_the_run_where_a_split_is_missing(look):
    run, _ = look
    error = run(train="train", evaluation="tset").error
    assert isinstance(error, UserError)
    assert "splits.evaluation is 'tset'" in str(error)
