# SPDX-License-Identifier: Apache-2.0
"""The network's outputs: a blank, and the characters or bigrams of a language."""

from __future__ import annotations

import itertools
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence

from ds2_tf.errors import UserError

BLANK = 0
_SPACE = " "
# Labels that a message shows.
_MOST_NAMED = 3


class Alphabet:
    """An ordered set of labels; label 0 is CTC's blank.

    Labels are characters and, where a network has few output frames a second, also bigrams: words
    are then cut into pairs of characters that do not overlap, with a character left over at the end
    of a word of odd length ("the cat" is th, e, space, ca, t; Section 3.5 of the paper).

    Args:
        labels: the labels after the blank, Unicode in NFC, without repetition: single characters,
            and bigrams of these. Deep Speech 2 for English has 28: space, a to z, apostrophe.

    Raises:
        UserError: there is no label, or one is empty, longer than two characters, a line break,
            repeated, a bigram with a space, or one of characters that are no labels themselves.
    """

    def __init__(self, labels: Iterable[str]):
        labels = tuple(unicodedata.normalize("NFC", label) for label in labels)
        if not labels:
            raise UserError("An alphabet needs at least one character.")
        self._index = {label: i for i, label in enumerate(labels, start=1)}
        for label in labels:
            _check_label(label, self._index)
        if len(self._index) < len(labels):
            repeated = sorted({label for label in labels if labels.count(label) > 1})
            raise UserError(f"The alphabet lists these labels twice: {repeated}.")
        self._labels = labels
        self.characters = tuple(label for label in labels if len(label) == 1)

    @classmethod
    def english(cls) -> Alphabet:
        """Deep Speech 2's English outputs: blank, space, a to z, apostrophe (29 labels)."""
        return cls(" abcdefghijklmnopqrstuvwxyz'")

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels in output order; the blank is the empty string."""
        return ("", *self._labels)

    @property
    def size(self) -> int:
        """Number of network outputs, blank included."""
        return len(self._labels) + 1

    @property
    def has_bigrams(self) -> bool:
        """Whether there are labels of two characters."""
        return len(self.characters) < len(self._labels)

    def encode(self, text: str) -> list[int]:
        """The label indices of a text.

        From the beginning of a word on, the next two characters become a bigram if it is a label,
        and else the next character stands alone.

        Raises:
            ValueError: the text has characters outside the alphabet; the message names them.
        """
        text = unicodedata.normalize("NFC", text)
        unknown = self.unknown_characters(text)
        if unknown:
            raise ValueError(f"characters outside the alphabet: {unknown!r} in {text!r}")
        if not self.has_bigrams:
            return [self._index[character] for character in text]
        indices, position = [], 0
        while position < len(text):
            pair = text[position : position + 2]
            label = pair if pair in self._index else pair[0]
            indices.append(self._index[label])
            position += len(label)
        return indices

    def decode(self, indices: Sequence[int]) -> str:
        """The text of label indices; blanks vanish, nothing is collapsed.

        Raises:
            ValueError: an index is none of a label, such as the padding of rows of labels.
        """
        labels = self.labels
        wrong = [index for index in indices if not 0 <= index < len(labels)]
        if wrong:
            raise ValueError(
                f"the alphabet's labels are 0 to {len(labels) - 1}; got {wrong[0]}, which is none"
            )
        return "".join(labels[index] for index in indices)

    def unknown_characters(self, text: str) -> str:
        """The distinct characters of a text that the alphabet lacks, sorted."""
        return "".join(sorted(set(unicodedata.normalize("NFC", text)) - self._index.keys()))

    def to_config(self) -> str | tuple[str, ...]:
        """The labels as a recipe states them: a string, or a list where there are bigrams."""
        return self._labels if self.has_bigrams else "".join(self._labels)

    def describe(self) -> str:
        """The alphabet for messages: how many labels, the blank included, and the first of them."""
        bigrams = len(self._labels) - len(self.characters)
        first = [repr(label) for label in self._labels[:_MOST_NAMED]]
        if len(self._labels) > _MOST_NAMED:
            first.append("...")
        return (
            f"{self.size} labels"
            + (f", {bigrams} of them bigrams" if bigrams else "")
            + f": {', '.join(first)}"
        )

    def describe_mismatch(self, model: Alphabet) -> str:
        """This alphabet, that of a model, and the first label in which they differ, for messages.

        Args:
            model: an alphabet that is not equal to this one.
        """
        pairs = itertools.zip_longest(self._labels, model._labels)
        number, labels = next(
            (number, pair) for number, pair in enumerate(pairs, start=1) if pair[0] != pair[1]
        )
        mine, theirs = ("missing" if label is None else repr(label) for label in labels)
        return (
            f"an alphabet of {self.describe()}, and the model has one of {model.describe()} "
            f"(label {number} is {mine} in the former and {theirs} in the latter)"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Writes the labels as UTF-8, one a line, in output order, without the blank."""
        pathlib.Path(path).write_text("".join(label + "\n" for label in self._labels), "utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Alphabet:
        """Reads what `save` wrote.

        Raises:
            UserError: it cannot be read, or holds no alphabet.
        """
        try:
            text = pathlib.Path(path).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The alphabet {path} cannot be read: {error}.") from error
        # Not splitlines(): it would also split at characters that an alphabet may contain.
        return cls(text.removesuffix("\n").split("\n"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alphabet) and self._labels == other._labels

    def __hash__(self) -> int:
        return hash(self._labels)

    def __repr__(self) -> str:
        return f"Alphabet({self.to_config()!r})"


def _check_label(label: str, known) -> None:
    if not 1 <= len(label) <= 2:
        raise UserError(
            f"An alphabet is made of single characters and bigrams, got {label!r} "
            f"({len(label)} characters)."
        )
    if "\n" in label or "\r" in label:
        raise UserError("A line break cannot be a label of an alphabet.")
    if len(label) == 2:
        if _SPACE in label:
            raise UserError(f"The bigram {label!r} reaches beyond a word: leave out its space.")
        missing = [character for character in label if character not in known]
        if missing:
            raise UserError(
                f"The alphabet has the bigram {label!r} but not the character {missing[0]!r}, "
                "which a text may hold alone: add it."
            )
