# SPDX-License-Identifier: Apache-2.0
"""Greedy (best path) decoding of an utterance that comes in pieces."""

from __future__ import annotations

import dataclasses

import numpy as np

from ds2_tf.decoding.beam_search import Partial
from ds2_tf.decoding.forced_alignment import Word
from ds2_tf.text.alphabet import BLANK, Alphabet

_SPACE = " "


@dataclasses.dataclass(frozen=True)
class GreedyText:
    """The text of the most probable alignment.

    Attributes:
        text: words with single spaces between them.
        total: log probability (natural) of the alignment.
        words: the words with their times, in output frames.
    """

    text: str
    total: float
    words: tuple[Word, ...]


class GreedyStream:
    """Takes frames and tells the text so far; used like a `beam_search.DecodingStream`.

    What has been read never changes, but the last word may go on. The text is that of
    `greedy_decode`, white space folded. Where the alphabet has no space every label is a word.

    Args:
        alphabet: the network's labels.
    """

    def __init__(self, alphabet: Alphabet):
        self._labels = alphabet.labels
        self._separator = _SPACE if _SPACE in alphabet.characters else ""
        self._words: list[Word] = []
        self._finished_text = ""
        self._word_is_open = False
        self._previous = BLANK
        self._frame = 0
        self._total = 0.0

    def push(self, log_probs: np.ndarray) -> None:
        """Takes the next frames, float [frames, labels], natural log."""
        if not len(log_probs):
            return
        self._total += float(np.max(log_probs, axis=-1).sum())
        for label in np.argmax(log_probs, axis=-1).tolist():
            if label != BLANK and self._labels[label] == _SPACE:
                self._close_word()
            elif label != BLANK:
                self._say("" if label == self._previous else self._labels[label])
            self._previous = label
            self._frame += 1

    def partial(self) -> Partial:
        """The text so far; the word that may go on is unstable."""
        return Partial(self._finished_text, self._words[-1].text if self._word_is_open else "")

    def finish(self, num_best: int = 1) -> list[GreedyText]:
        """The text of what has come, the only one; the stream may still go on."""
        del num_best
        text = self._separator.join(word.text for word in self._words)
        return [GreedyText(text, self._total, tuple(self._words))]

    def _say(self, character: str) -> None:
        """Lets a word begin or go on; without a character the last one lasts."""
        end = self._frame + 1
        if self._word_is_open or not character:
            word = self._words[-1]
            self._words[-1] = Word(word.text + character, word.start, end)
        else:
            self._words.append(Word(character, self._frame, end))
            self._word_is_open = True
        if not self._separator and character:
            self._close_word()

    def _close_word(self) -> None:
        if self._word_is_open:
            text = self._words[-1].text
            before = self._finished_text and self._finished_text + self._separator
            self._finished_text = before + text
            self._word_is_open = False
