# SPDX-License-Identifier: Apache-2.0
"""The network's outputs: a blank and the characters of a language."""

from __future__ import annotations

import os
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence

from ds2_tf.errors import UserError

BLANK = 0


class Alphabet:
    """An ordered set of labels; label 0 is CTC's blank.

    Args:
        characters: the labels after the blank, one Unicode character each (NFC), without
            repetition. Deep Speech 2 for English has 28: space, a to z, apostrophe.

    Raises:
        UserError: there is no label, or one is not a single character, a line break, or repeated.
    """

    def __init__(self, characters: Iterable[str]):
        characters = tuple(unicodedata.normalize("NFC", character) for character in characters)
        if not characters:
            raise UserError("An alphabet needs at least one character.")
        for character in characters:
            if character in ("\n", "\r"):
                raise UserError("A line break cannot be a character of an alphabet.")
            if len(character) != 1:
                raise UserError(
                    f"An alphabet is made of single characters, got {character!r} "
                    f"({len(character)} characters)."
                )
        repeated = sorted({c for c in characters if characters.count(c) > 1})
        if repeated:
            raise UserError(f"The alphabet lists these characters twice: {repeated}.")
        self.characters = characters
        self._index = {character: i for i, character in enumerate(characters, start=1)}

    @classmethod
    def english(cls) -> Alphabet:
        """Deep Speech 2's English outputs: blank, space, a to z, apostrophe (29 labels)."""
        return cls(" abcdefghijklmnopqrstuvwxyz'")

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels in output order; the blank is the empty string."""
        return ("", *self.characters)

    @property
    def size(self) -> int:
        """Number of network outputs, blank included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> list[int]:
        """The label indices of a text.

        Raises:
            ValueError: the text has characters outside the alphabet; the message names them.
        """
        text = unicodedata.normalize("NFC", text)
        unknown = self.unknown_characters(text)
        if unknown:
            raise ValueError(f"characters outside the alphabet: {unknown!r} in {text!r}")
        return [self._index[character] for character in text]

    def decode(self, indices: Sequence[int]) -> str:
        """The text of label indices; blanks vanish, nothing is collapsed."""
        labels = self.labels
        return "".join(labels[index] for index in indices)

    def unknown_characters(self, text: str) -> str:
        """The distinct characters of a text that the alphabet lacks, sorted."""
        return "".join(sorted(set(unicodedata.normalize("NFC", text)) - self._index.keys()))

    def save(self, path: str | os.PathLike) -> None:
        """Writes the characters as UTF-8, one a line, in output order, without the blank."""
        pathlib.Path(path).write_text("".join(c + "\n" for c in self.characters), "utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Alphabet:
        """Reads what `save` wrote."""
        # Not splitlines(): it would also split at characters that an alphabet may contain.
        return cls(pathlib.Path(path).read_text("utf-8").removesuffix("\n").split("\n"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alphabet) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"Alphabet({''.join(self.characters)!r})"
