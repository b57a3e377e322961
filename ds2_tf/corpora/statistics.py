# SPDX-License-Identifier: Apache-2.0
"""Mean and standard deviation of the features, per frequency bin."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class SpectrogramStatistics:
    """What the training split looks like, frequency bin by frequency bin.

    Attributes:
        mean: float64 [bins], of the log power.
        standard_deviation: float64 [bins].
        num_frames: frames counted.
        num_utterances: utterances counted.
    """

    mean: np.ndarray
    standard_deviation: np.ndarray
    num_frames: int
    num_utterances: int

    def save(self, path: str | os.PathLike) -> None:
        """Writes the statistics as JSON."""
        content = {
            "mean": self.mean.tolist(),
            "standard_deviation": self.standard_deviation.tolist(),
            "num_frames": self.num_frames,
            "num_utterances": self.num_utterances,
        }
        pathlib.Path(path).write_text(json.dumps(content, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> SpectrogramStatistics:
        """Reads what `save` wrote."""
        content = json.loads(pathlib.Path(path).read_text("utf-8"))
        return cls(
            np.asarray(content["mean"]),
            np.asarray(content["standard_deviation"]),
            content["num_frames"],
            content["num_utterances"],
        )


def compute_statistics(spectrograms: Iterable[np.ndarray]) -> SpectrogramStatistics:
    """Goes once through the features of a training split, in float64.

    Args:
        spectrograms: float [frames, bins] each.

    Raises:
        UserError: there is no frame.
    """
    total: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0
    num_frames = num_utterances = 0
    for spectrogram in spectrograms:
        spectrogram = spectrogram.astype(np.float64)
        total = total + spectrogram.sum(axis=0)
        squares = squares + np.square(spectrogram).sum(axis=0)
        num_frames += len(spectrogram)
        num_utterances += 1
    if not num_frames:
        raise UserError(f"There is no frame in {num_utterances} utterances to learn from.")
    mean = total / num_frames
    variance = np.maximum(squares / num_frames - np.square(mean), 0.0)
    return SpectrogramStatistics(mean, np.sqrt(variance), num_frames, num_utterances)


def compute_record_statistics(
    record_files: Sequence[str], features: SpectrogramConfig = SpectrogramConfig()
) -> SpectrogramStatistics:
    """The statistics of record files (`ds2_tf.corpora.records`).

    Args:
        record_files: gzipped where so named.
        features: the feature definition.

    Raises:
        UserError: the files hold no frame.
    """
    from ds2_tf.corpora.records import read_records

    records = read_records(record_files, features.num_bins).as_numpy_iterator()
    return compute_statistics(record["spectrogram"] for record in records)
