# SPDX-License-Identifier: Apache-2.0
"""What a person watching a training run wants to know."""

from __future__ import annotations

import os
import statistics
import sys
import time

from ds2_tf.training.history import EpochResult
from ds2_tf.training.left_out import LeftOut


class Progress:
    """Prints a line every so often, and one for every epoch, to standard error.

    Args:
        epochs: of the whole run.
        interval: seconds between lines within an epoch. Defaults to 15.
        quiet: print nothing. Defaults to False.
    """

    def __init__(self, epochs: int, interval: float = 15.0, quiet: bool = False):
        self._epochs = epochs
        self._interval = interval
        self._quiet = quiet
        self._epoch_seconds: list[float] = []
        self._named = False
        self._steps_before = 0
        self._steps = 0
        self._started = self._printed = time.monotonic()

    def initialized(self, initial_model: str | os.PathLike, fresh: list[str]) -> None:
        """Tells what training starts from.

        Args:
            initial_model: the model directory.
            fresh: names of the layers that start at random all the same.
        """
        but = f" but for {', '.join(fresh)}" if fresh else ""
        self._print(1, f"starts from the weights of {initial_model}{but}")

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

    def end_epoch(self, result: EpochResult, audio_rate: float, whole: bool) -> None:
        """Sums an epoch up.

        Args:
            result: of the epoch.
            audio_rate: seconds of audio trained on in a second.
            whole: whether all of it was trained in this process, so that its time means something.
        """
        left = average = overflows = left_out = ""
        if whole:
            self._epoch_seconds.append(result.seconds)
        if self._epoch_seconds and result.epoch < self._epochs:
            # Of the last few: the first traces graphs, and other work on a machine varies.
            seconds = (self._epochs - result.epoch) * statistics.median(self._epoch_seconds[-5:])
            left = f", {_duration(seconds)} left"
        if result.average_wer is not None:
            average = f" (averaged {result.average_wer:.2%}, {result.average_cer:.2%})"
        if result.overflows:
            overflows = f"{result.overflows} batches overflowed, "
        if result.left_out:
            left_out = f"{result.left_out} left out, "
        self._print(
            result.epoch,
            f"loss {result.loss:.2f}, dev WER {result.wer:.2%}, CER {result.cer:.2%}{average}, "
            f"{left_out}{overflows}padding {result.padding:.1%}, {audio_rate:.0f} audio s/s, "
            f"{_duration(result.seconds)}{left}",
        )

    def left_out(self, epoch: int, left_out: LeftOut, max_frames: int) -> None:
        """Names utterances that were not trained on, those of the first epoch that has some.

        Args:
            epoch: counted from 1.
            left_out: the utterances of it.
            max_frames: the limit.
        """
        if len(left_out) and not self._named:
            self._named = True
            for reason in left_out.reasons(max_frames):
                self._print(epoch, f"left out, {reason}")

    def _print(self, epoch: int, text: str) -> None:
        if not self._quiet:
            print(f"epoch {epoch}/{self._epochs}: {text}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
