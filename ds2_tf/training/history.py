# SPDX-License-Identifier: Apache-2.0
"""What every epoch came to, and the weights of the best one."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib

import keras

from ds2_tf.errors import UserError

BEST_WEIGHTS_NAME = "best.weights.h5"
HISTORY_NAME = "history.jsonl"


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """One epoch.

    Attributes:
        epoch: counted from 1.
        loss: mean CTC loss of an utterance of the training split, natural logarithm.
        wer: greedy word error rate on the dev split.
        cer: character error rate, likewise.
        learning_rate: at the end of the epoch.
        seconds: time that training took in this process.
        padding: share of the frames computed that were padding.
        left_out: utterances that were too long or too short (`ds2_tf.training.left_out`).
        overflows: batches without effect, since they overflowed in float16.
        average_wer: word error rate of the moving average of the weights, where there is one.
        average_cer: character error rate, likewise.
    """

    epoch: int
    loss: float
    wer: float
    cer: float
    learning_rate: float
    seconds: float
    padding: float = 0.0
    left_out: int = 0
    overflows: int = 0
    average_wer: float | None = None
    average_cer: float | None = None

    @property
    def averaged(self) -> bool:
        """Whether the moving average is better than the weights themselves."""
        return self.average_wer is not None and (
            (self.average_wer, self.average_cer) < (self.wer, self.cer)
        )

    @property
    def kept_wer(self) -> float:
        """Word error rate of the better of both."""
        return self.average_wer if self.averaged else self.wer

    @property
    def kept_cer(self) -> float:
        """Character error rate of the better of both."""
        return self.average_cer if self.averaged else self.cer


class History:
    """The epochs so far, in a file, with the weights of the best.

    Args:
        directory: holds both files.
        epochs: how many epochs of an interrupted run to take up; what was written of later ones
            is forgotten, since they will be trained again.
        writes: whether to write anything. Defaults to True.
        keep_last: the last epoch counts as the best. Defaults to False.

    Raises:
        UserError: fewer epochs were written.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        epochs: int,
        writes: bool = True,
        keep_last: bool = False,
    ):
        self._directory = pathlib.Path(directory)
        self._writes = writes
        self._keep_last = keep_last
        self._path = self._directory / HISTORY_NAME
        lines = self._path.read_text("utf-8").splitlines() if self._path.exists() else []
        if len(lines) < epochs:
            raise UserError(
                f"{self._path} should tell of {epochs} epochs and tells of {len(lines)}: the "
                "state of this run is damaged. Remove the directory to start anew."
            )
        self.epochs = [EpochResult(**json.loads(line)) for line in lines[:epochs]]

    @property
    def best(self) -> EpochResult:
        """The epoch whose weights are kept.

        The one with the lowest word error rate, of equal ones the lowest in characters; with
        `keep_last` the last.
        """
        if self._keep_last:
            return self.epochs[-1]
        return min(self.epochs, key=lambda result: (result.kept_wer, result.kept_cer))

    def stopped(self, patience: int) -> bool:
        """Whether `patience` epochs have passed since the best; never, if it is 0."""
        since = len(self.epochs) - self.best.epoch if self.epochs else 0
        return 0 < patience <= since

    @property
    def best_weights(self) -> pathlib.Path:
        """The weights of the best epoch."""
        return self._directory / BEST_WEIGHTS_NAME

    def add(self, result: EpochResult, model: keras.Model) -> None:
        """Adds an epoch, and keeps the model's weights if it is the best."""
        self.epochs.append(result)
        if not self._writes:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        if self.best is result:
            temporary = self.best_weights.with_name("new-" + BEST_WEIGHTS_NAME)
            model.save_weights(temporary, overwrite=True)
            temporary.replace(self.best_weights)
        new = self._path.with_name("new-" + HISTORY_NAME)
        new.write_text(self.text(), "utf-8")
        new.replace(self._path)

    def text(self) -> str:
        """The epochs as JSON lines."""
        return "".join(json.dumps(dataclasses.asdict(result)) + "\n" for result in self.epochs)
