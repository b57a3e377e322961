# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate of a network during training."""

from __future__ import annotations

import json
import math
import os
import pathlib

import keras
import numpy as np

from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.metrics.error_rate import character_errors, total, word_errors
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.loss import LABEL_PADDING

BEST_WEIGHTS_NAME = "best.weights.h5"
HISTORY_NAME = "history.jsonl"


def greedy_pairs(model: keras.Model, batches, alphabet: Alphabet) -> list[tuple[str, str]]:
    """References and greedy hypotheses of a dataset of labeled batches."""
    pairs = []
    for inputs, labels in batches.as_numpy_iterator():
        logits = model.predict_on_batch(inputs)
        # Padding is certainly blank, so that all frames may be decoded.
        hypotheses = greedy_decode(logits, np.full(len(logits), logits.shape[1]), alphabet)
        references = [alphabet.decode(row[row != LABEL_PADDING]) for row in labels]
        pairs += zip(references, hypotheses)
    return pairs


class Validation(keras.callbacks.Callback):
    """Adds `val_wer` and `val_cer`, greedy, to the logs of an epoch, and keeps the best weights.

    Writes a line of history for every epoch. Taken up again after a kill, it repeats no line.

    Args:
        batches: dataset of the dev split.
        alphabet: decodes labels and outputs.
        directory: where history and best weights lie.
    """

    def __init__(self, batches, alphabet: Alphabet, directory: str | os.PathLike):
        super().__init__()
        self._batches = batches
        self._alphabet = alphabet
        self._directory = pathlib.Path(directory)
        self._history: list[dict] = []

    @property
    def history(self) -> list[dict]:
        """The logs of every epoch so far."""
        return self._history

    @property
    def best(self) -> dict:
        """The logs of the epoch with the lowest word error rate, the earliest of equal ones."""
        return min(self._history, key=lambda logs: (logs["val_wer"], logs["val_cer"]))

    @property
    def best_weights(self) -> pathlib.Path:
        """The file of the best epoch's weights."""
        return self._directory / BEST_WEIGHTS_NAME

    def restore(self, epochs: int) -> None:
        """Takes up the history of the first `epochs` epochs."""
        path = self._directory / HISTORY_NAME
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self._history = [json.loads(line) for line in lines][:epochs]

    def on_epoch_end(self, epoch, logs=None):
        pairs = greedy_pairs(self.model, self._batches, self._alphabet)
        logs["val_wer"] = total(word_errors(*pair) for pair in pairs).rate
        logs["val_cer"] = total(character_errors(*pair) for pair in pairs).rate
        entry = {"epoch": epoch, **{name: float(value) for name, value in logs.items()}}
        self._history = [*self._history[:epoch], entry]
        self._directory.mkdir(parents=True, exist_ok=True)
        if self.best is entry:
            temporary = self.best_weights.with_name("new-" + BEST_WEIGHTS_NAME)
            self.model.save_weights(temporary, overwrite=True)
            temporary.replace(self.best_weights)
        (self._directory / HISTORY_NAME).write_text(
            "".join(json.dumps(line) + "\n" for line in self._history), "utf-8"
        )


class StopOnDivergence(keras.callbacks.Callback):
    """Ends training with an error once the loss is no number."""

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(
                f"The loss is {logs['loss']} at step {batch} of epoch {self._epoch + 1}. "
                "Lower training.learning_rate, or find the utterance: `ds2 corpus check`."
            )
