# SPDX-License-Identifier: Apache-2.0
"""Alphabets from text: of any language, with bigrams where they are wanted."""

from __future__ import annotations

import collections
import unicodedata
from collections.abc import Iterable

from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet


def build_alphabet(
    texts: Iterable[str],
    *,
    min_count: int = 1,
    max_characters: int | None = None,
    num_bigrams: int = 0,
    include: str = "",
) -> Alphabet:
    """The alphabet of a language, from text in the form of transcripts.

    Args:
        texts: transcripts or sentences, normalized; letters with accents are characters of their
            own (NFC).
        min_count: rarer characters and bigrams are left out. Defaults to 1.
        max_characters: most characters, the most frequent counting (the paper's Mandarin has about
            6000). Defaults to no limit.
        num_bigrams: most bigrams, as words are cut into pairs that do not overlap. Defaults to 0.
        include: characters to have in any case, such as Roman letters beside Mandarin's.

    Returns:
        The alphabet: characters sorted by code point, so that a space comes first, then bigrams
        likewise.

    Raises:
        UserError: no character is left.
    """
    words = collections.Counter()
    spaces = 0
    for text in texts:
        parts = unicodedata.normalize("NFC", text).split()
        words.update(parts)
        spaces += max(len(parts) - 1, 0)

    characters = collections.Counter({" ": spaces} if spaces else {})
    for word, count in words.items():
        for character in word:
            characters[character] += count
    required = set(unicodedata.normalize("NFC", include))
    room = None if max_characters is None else max(max_characters - len(required), 0)
    chosen = required | set(_most_frequent(characters, min_count, room, without=required))
    if not chosen:
        raise UserError(
            f"The text has no character that occurs {min_count} times: give more text, or a lower "
            "count."
        )

    bigrams = collections.Counter()
    if num_bigrams:
        for word, count in words.items():
            for start in range(0, len(word) - 1, 2):
                pair = word[start : start + 2]
                if chosen.issuperset(pair):
                    bigrams[pair] += count
    return Alphabet(sorted(chosen) + sorted(_most_frequent(bigrams, min_count, num_bigrams)))


def _most_frequent(counts, min_count, limit, without=frozenset()) -> list[str]:
    # Ties are broken by code point: the same text gives the same alphabet.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [key for key, count in ranked if count >= min_count and key not in without][:limit]
