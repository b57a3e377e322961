# SPDX-License-Identifier: Apache-2.0
"""What a person watching a training run wants to know."""

from __future__ import annotations

import sys
import time

from ds2_tf.training.history import EpochResult


class Progress:
    """Prints a line every so often, and one for every epoch, to standard error.

    Args:
        epochs: of the whole run.
        audio_seconds: of an epoch, for the rate.
        interval: seconds between lines within an epoch. Defaults to 15.
    """

    def __init__(self, epochs: int, audio_seconds: float, interval: float = 15.0):
        self._epochs = epochs
        self._audio_seconds = audio_seconds
        self._interval = interval
        self._epoch_seconds: list[float] = []
        self._steps_before = 0
        self._steps = 0
        self._started = self._printed = time.monotonic()

    def start_epoch(self) -> None:
        """Starts the clock of an epoch."""
        self._steps_before, self._steps = self._steps, 0
        self._started = self._printed = time.monotonic()

    def end_step(self, epoch: int, loss: float) -> None:
        """Counts a step.

        Args:
            epoch: counted from 1.
            loss: mean of the epoch so far.
        """
        self._steps += 1
        now = time.monotonic()
        if now - self._printed < self._interval:
            return
        self._printed = now
        of_steps = f" of about {self._steps_before}" if self._steps_before else ""
        rate = self._steps / (now - self._started)
        self._print(epoch, f"step {self._steps}{of_steps}, loss {loss:.2f}, {rate:.1f} steps/s")

    def end_epoch(self, result: EpochResult, whole: bool) -> None:
        """Sums an epoch up.

        Args:
            result: of the epoch.
            whole: whether all of it was trained in this process, so that its rate means something.
        """
        rate = left = ""
        if whole:
            self._epoch_seconds.append(result.seconds)
            rate = f"{self._audio_seconds / result.seconds:.0f} audio s/s, "
        if self._epoch_seconds and result.epoch < self._epochs:
            # The first epoch traces the graphs: the shortest tells best what is to come.
            seconds = (self._epochs - result.epoch) * min(self._epoch_seconds)
            left = f", {_duration(seconds)} left"
        self._print(
            result.epoch,
            f"loss {result.loss:.2f}, dev WER {result.wer:.2%}, CER {result.cer:.2%}, "
            f"{rate}{_duration(result.seconds)}{left}",
        )

    def _print(self, epoch: int, text: str) -> None:
        print(f"epoch {epoch}/{self._epochs}: {text}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
