# SPDX-License-Identifier: Apache-2.0
"""Sums over the batches of an epoch."""

from __future__ import annotations

import dataclasses

import numpy as np

from ds2_tf.training.step import StepResult


@dataclasses.dataclass
class EpochTotals:
    """What the batches of an epoch came to; begins with nothing.

    Attributes:
        utterances: trained on.
        loss: sum of their losses.
        frames: sum of their frames.
        padded_frames: frames that were computed, padding included.
        overflows: batches without effect, since they overflowed in float16.
    """

    utterances: int = 0
    loss: float = 0.0
    frames: int = 0
    padded_frames: int = 0
    overflows: int = 0

    def add(self, num_frames: np.ndarray, longest: int, result: StepResult) -> None:
        """Adds a batch.

        Args:
            num_frames: int [batch].
            longest: frames to which all were padded.
            result: of the step.
        """
        self.frames += int(num_frames.sum())
        self.padded_frames += len(num_frames) * longest
        if result.finite:
            self.utterances += len(num_frames)
            self.loss += result.loss
        else:
            self.overflows += 1

    @property
    def mean_loss(self) -> float:
        """Of an utterance; NaN while every batch has overflowed."""
        return self.loss / self.utterances if self.utterances else float("nan")

    @property
    def padding(self) -> float:
        """Share of the computed frames that were padding."""
        return 1.0 - self.frames / self.padded_frames if self.padded_frames else 0.0
