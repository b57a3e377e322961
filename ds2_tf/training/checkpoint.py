# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import pathlib
import time
from typing import NamedTuple

import keras
import numpy as np

from ds2_tf.errors import UserError

STATE_NAME = "state.npz"


class Place(NamedTuple):
    """Where a run stands: the epoch, from 0, and the steps of it that are done."""

    epoch: int = 0
    step: int = 0


class Checkpoint:
    """The whole state of a training run in one file.

    That is the network with its running averages and random generators, its optimizer, its metrics,
    and the place in the data. A new state replaces the one before in one rename, so that there is
    always a whole one.

    Args:
        directory: where the state lies.
        fingerprint: identifies configuration and data; a state of another is refused.
    """

    def __init__(self, directory: str | os.PathLike, fingerprint: str):
        self._path = pathlib.Path(directory) / STATE_NAME
        self._fingerprint = fingerprint
        self._saved_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last state was saved, or since the run began."""
        return time.monotonic() - self._saved_at

    def save(self, model: keras.Model, place: Place) -> None:
        """Writes the state.

        Args:
            model: built and compiled.
            place: where to go on.
        """
        values = [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]
        header = {"fingerprint": self._fingerprint, "place": place, "values": len(values)}
        arrays = {f"value_{i}": value for i, value in enumerate(values)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new.npz")
        np.savez(temporary, header=json.dumps(header), **arrays)
        temporary.replace(self._path)
        self._saved_at = time.monotonic()

    def restore(self, model: keras.Model) -> Place:
        """Takes up the saved state, where there is one.

        Args:
            model: built and compiled.

        Returns:
            Where to go on: the beginning, without a state.

        Raises:
            UserError: the state belongs to another configuration or corpus.
        """
        if not self._path.exists():
            return Place()
        with np.load(self._path) as saved:
            header = json.loads(saved["header"].item())
            if header["fingerprint"] != self._fingerprint:
                raise UserError(
                    f"{self._path} is the state of a run with another configuration or corpus "
                    f"({header['fingerprint']}, this one is {self._fingerprint}). "
                    "Remove the directory to start anew, or choose another."
                )
            values = [saved[f"value_{i}"] for i in range(header["values"])]
        for variable, value in zip(_variables(model), values, strict=True):
            variable.assign(value)
        return Place(*header["place"])


def _variables(model: keras.Model) -> list[keras.Variable]:
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    return [*model.variables, *model.optimizer.variables, *metrics]
