# SPDX-License-Identifier: Apache-2.0
"""Where an utterance goes: its split and its shard, decided by itself alone."""

from __future__ import annotations

import dataclasses
import hashlib

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.records import FIELDS
from ds2_tf.corpora.rejection import BadUtterance
from pipeline.ingestion.config import IngestionConfig, is_split_name
from pipeline.ingestion.sources import ManifestSource


def unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone, evenly spread."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:6], "big") / 2**48


def split_of_speaker(speaker: str, shares: dict[str, float]) -> str:
    """The split of a speaker: the shares laid side by side, and where the speaker's hash falls."""
    position = unit_hash(speaker)
    for split, share in shares.items():
        if position < share:
            return split
        position -= share
    return split  # the shares add up to 1 only up to rounding


def place(utterance: Utterance, source: ManifestSource, config: IngestionConfig) -> Utterance:
    """The utterance with its split filled in.

    Raises:
        BadUtterance: the line lacks what the rule needs, or has a field that records reserve.
    """
    reserved = sorted(set(utterance.extra) & set(FIELDS))
    if reserved:
        raise BadUtterance("malformed-line", f"the fields {reserved} have reserved names")
    if config.split_by == "manifest":
        split = source.split
    elif config.split_by == "column":
        split = utterance.split
        if not split:
            raise BadUtterance("malformed-line", "has no split, and splits are made by column")
        if not is_split_name(split):
            raise BadUtterance("malformed-line", f"the split {split!r} cannot name a directory")
    else:
        if not utterance.speaker:
            raise BadUtterance("malformed-line", "has no speaker, and splits are made by speaker")
        split = split_of_speaker(utterance.speaker, config.split_shares)
    return dataclasses.replace(utterance, split=split)


def shard_of(utterance: Utterance, shards: int) -> int:
    """The shard of an utterance, by a hash of its id.

    So a new utterance changes one shard, and only that one is computed again.
    """
    return int(unit_hash(utterance.id) * shards)
