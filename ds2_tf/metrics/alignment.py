# SPDX-License-Identifier: Apache-2.0
"""Which word was heard as which."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

CORRECT, SUBSTITUTION, INSERTION, DELETION = "correct", "substitution", "insertion", "deletion"


@dataclasses.dataclass(frozen=True)
class AlignedWord:
    """A word of the reference, of the hypothesis, or of both.

    Attributes:
        reference: as it was said; None where a word was inserted.
        hypothesis: as it was heard; None where a word was deleted.
    """

    reference: str | None
    hypothesis: str | None

    @property
    def kind(self) -> str:
        """ "correct", "substitution", "insertion" or "deletion"."""
        if self.reference is None:
            return INSERTION
        if self.hypothesis is None:
            return DELETION
        return CORRECT if self.reference == self.hypothesis else SUBSTITUTION


def align_words(reference: str, hypothesis: str) -> list[AlignedWord]:
    """Aligns two texts, word by word, with the fewest edits.

    The edits are as many as `ds2_tf.metrics.error_rate.word_errors` counts.
    """
    from rapidfuzz.distance import Levenshtein

    said, heard = reference.split(), hypothesis.split()
    aligned = []
    for edit in Levenshtein.opcodes(said, heard):
        left = said[edit.src_start : edit.src_end]
        right = heard[edit.dest_start : edit.dest_end]
        size = max(len(left), len(right))
        left += [None] * (size - len(left))
        right += [None] * (size - len(right))
        aligned += [AlignedWord(*pair) for pair in zip(left, right)]
    return aligned


@dataclasses.dataclass(frozen=True)
class Confusions:
    """How often words went wrong, the most frequent first, ties in alphabetical order.

    Attributes:
        substitutions: times by (said, heard).
        deletions: times by word.
        insertions: times by word.
        said: how often each word was said.
    """

    substitutions: dict[tuple[str, str], int]
    deletions: dict[str, int]
    insertions: dict[str, int]
    said: dict[str, int]


def count_confusions(alignments: Iterable[list[AlignedWord]]) -> Confusions:
    """Adds up the edits of many utterances."""
    substitutions, deletions = collections.Counter(), collections.Counter()
    insertions, said = collections.Counter(), collections.Counter()
    for alignment in alignments:
        for word in alignment:
            if word.reference is not None:
                said[word.reference] += 1
            if word.kind == SUBSTITUTION:
                substitutions[word.reference, word.hypothesis] += 1
            elif word.kind == DELETION:
                deletions[word.reference] += 1
            elif word.kind == INSERTION:
                insertions[word.hypothesis] += 1
    return Confusions(*(_ordered(c) for c in (substitutions, deletions, insertions, said)))


def _ordered(counter: collections.Counter) -> dict:
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
