# SPDX-License-Identifier: Apache-2.0
"""Turning written text into what a speaker says, in the characters of an alphabet."""

from __future__ import annotations

import re
import unicodedata

_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:(st|nd|rd|th)\b|\.(\d+))?")
# Longer ones, such as serial numbers, are read out digit by digit.
_MOST_DIGITS_OF_A_QUANTITY = 15
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'"})
_NOT_A_LETTER = re.compile(r"[^\w']|_")


def normalize_english(text: str) -> str:
    """Lower case, NFC, digits spelled out, punctuation removed, white space folded.

    "the 2nd of 1,200" becomes "the second of one thousand two hundred". A year is spelled out as a
    quantity, and symbols such as "$" are dropped: a corpus that has them wants transcripts as read.
    Letters with accents are kept as they are: whether the alphabet has them is for the check of
    the corpus to say, since dropping them here would hide it.

    Args:
        text: any written English.

    Returns:
        Words of letters and inner apostrophes with single spaces between them.
    """
    text = unicodedata.normalize("NFC", text.lower()).translate(_APOSTROPHES)
    text = _NOT_A_LETTER.sub(" ", _NUMBER.sub(_spell_number, text))
    words = (word.strip("'") for word in text.split())
    return " ".join(word for word in words if word)


def _spell_number(match: re.Match) -> str:
    from num2words import num2words

    whole, ordinal_suffix, fraction = match.groups()
    digits = whole.replace(",", "")
    if len(digits) > _MOST_DIGITS_OF_A_QUANTITY:
        words = " ".join(num2words(int(digit)) for digit in digits)
    else:
        words = num2words(int(digits), to="ordinal" if ordinal_suffix else "cardinal")
    if fraction:
        words += " point " + " ".join(num2words(int(digit)) for digit in fraction)
    return f" {words} "
