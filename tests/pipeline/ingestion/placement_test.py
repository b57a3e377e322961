# SPDX-License-Identifier: Apache-2.0
"""Splits and shards."""

import collections

import pytest

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.rejection import BadUtterance
from ds2_tf.errors import UserError
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.placement import place, shard_of, split_of_speaker
from pipeline.ingestion.sources import ManifestSource

_SOURCE = ManifestSource("corpus/manifest.jsonl")


def _utterance(**fields) -> Utterance:
    return Utterance(**{"id": "u", "audio": "u.wav", "transcript": "a", **fields})


def _config(**options) -> IngestionConfig:
    return IngestionConfig(alphabet="a", time_stride=2, **options)


def test_shares_are_kept():
    shares = {"train": 0.7, "dev": 0.2, "test": 0.1}
    counts = collections.Counter(split_of_speaker(f"s{i}", shares) for i in range(10000))
    for split, share in shares.items():
        assert counts[split] / 10000 == pytest.approx(share, abs=0.02)


def test_a_larger_first_share_only_adds_speakers_to_it():
    small, large = {"train": 0.5, "dev": 0.5}, {"train": 0.8, "dev": 0.2}
    speakers = [f"s{i}" for i in range(500)]
    before = {s for s in speakers if split_of_speaker(s, small) == "train"}
    after = {s for s in speakers if split_of_speaker(s, large) == "train"}
    assert before < after


def test_shards_are_even():
    counts = collections.Counter(shard_of(_utterance(id=f"u{i}"), 8) for i in range(8000))
    assert sorted(counts) == list(range(8))
    assert max(counts.values()) < 1.15 * min(counts.values())


@pytest.mark.parametrize(
    "fields, options, problem",
    [
        ({"speaker": "s"}, {}, "has no split"),
        ({"split": "../up"}, {}, "cannot name a directory"),
        ({"split": "train"}, {"split_by": "speaker"}, "has no speaker"),
        ({"split": "train", "extra": {"num_frames": 3}}, {}, "reserved names"),
    ],
)
def test_lines_that_the_rule_cannot_place(fields, options, problem):
    with pytest.raises(BadUtterance, match=problem) as raised:
        place(_utterance(**fields), _SOURCE, _config(**options))
    assert raised.value.reason == "malformed-line"


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"split_by": "weather"}, "weather"),
        ({"split_shares": {"train": 0.9, "dev": 0.2}}, "sum 1.1"),
        ({"shards": 0}, "at least 1"),
    ],
)
def test_impossible_configurations(options, problem):
    with pytest.raises(UserError, match=problem):
        _config(**options)


def test_the_configuration_survives_json():
    config = _config(split_by="speaker", split_shares={"train": 0.75, "dev": 0.25}, shards=3)
    assert IngestionConfig.from_json(config.to_json()) == config
