# SPDX-License-Identifier: Apache-2.0
"""Turning written text into what a speaker says, in the characters of an alphabet."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable

from ds2_tf.errors import UserError

_ENGLISH_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:(st|nd|rd|th)\b|\.(\d+))?")
_DIGITS = re.compile(r"\d+")
# Longer ones, such as serial numbers, are read out digit by digit.
_MOST_DIGITS_OF_A_QUANTITY = 15
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'"})
# White space beside a character of the scripts that are written without it.
_SPACE_IN_CHINESE = re.compile(r"(?<=[\u2e80-\u9fff\uf900-\U0003ffff]) | (?=[\u2e80-\U0003ffff])")


def normalization(language: str) -> Callable[[str], str]:
    """What brings written text of a language into the form of transcripts.

    Args:
        language: "en" for `normalize_english`; "zh" for `normalize_mandarin`; "none" folds white
            space alone; another code that num2words knows, such as "de", "fr" or "pt_BR", spells
            the numbers of that language and treats the rest as in English.

    Raises:
        UserError: there is no rule for the language.
    """
    from num2words import CONVERTER_CLASSES

    special = {"en": normalize_english, "zh": normalize_mandarin, "none": _fold_white_space}
    if language in special:
        return special[language]
    if language not in CONVERTER_CLASSES:
        raise UserError(
            f"There is no normalization for the language {language!r}; choose one of "
            f"{', '.join(sorted({*special, *CONVERTER_CLASSES}))}, or normalize the text yourself "
            "and choose none."
        )
    return functools.partial(_normalize_words, language=language)


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
    return _words(_ENGLISH_NUMBER.sub(_spell_english_number, _lower(text)))


def normalize_mandarin(text: str) -> str:
    """Lower case, NFKC, punctuation removed, white space kept between Roman words alone.

    Wide forms become the usual ones. Digits stay: a reader may say them in several ways, so that
    the check of the corpus should name them.

    Args:
        text: written Mandarin, which may have Roman words.
    """
    return _SPACE_IN_CHINESE.sub("", _words(_lower(unicodedata.normalize("NFKC", text))))


def _normalize_words(text: str, language: str) -> str:
    return _words(_DIGITS.sub(lambda match: f" {_spell(match[0], language)} ", _lower(text)))


def _fold_white_space(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _lower(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower()).translate(_APOSTROPHES)


def _words(text: str) -> str:
    # By category and not by a pattern: a vowel sign of Hindi is part of a word, but not \w.
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    words = (word.strip("'") for word in "".join(kept).split())
    return " ".join(word for word in words if word)


def _spell(digits: str, language: str, to: str = "cardinal") -> str:
    from num2words import num2words

    if len(digits) > _MOST_DIGITS_OF_A_QUANTITY:
        return " ".join(num2words(int(digit), lang=language).lower() for digit in digits)
    return num2words(int(digits), lang=language, to=to).lower()


def _spell_english_number(match: re.Match) -> str:
    whole, ordinal_suffix, fraction = match.groups()
    words = _spell(whole.replace(",", ""), "en", to="ordinal" if ordinal_suffix else "cardinal")
    if fraction:
        words += " point " + " ".join(_spell(digit, "en") for digit in fraction)
    return f" {words} "
