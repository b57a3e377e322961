# SPDX-License-Identifier: Apache-2.0
"""KenLM's binary n-gram models, read in place; scores are natural logarithms."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import weakref
from collections.abc import Sequence

import numpy as np

from ds2_tf.decoding.native_library import native_library
from ds2_tf.errors import UserError

# What a character model has for a space, which could not stand in its text.
SPACE_TOKEN = "<space>"
_SPECIAL_WORDS = ("<unk>", "<s>", "</s>")


class NgramModel:
    """An n-gram model in the binary format of KenLM, of the type "probing".

    Args:
        path: a file that holds one.
        offset: where in the file it starts. Defaults to 0.
        size: its bytes. Defaults to the rest of the file.

    Raises:
        UserError: there is no file, or it holds something else, or is cut short.
    """

    def __init__(self, path: str | os.PathLike, offset: int = 0, size: int | None = None):
        try:
            with open(path, "rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise UserError(
                f"The language model {path} cannot be read: {error.strerror}."
            ) from error
        except ValueError as error:
            raise UserError(f"The language model {path} is empty.") from error
        self.path = os.fspath(path)
        self._bytes = np.frombuffer(mapped, np.uint8)[offset:][:size]
        library = native_library()
        message = ctypes.create_string_buffer(512)
        self.handle = library.ds2_model_open(
            self._bytes.ctypes.data, self._bytes.size, message, len(message)
        )
        if not self.handle:
            raise UserError(f"The language model {path} {message.value.decode('utf-8')}.")
        weakref.finalize(self, library.ds2_model_close, self.handle)

    @property
    def data(self) -> memoryview:
        """The model's bytes."""
        return self._bytes.data

    @property
    def order(self) -> int:
        """The longest n-gram's length."""
        return native_library().ds2_model_order(self.handle)

    @property
    def counts(self) -> list[int]:
        """The number of n-grams of each length, from 1."""
        return [
            native_library().ds2_model_count(self.handle, order + 1) for order in range(self.order)
        ]

    @functools.cached_property
    def words(self) -> list[str]:
        """The vocabulary in order of id, without <unk>, <s> and </s>."""
        size = ctypes.c_uint64()
        address = native_library().ds2_model_words(self.handle, ctypes.byref(size))
        words = ctypes.string_at(address, size.value).decode("utf-8", "replace").split("\0")
        return [word for word in words[:-1] if word not in _SPECIAL_WORDS]

    @functools.cached_property
    def is_of_characters(self) -> bool:
        """Whether its words are single characters."""
        return all(len(word) == 1 or word == SPACE_TOKEN for word in self.words)

    def score(self, words: Sequence[str]) -> float:
        """ln p of a sentence, its end included.

        Args:
            words: the sentence's words; for a character model, see `tokens`.
        """
        return self.score_with_unknown(words)[0]

    def score_with_unknown(self, words: Sequence[str]) -> tuple[float, int, float]:
        """ln p of a sentence, the number of its unknown words, and their part of ln p."""
        unknown, unknown_score = ctypes.c_int32(), ctypes.c_double()
        data = "".join(word + "\n" for word in words).encode("utf-8")
        score = native_library().ds2_model_score(
            self.handle, data, len(data), ctypes.byref(unknown), ctypes.byref(unknown_score)
        )
        return score, unknown.value, unknown_score.value

    def tokens(self, text: str) -> list[str]:
        """The words of a text as this model knows them: words, or characters."""
        return character_tokens(text) if self.is_of_characters else text.split()


def character_tokens(text: str) -> list[str]:
    """The characters of a text, white space folded and spelled out."""
    return [SPACE_TOKEN if character == " " else character for character in " ".join(text.split())]
