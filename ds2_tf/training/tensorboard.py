# SPDX-License-Identifier: Apache-2.0
"""The course of a run for TensorBoard."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from ds2_tf.training.checkpoint import Place
from ds2_tf.training.history import EpochResult
from ds2_tf.training.step import StepResult

DIRECTORY_NAME = "tensorboard"
# Batches between points: a point takes about as long as a batch of a tiny network.
_INTERVAL = 10
_SAMPLES = 10
_EPOCH = "epoch/"


class TensorBoard:
    """Writes points while a run goes on: `tensorboard --logdir DIRECTORY`.

    Points named `batch/...` are placed by the number of batches so far, those named `epoch/...` by
    the epoch.

    Args:
        directory: created where it is missing.
        place: where the run begins, or goes on: points after it are removed, since they will be
            written again.
    """

    def __init__(self, directory: str | os.PathLike, place: Place):
        _forget_after(pathlib.Path(directory), place)
        self._writer = tf.summary.create_file_writer(str(directory))

    def batch(self, batches: int, utterances: int, result: StepResult, rate: float) -> None:
        """Writes a point now and then.

        Args:
            batches: number of them so far.
            utterances: in this one.
            result: of this one.
            rate: the learning rate.
        """
        if batches % _INTERVAL:
            return
        with self._writer.as_default(batches):
            tf.summary.scalar("batch/loss", result.loss / utterances)
            tf.summary.scalar("batch/gradient_norm", result.gradient_norm)
            tf.summary.scalar("batch/learning_rate", rate)

    def epoch(
        self, result: EpochResult, audio_rate: float, transcripts: list[tuple[str, str]]
    ) -> None:
        """Writes what an epoch came to.

        Args:
            result: of the epoch.
            audio_rate: seconds of audio trained on in a second.
            transcripts: pairs of what was said and what was heard; the first are written.
        """
        points = {
            "loss": result.loss,
            "dev_wer": result.wer,
            "dev_cer": result.cer,
            "dev_wer_averaged": result.average_wer,
            "dev_cer_averaged": result.average_cer,
            "learning_rate": result.learning_rate,
            "padding": result.padding,
            "audio_seconds_per_second": audio_rate,
        }
        rows = [f"| {said} | {heard} |" for said, heard in transcripts[:_SAMPLES]]
        with self._writer.as_default(result.epoch):
            for name, value in points.items():
                if value is not None:
                    tf.summary.scalar(_EPOCH + name, value)
            table = "\n".join(["| said | heard |", "|---|---|", *rows])
            tf.summary.text(_EPOCH + "dev_transcripts", table)
        self._writer.flush()

    def flush(self) -> None:
        """Sees to it that all points so far are in the file."""
        self._writer.flush()


def _forget_after(directory: pathlib.Path, place: Place) -> None:
    """Removes the points that a run has written after its last checkpoint."""
    for path in directory.glob("events.out.tfevents.*"):
        temporary = path.with_name("new-" + path.name)
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in _whole_records(path):
                event = tf.compat.v1.Event.FromString(record)
                tags = [value.tag for value in event.summary.value]
                last = place.epoch if any(t.startswith(_EPOCH) for t in tags) else place.batches
                if event.step <= last:
                    writer.write(record)
        temporary.replace(path)


def _whole_records(path: pathlib.Path) -> Iterator[bytes]:
    """The records of a file whose end may be missing."""
    try:
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    except tf.errors.DataLossError:
        return
