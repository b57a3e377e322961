# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate by minimum edit distance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence


@dataclasses.dataclass(frozen=True)
class ErrorCounts:
    """Edits that turn references into hypotheses; counts of several utterances add up.

    Attributes:
        substitutions: units replaced.
        insertions: units of the hypothesis that the reference lacks.
        deletions: units of the reference that the hypothesis lacks.
        reference_length: units of the reference.
    """

    substitutions: int = 0
    insertions: int = 0
    deletions: int = 0
    reference_length: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.reference_length + other.reference_length,
        )

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float:
        """Edits per unit of the reference; 0 for nothing against nothing, and may exceed 1."""
        if not self.reference_length:
            return float(self.errors > 0)
        return self.errors / self.reference_length


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Counts the word edits of one utterance; words are separated by white space."""
    return _count(reference.split(), hypothesis.split())


def character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Counts the character edits of one utterance; single spaces between words count."""
    return _count(" ".join(reference.split()), " ".join(hypothesis.split()))


def total(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    """The counts of a whole corpus: its rate weighs every reference unit alike."""
    return sum(counts, start=ErrorCounts())


def _count(reference: Sequence, hypothesis: Sequence) -> ErrorCounts:
    from rapidfuzz.distance import Levenshtein

    tags = [edit.tag for edit in Levenshtein.editops(reference, hypothesis)]
    return ErrorCounts(
        tags.count("replace"), tags.count("insert"), tags.count("delete"), len(reference)
    )
