# SPDX-License-Identifier: Apache-2.0
"""Greedy (best path) decoding."""

from __future__ import annotations

import numpy as np

from ds2_tf.text.alphabet import BLANK, Alphabet


def greedy_decode(log_probs: np.ndarray, num_frames, alphabet: Alphabet) -> list[str]:
    """The text of the most probable alignment: repeats merged, then blanks removed.

    Args:
        log_probs: float [batch, frames, labels]; logits do as well.
        num_frames: int [batch], the valid frames of each row.
        alphabet: the labels.

    Returns:
        One text a row.
    """
    best = np.argmax(log_probs, axis=-1)
    texts = []
    for row, length in zip(best, num_frames):
        row = row[:length]
        first_of_run = np.ones(len(row), bool)
        first_of_run[1:] = row[1:] != row[:-1]
        texts.append(alphabet.decode(row[first_of_run & (row != BLANK)]))
    return texts
