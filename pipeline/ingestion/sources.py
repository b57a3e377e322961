# SPDX-License-Identifier: Apache-2.0
"""The manifests that a corpus is made of."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ds2_tf.corpora.checking import parse_lines
from ds2_tf.corpora.manifest import Utterance, manifest_lines
from ds2_tf.corpora.rejection import Rejection, RejectionReport
from ds2_tf.errors import UserError


class ManifestSource(NamedTuple):
    """One manifest, and the split it stands for where each split has its own."""

    path: str
    split: str | None = None


def expand_manifests(patterns: Iterable[ManifestSource]) -> list[ManifestSource]:
    """Replaces file patterns with the manifests that match them, in order of name.

    A file of that very name comes before the pattern.

    Raises:
        UserError: a pattern matches nothing.
    """
    sources = []
    for pattern, split in patterns:
        paths = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern))
        if not paths:
            raise UserError(f"No manifest found at {pattern}.")
        sources += [ManifestSource(os.path.abspath(path), split) for path in paths]
    return sources


def count_lines(sources: Iterable[ManifestSource]) -> int:
    """Number of lines that are not blank, over all manifests."""
    return sum(1 for source in sources for _ in manifest_lines(source.path))


def read_sources(
    sources: Iterable[ManifestSource], report: RejectionReport
) -> Iterator[tuple[ManifestSource, Utterance]]:
    """Yields every readable utterance; ids must be unique over all manifests together.

    Args:
        sources: the manifests, in order.
        report: gets the number of lines seen, and the rejections.
    """
    first_seen: dict[str, ManifestSource] = {}
    for source in sources:
        for utterance in parse_lines(source.path, report):
            first = first_seen.setdefault(utterance.id, source)
            if first != source:
                detail = f"{source.path} repeats an id of {first.path}"
                report.rejections.append(Rejection(utterance.id, "duplicate-id", detail))
                continue
            yield source, utterance
