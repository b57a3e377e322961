# SPDX-License-Identifier: Apache-2.0
"""What a person watching a training run wants to know."""

from __future__ import annotations

import sys
import time

import keras


class Progress(keras.callbacks.Callback):
    """Prints a line every so often, and one for every epoch, to standard error.

    Args:
        epochs: of the whole run.
        audio_seconds: of an epoch, for the rate.
        interval: seconds between lines within an epoch. Defaults to 15.
    """

    def __init__(self, epochs: int, audio_seconds: float, interval: float = 15.0):
        super().__init__()
        self._epochs = epochs
        self._audio_seconds = audio_seconds
        self._interval = interval
        self._epoch_seconds: list[float] = []
        self._steps = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._steps_before = self._steps
        self._steps = 0
        self._started = self._printed = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._steps += 1
        now = time.monotonic()
        if now - self._printed < self._interval:
            return
        self._printed = now
        of_steps = f"/{self._steps_before}" if self._steps_before else ""
        rate = self._steps / (now - self._started)
        self._print(
            f"step {self._steps}{of_steps}, loss {logs['loss']:.2f}, {rate:.1f} steps/s"
        )

    def on_epoch_end(self, epoch, logs=None):
        self._epoch_seconds.append(time.monotonic() - self._started)
        left = self._epochs - epoch - 1
        # The first epoch traces the graphs: the shortest tells best what is to come.
        eta = f", {_duration(left * min(self._epoch_seconds))} left" if left else ""
        self._print(
            f"loss {logs['loss']:.2f}, dev WER {logs['val_wer']:.2%}, CER {logs['val_cer']:.2%}, "
            f"{self._audio_seconds / self._epoch_seconds[-1]:.0f} audio s/s, "
            f"{_duration(self._epoch_seconds[-1])}{eta}"
        )

    def _print(self, text: str):
        print(f"epoch {self._epoch + 1}/{self._epochs}: {text}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
