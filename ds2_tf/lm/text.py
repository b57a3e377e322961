# SPDX-License-Identifier: Apache-2.0
"""Sentences for language models, in the characters of a network's alphabet."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator

from ds2_tf.corpora.manifest import EmptyManifest, read_manifest
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.text.normalization import normalization


def is_manifest(path: str | os.PathLike) -> bool:
    """Whether a path names a manifest (.jsonl), and not a text."""
    return os.fspath(path).endswith(".jsonl")


def read_sentences(path: str | os.PathLike, split: str | None = None) -> Iterator[str]:
    """Yields the lines of a text, or the transcripts of a manifest.

    Args:
        path: UTF-8 text with a sentence a line, which may be compressed (.gz), or a manifest
            (.jsonl).
        split: only this split of a manifest. Defaults to all.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or is a manifest without a line.
    """
    name = os.fspath(path)
    if is_manifest(name):
        utterance = None
        for utterance in read_manifest(path):
            if split is None or utterance.split == split:
                yield utterance.transcript
        if utterance is None:
            raise EmptyManifest(path)
        return
    if split is not None:
        raise UserError(f"{name} is not a manifest (.jsonl), and so has no split {split!r}.")
    try:
        with (gzip.open if name.endswith(".gz") else open)(name, "rt", encoding="utf-8") as file:
            yield from file
    except (OSError, EOFError) as error:
        raise UserError(f"The text {name} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"The text {name} is not UTF-8: {error}.") from error


def text_normalization(alphabet: Alphabet, language: str | None = None) -> Callable[[str], str]:
    """What brings written text into the form of transcripts.

    Args:
        alphabet: the network's labels; without a space among them, words are joined.
        language: see `ds2_tf.text.normalization.normalization`. Defaults to "en" for the English
            alphabet and to "none" for others.

    Raises:
        UserError: there is no rule for the language.
    """
    if language is None:
        language = "en" if alphabet == Alphabet.english() else "none"
    normalize = normalization(language)
    if " " in alphabet.characters:
        return normalize
    return lambda text: normalize(text).replace(" ", "")
