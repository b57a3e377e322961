# SPDX-License-Identifier: Apache-2.0
"""The utterances of an epoch that are not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_NAMED = 5


class LeftOut:
    """Keeps utterances out of a dataset, and takes down which they were.

    Attributes:
        too_long: ids of those with more than so many frames, in the order of the dataset.
        too_short: ids of those whose transcripts have no alignment under CTC, so that their loss
            would be infinite.
    """

    def __init__(self):
        self.too_long: list[str] = []
        self.too_short: list[str] = []

    def __len__(self) -> int:
        return len(self.too_long) + len(self.too_short)

    def without_long(self, utterances, max_frames: int):
        """The utterances of no more than `max_frames` frames.

        Args:
            utterances: dataset of ({"num_frames": int32, ...}, labels, id), one utterance each.
            max_frames: most frames.
        """
        return _filtered(
            utterances, lambda inputs, labels: inputs["num_frames"] <= max_frames, self.too_long
        )

    def without_short(self, utterances, output_frames: Callable):
        """The utterances with a frame for each label, and one more between two that are the same.

        Args:
            utterances: as for `without_long`; labels are int32 [labels].
            output_frames: the network's frames for a number of spectrogram frames.
        """
        import tensorflow as tf

        def long_enough(inputs, labels):
            repeats = tf.math.count_nonzero(labels[1:] == labels[:-1], dtype=tf.int32)
            return output_frames(inputs["num_frames"]) >= tf.size(labels) + repeats

        return _filtered(utterances, long_enough, self.too_short)

    def reasons(self, max_frames: int) -> list[str]:
        """What kept utterances out, how many and the first of their ids, for a terminal.

        Args:
            max_frames: the limit.
        """
        found = {
            f"longer than training.max_frames ({max_frames})": self.too_long,
            "too short for their transcripts, as recordings are sped up "
            "(training.augmentation.audio.speed)": self.too_short,
        }
        return [f"{reason}: {_summary(ids)}" for reason, ids in found.items() if ids]


def _filtered(utterances, keep: Callable, ids: list[str]):
    import tensorflow as tf

    def take_down(id):
        ids.append(id.decode("utf-8"))
        return False

    def kept(inputs, labels, id):
        return tf.cond(
            keep(inputs, labels),
            lambda: True,
            # In Python, but for those left out only.
            lambda: tf.ensure_shape(tf.numpy_function(take_down, [id], tf.bool), []),
        )

    return utterances.filter(kept)


def _summary(ids: Sequence[str]) -> str:
    more = ", ..." if len(ids) > _NAMED else ""
    return f"{len(ids)} ({', '.join(ids[:_NAMED])}{more})"
