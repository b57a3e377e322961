# SPDX-License-Identifier: Apache-2.0
"""Utterances that cannot be used: why, how many, and when there are too many."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib

from ds2_tf.errors import UserError

# Every reason for which an utterance is left out.
REASONS = (
    "malformed-line",
    "duplicate-id",
    "missing-audio",
    "empty-audio",
    "truncated-audio",
    "not-audio",
    "silent-audio",
    "empty-transcript",
    "unknown-characters",
    "too-short-for-transcript",
)

DEFAULT_LIMIT = 0.01


class BadUtterance(Exception):
    """An utterance that cannot be used.

    Attributes:
        reason: one of `REASONS`.
        detail: what was found and what was expected.
    """

    def __init__(self, reason: str, detail: str):
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}; known are {', '.join(REASONS)}")
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TooManyRejections(UserError):
    """The share of utterances that cannot be used is over the stated limit."""


@dataclasses.dataclass(frozen=True)
class Rejection:
    """One utterance left out.

    Attributes:
        id: the utterance, or "line N" where the line has no readable id.
        reason: one of `REASONS`.
        detail: what was found and what was expected.
    """

    id: str
    reason: str
    detail: str


@dataclasses.dataclass
class RejectionReport:
    """All utterances left out of a corpus.

    Attributes:
        total: utterances seen, good and bad.
        rejections: the bad ones.
    """

    total: int = 0
    rejections: list[Rejection] = dataclasses.field(default_factory=list)

    @property
    def share(self) -> float:
        """Bad utterances as a share of all, from 0 to 1."""
        return len(self.rejections) / self.total if self.total else 0.0

    def counts(self) -> dict[str, int]:
        """Number of rejections by reason, most frequent first."""
        return dict(collections.Counter(r.reason for r in self.rejections).most_common())

    def summary(self, most: int = 10) -> str:
        """The report for a terminal: totals, counts by reason, the first few by name.

        Args:
            most: how many rejections to name. Defaults to 10.
        """
        lines = [f"{self.total} utterances, {len(self.rejections)} rejected ({self.share:.2%})"]
        lines += [f"  {count:6d} {reason}" for reason, count in self.counts().items()]
        lines += [f"  {r.id}: {r.reason}: {r.detail}" for r in self.rejections[:most]]
        if len(self.rejections) > most:
            lines.append(f"  and {len(self.rejections) - most} more")
        return "\n".join(lines)

    def to_dict(self) -> dict:
        """The report as JSON types."""
        return {
            "total": self.total,
            "rejected": len(self.rejections),
            "share": self.share,
            "counts": self.counts(),
            "rejections": [dataclasses.asdict(r) for r in self.rejections],
        }

    def write(self, path: str | os.PathLike) -> None:
        """Writes the whole report as JSON."""
        pathlib.Path(path).write_text(
            json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8"
        )

    def enforce(self, limit: float = DEFAULT_LIMIT, report_path: str | None = None) -> None:
        """Stops the run when too much of the corpus is bad.

        Args:
            limit: largest bad share that is let pass, from 0 to 1. Defaults to 0.01.
            report_path: where the whole report lies, for the message.

        Raises:
            TooManyRejections: the share is over the limit, or nothing good is left.
        """
        nothing_left = len(self.rejections) == self.total
        if self.share <= limit and not nothing_left:
            return
        where = f"\nThe whole report: {report_path}" if report_path else ""
        what = (
            "No usable utterance is left."
            if nothing_left
            else f"{self.share:.2%} of the corpus cannot be used, the limit is {limit:.2%}. "
            "Mend the corpus, or raise the limit (--max-bad-share; max_bad_share in the "
            "configuration of a pipeline)."
        )
        raise TooManyRejections(f"{what}\n{self.summary()}{where}")
