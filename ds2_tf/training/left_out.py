# SPDX-License-Identifier: Apache-2.0
"""The utterances that are too long to be trained on."""

from __future__ import annotations

_NAMED = 5


class LeftOut:
    """Keeps long utterances out of a dataset, and takes down which they were.

    Attributes:
        ids: of the utterances that were left out so far, in the order of the dataset.
    """

    def __init__(self):
        self.ids: list[str] = []

    def filter(self, utterances, max_frames: int):
        """The utterances of no more than `max_frames` frames.

        Args:
            utterances: dataset of ({"num_frames": int32, ...}, labels, id), one utterance each.
            max_frames: most frames.
        """
        import tensorflow as tf

        def leave_out(id):
            self.ids.append(id.decode("utf-8"))
            return False

        def short_enough(inputs, labels, id):
            return tf.cond(
                inputs["num_frames"] <= max_frames,
                lambda: True,
                # In Python, but for the long ones only.
                lambda: tf.ensure_shape(tf.numpy_function(leave_out, [id], tf.bool), []),
            )

        return utterances.filter(short_enough)

    def summary(self) -> str:
        """How many they were and the first of their ids, for a terminal."""
        more = ", ..." if len(self.ids) > _NAMED else ""
        return f"{len(self.ids)} ({', '.join(self.ids[:_NAMED])}{more})"
