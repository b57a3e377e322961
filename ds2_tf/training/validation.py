# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate of a network in training."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.loss import LABEL_PADDING


def transcripts(model: keras.Model, batches, alphabet: Alphabet) -> list[tuple[str, str]]:
    """Decodes labeled batches greedily.

    Args:
        model: gives logits.
        batches: dataset of `ds2_tf.training.feeding.evaluation_batches`.
        alphabet: decodes labels and outputs.

    Returns:
        Pairs of what was said and what was heard.
    """
    pairs = []
    for inputs, labels in batches.as_numpy_iterator():
        logits = model.predict_on_batch(inputs)
        # Padding is certainly blank, so that all frames may be decoded.
        hypotheses = greedy_decode(logits, np.full(len(logits), logits.shape[1]), alphabet)
        references = [alphabet.decode(row[row != LABEL_PADDING]) for row in labels]
        pairs += zip(references, hypotheses)
    return pairs


def errors_of(pairs: Iterable[tuple[str, str]]) -> tuple[ErrorCounts, ErrorCounts]:
    """Word and character errors of pairs of what was said and what was heard, all together."""
    pairs = list(pairs)
    words = total(word_errors(*pair) for pair in pairs)
    return words, total(character_errors(*pair) for pair in pairs)


def validate(model: keras.Model, batches, alphabet: Alphabet) -> tuple[ErrorCounts, ErrorCounts]:
    """Word and character errors of a whole dataset, greedily decoded.

    Args:
        model: gives logits, float [batch, frames, labels].
        batches: dataset of pairs: {"spectrogram", "num_frames"}, and labels, int32 [batch, labels],
            padded with -1; such as the `dev()` of `AudioData` and `RecordData`.
        alphabet: decodes labels and outputs.

    Returns:
        The word errors and the character errors of all utterances together, each with its `rate`.
    """
    return errors_of(transcripts(model, batches, alphabet))
