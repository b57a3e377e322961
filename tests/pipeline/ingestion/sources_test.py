# SPDX-License-Identifier: Apache-2.0
"""Which manifests a corpus is made of."""

import pytest

from ds2_tf.errors import UserError
from pipeline.ingestion.sources import ManifestSource, expand_manifests


def _expand(pattern, split=None):
    return [tuple(source) for source in expand_manifests([ManifestSource(str(pattern), split)])]


def test_patterns_are_replaced_by_what_matches_them(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        (tmp_path / name).touch()
    found = [(str(tmp_path / name), "dev") for name in ("a.jsonl", "b.jsonl")]
    assert _expand(tmp_path / "*.jsonl", "dev") == found
    assert _expand(tmp_path / "c.txt") == [(str(tmp_path / "c.txt"), None)]


def test_a_file_of_that_name_comes_before_the_pattern(tmp_path):
    directory = tmp_path / "take [1]"
    directory.mkdir()
    (directory / "m.jsonl").touch()
    assert _expand(directory / "m.jsonl") == [(str(directory / "m.jsonl"), None)]


def test_a_pattern_without_a_match_is_named(tmp_path):
    with pytest.raises(UserError, match=r"No manifest found at .*\*.jsonl"):
        _expand(tmp_path / "*.jsonl")
