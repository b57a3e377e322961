# SPDX-License-Identifier: Apache-2.0
"""What one reading of the manifests tells of a corpus; its fingerprint: invalidation_test.py."""

from __future__ import annotations

import pathlib

import pytest

from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.errors import UserError
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.corpus_scan import require_splits, scan_corpus
from pipeline.ingestion.sources import ManifestSource

_ENGLISH = " abcdefghijklmnopqrstuvwxyz'"
_USES = {"train": "train", "dev": "dev", "evaluation": "test"}


@pytest.fixture
def manifest(tmp_path) -> pathlib.Path:
    """Utterances without recordings."""
    path = tmp_path / "manifest.jsonl"
    splits = ("test", "train", None, "other", "train", "not/a name")
    write_manifest(
        path,
        [
            Utterance(f"u{i}", f"u{i}.wav", "one", speaker=f"s{i}", split=split)
            for i, split in enumerate(splits)
        ],
    )
    return path


def _splits(manifest: pathlib.Path, split: str | None = None, **options) -> tuple[str, ...]:
    config = IngestionConfig(_ENGLISH, time_stride=2, **options)
    hashes = ContentHashes(manifest.parent / "hashes")
    return scan_corpus([ManifestSource(str(manifest), split)], config, hashes).splits


def test_splits_are_those_that_ingestion_will_make(manifest):
    assert _splits(manifest) == ("train", "test", "other")
    assert _splits(manifest, "dev", split_by="manifest") == ("dev",)
    assert _splits(manifest, split_by="speaker", split_shares={"a": 1.0}) == ("a",)


def test_every_split_that_is_missing_is_named():
    require_splits(("train", "dev", "test", "other"), _USES, "column")
    with pytest.raises(UserError, match="dev is 'dev' and splits.evaluation is 'test', .* train. "):
        require_splits(("train",), _USES, "column")
    with pytest.raises(UserError, match="none at all.*column `split`"):
        require_splits((), _USES, "column")
    with pytest.raises(UserError, match="Raise its share"):
        require_splits(("train", "dev"), _USES, "speaker")
