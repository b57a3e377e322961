# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import pathlib
import time

import keras
import numpy as np

from ds2_tf.errors import UserError
from ds2_tf.training.feeding import Position

STATE_NAME = "state.npz"


class Resume(keras.callbacks.Callback):
    """Saves all state of a training run every so often, and takes it up again.

    The state is that of the network, its optimizer, its metrics and its random generators, with the
    epoch and the step in it. It replaces the one before in one rename, so that there is always a
    whole one. Must be the last of the callbacks: what the others do at the end of an epoch is done
    once the state says that it is.

    Args:
        directory: where the state lies.
        fingerprint: identifies configuration and data; a state of another is refused.
        position: of the training dataset; set at the beginning of each epoch.
        seconds: least pause between two checkpoints within an epoch.
    """

    def __init__(
        self, directory: str | os.PathLike, fingerprint: str, position: Position, seconds: float
    ):
        super().__init__()
        self._path = pathlib.Path(directory) / STATE_NAME
        self._fingerprint = fingerprint
        self._position = position
        self._seconds = seconds
        self._epoch = 0
        self._step = 0
        self._metrics: list[np.ndarray] | None = None
        self._saved_at = time.monotonic()

    def restore(self, model: keras.Model) -> int:
        """Takes up the saved state, where there is one.

        Args:
            model: built and compiled.

        Returns:
            The epoch to go on with, 0 without a state.

        Raises:
            UserError: the state belongs to another configuration or corpus.
        """
        if not self._path.exists():
            return 0
        with np.load(self._path) as saved:
            header = json.loads(saved["header"].item())
            if header["fingerprint"] != self._fingerprint:
                raise UserError(
                    f"{self._path} is the state of a run with another configuration or corpus "
                    f"({header['fingerprint']}, this one is {self._fingerprint}). "
                    "Remove the directory to start anew, or choose another."
                )
            values = [saved[f"value_{i}"] for i in range(header["values"])]
            self._metrics = [saved[f"metric_{i}"] for i in range(header["metrics"])]
        for variable, value in zip(_variables(model), values, strict=True):
            variable.assign(value)
        self._epoch, self._step = header["epoch"], header["step"]
        return self._epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch != self._epoch:
            self._epoch, self._step = epoch, 0
        self._position.epoch.assign(epoch)
        self._position.step.assign(self._step)
        if self._metrics is not None:
            if self._step:
                for variable, value in zip(
                    _metric_variables(self.model), self._metrics, strict=True
                ):
                    variable.assign(value)
            self._metrics = None

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if time.monotonic() - self._saved_at >= self._seconds:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        self._epoch, self._step = epoch + 1, 0
        self._save()

    def _save(self):
        values = [keras.ops.convert_to_numpy(v) for v in _variables(self.model)]
        metrics = [keras.ops.convert_to_numpy(v) for v in _metric_variables(self.model)]
        header = {
            "fingerprint": self._fingerprint,
            "epoch": self._epoch,
            "step": self._step,
            "values": len(values),
            "metrics": len(metrics),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp.npz")
        arrays = {f"value_{i}": value for i, value in enumerate(values)}
        arrays |= {f"metric_{i}": value for i, value in enumerate(metrics)}
        np.savez(temporary, header=json.dumps(header), **arrays)
        temporary.replace(self._path)
        self._saved_at = time.monotonic()


def _variables(model: keras.Model) -> list[keras.Variable]:
    """Weights, running averages, states of random generators, and the optimizer's."""
    return [*model.variables, *model.optimizer.variables]


def _metric_variables(model: keras.Model) -> list[keras.Variable]:
    return [variable for metric in model.metrics for variable in metric.variables]
