# SPDX-License-Identifier: Apache-2.0
"""Turning written text into what a speaker says, in the characters of an alphabet."""

from __future__ import annotations

import re
import unicodedata

_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'"})
_NOT_A_LETTER = re.compile(r"[^\w']|_")


def normalize_english(text: str) -> str:
    """Lower case, NFC, digits spelled out, punctuation removed, white space folded.

    Letters with accents are kept as they are: whether the alphabet has them is for the check of
    the corpus to say, since dropping them here would hide it.

    Args:
        text: any written English.

    Returns:
        Words of letters and inner apostrophes with single spaces between them.
    """
    from num2words import num2words

    def spell(match: re.Match) -> str:
        return f" {num2words(match.group().replace(',', ''))} "

    text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
    text = _NOT_A_LETTER.sub(" ", _NUMBER.sub(spell, text)).lower()
    words = (word.strip("'") for word in text.split())
    return " ".join(word for word in words if word)
