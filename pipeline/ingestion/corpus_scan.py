# SPDX-License-Identifier: Apache-2.0
"""What a corpus holds, before it is ingested: a fingerprint, and the splits."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ds2_tf.corpora.manifest import resolve_audio, split_order
from ds2_tf.corpora.rejection import BadUtterance, RejectionReport
from ds2_tf.errors import UserError
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.placement import place
from pipeline.ingestion.sources import ManifestSource, read_sources

_CURES = {
    "column": "Correct the name, or the column `split` of the manifests.",
    "manifest": "See the lines of its manifest.",
    "speaker": "Raise its share (splits.shares), or assign splits in the manifests "
    "(splits.by: column).",
}


class CorpusScan(NamedTuple):
    """What one reading of the manifests found.

    Attributes:
        fingerprint: a hash that changes with any line of the manifests and any recording that they
            name. Neither the order of lines nor the files' times matter.
        splits: those that utterances are in, in their usual order.
    """

    fingerprint: str
    splits: tuple[str, ...]


def scan_corpus(
    sources: Iterable[ManifestSource], config: IngestionConfig, hashes: ContentHashes
) -> CorpusScan:
    """Reads the manifests once, and of the recordings those that are not remembered.

    Args:
        sources: the manifests.
        config: the rule that divides utterances.
        hashes: reads the recordings.
    """
    found, splits, report = [], set(), RejectionReport()
    for source, utterance in read_sources(sources, report):
        audio = resolve_audio(utterance, source.path)
        found.append((source.split or "", utterance.to_json(), audio))
        try:
            splits.add(place(utterance, source, config).split)
        except BadUtterance:
            pass  # ingestion names it
    contents = hashes.of(audio for *_, audio in found)
    lines = [
        f"{split}\0{utterance}\0{content}\n"
        for (split, utterance, _), content in zip(found, contents)
    ]
    # Lines that say nothing of a recording still count among those that cannot be used.
    lines += [f"{rejection.reason}\0{rejection.id}\n" for rejection in report.rejections]
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line.encode())
    return CorpusScan(digest.hexdigest(), tuple(sorted(splits, key=split_order)))


def require_splits(found: Collection[str], wanted: Mapping[str, str], rule: str) -> None:
    """Sees that the splits that the pipeline uses are there, before it has worked for hours.

    Args:
        found: the splits of the corpus.
        wanted: use, such as "evaluation" -> name of the split.
        rule: what divides utterances, one of `SPLIT_RULES`.

    Raises:
        UserError: one is not; the message lists those that are.
    """
    missing = [f"splits.{use} is {name!r}" for use, name in wanted.items() if name not in found]
    if missing:
        raise UserError(
            f"{' and '.join(missing)}, and no utterance is there; the splits found are "
            f"{', '.join(found) or 'none at all'}. {_CURES[rule]}"
        )
