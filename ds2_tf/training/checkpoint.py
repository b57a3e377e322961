# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from which a run that was killed goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from ds2_tf.errors import UserError
from ds2_tf.training.totals import EpochTotals

STATE_NAME = "state.npz"


class Place(NamedTuple):
    """Where a run stands: the epoch, from 0, the batches of it that are done, and of all epochs."""

    epoch: int = 0
    step: int = 0
    batches: int = 0


class Checkpoint:
    """The whole state of a training run in one file.

    That is every variable that training changes, the place in the data, and what the epoch has come
    to so far. A new state replaces the one before in one rename, so that there is always a whole
    one.

    Args:
        directory: where the state lies.
        fingerprint: identifies configuration and data; a state of another is refused.
        variables: of network, running averages and random generators included, and optimizer.
    """

    def __init__(
        self, directory: str | os.PathLike, fingerprint: str, variables: Sequence[keras.Variable]
    ):
        self._path = pathlib.Path(directory) / STATE_NAME
        self._fingerprint = fingerprint
        self._variables = variables
        self._saved_at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last state was saved, or since the run began."""
        return time.monotonic() - self._saved_at

    def save(self, place: Place, totals: EpochTotals) -> None:
        """Writes the state.

        Args:
            place: where to go on.
            totals: of the epoch up to there.
        """
        values = [keras.ops.convert_to_numpy(variable) for variable in self._variables]
        header = {
            "fingerprint": self._fingerprint,
            "place": place,
            "totals": dataclasses.asdict(totals),
            "values": len(values),
        }
        arrays = {f"value_{i}": value for i, value in enumerate(values)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".new.npz")
        np.savez(temporary, header=json.dumps(header), **arrays)
        temporary.replace(self._path)
        self._saved_at = time.monotonic()

    def restore(self) -> tuple[Place, EpochTotals]:
        """Takes up the saved state, where there is one.

        Returns:
            Where to go on, and what the epoch has come to: the beginning, without a state.

        Raises:
            UserError: the state belongs to another configuration or corpus.
        """
        if not self._path.exists():
            return Place(), EpochTotals()
        with np.load(self._path) as saved:
            header = json.loads(saved["header"].item())
            if header["fingerprint"] != self._fingerprint:
                raise UserError(
                    f"{self._path} is the state of a run with another configuration or corpus "
                    f"({header['fingerprint']}, this one is {self._fingerprint}). "
                    "Remove the directory to start anew, or choose another."
                )
            values = [saved[f"value_{i}"] for i in range(header["values"])]
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        return Place(*header["place"]), EpochTotals(**header["totals"])
