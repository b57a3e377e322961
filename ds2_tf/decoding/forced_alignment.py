# SPDX-License-Identifier: Apache-2.0
"""When the words of a known text are said: forced alignment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ds2_tf.decoding.native_library import native_library
from ds2_tf.text.alphabet import Alphabet

_NO_SPACE = -1


@dataclasses.dataclass(frozen=True)
class Word:
    """A word and when it is said in the best alignment, in output frames of the network.

    Networks trained with CTC say a label in a frame or two of the time that it takes to speak, so
    a word begins somewhat before `start` and may go on after `end`.

    Attributes:
        text: the word.
        start: its first frame.
        end: the frame after its last.
    """

    text: str
    start: int
    end: int


def align_words(log_probs: np.ndarray, transcript: str, alphabet: Alphabet) -> tuple[Word, ...]:
    """Finds the words of a transcript in what the network heard.

    Of all alignments that read as the transcript under CTC the most probable is taken.

    Args:
        log_probs: float [frames, labels], natural log, without padding.
        transcript: what is said; white space is folded.
        alphabet: of the network. Without a space in it, every label is a word.

    Raises:
        ValueError: the transcript has characters outside the alphabet, or more labels than the
            frames can hold.
    """
    labels = alphabet.encode(" ".join(transcript.split()))
    log_probs = np.ascontiguousarray(log_probs, np.float32)
    array = np.array(labels, np.int32)
    spans = np.empty((len(labels), 2), np.int64)
    native_library().ds2_align(
        log_probs.ctypes.data,
        *log_probs.shape,
        space_label(alphabet),
        array.ctypes.data,
        len(labels),
        spans.ctypes.data,
    )
    if (spans < 0).any():
        raise ValueError(f"{len(log_probs)} frames cannot hold the {len(labels)} labels of a text")
    return words_of(labels, spans, alphabet)


def space_label(alphabet: Alphabet) -> int:
    """The label that parts words, or -1 where the alphabet has none."""
    return alphabet.encode(" ")[0] if " " in alphabet.characters else _NO_SPACE


def words_of(labels: Sequence[int], spans: np.ndarray, alphabet: Alphabet) -> tuple[Word, ...]:
    """Groups aligned labels into words.

    Args:
        labels: of a text.
        spans: int [labels, 2], the first frame of each and the one after its last.
        alphabet: what the labels stand for.
    """
    space = space_label(alphabet)
    if space == _NO_SPACE:
        # Every label is a word of its own.
        parts = zip(range(len(labels)), range(1, len(labels) + 1))
    else:
        cuts = [index for index, label in enumerate(labels) if label == space]
        parts = zip([0, *(cut + 1 for cut in cuts)], [*cuts, len(labels)])
    first, end = spans[:, 0].tolist(), spans[:, 1].tolist()
    return tuple(
        Word(alphabet.decode(labels[start:stop]), first[start], end[stop - 1])
        for start, stop in parts
        if start < stop
    )
