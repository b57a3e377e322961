# SPDX-License-Identifier: Apache-2.0
"""Normalization: examples as a person would read them, and properties of any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_tf.errors import UserError
from ds2_tf.text.normalization import normalization, normalize_english


@pytest.mark.parametrize(
    "written, spoken",
    [
        ("Hello,  World!", "hello world"),
        ("don't -- DON\u2019T", "don't don't"),
        ("'quoted' words'", "quoted words"),
        ("e-mail_address", "e mail address"),
        ("line\nbreak\tand tab", "line break and tab"),
        ("chapter 7", "chapter seven"),
        ("21 of 105", "twenty one of one hundred and five"),
        ("1,200 or 2,000,000", "one thousand two hundred or two million"),
        ("12,34", "twelve thirty four"),
        ("1,2345", "one two thousand three hundred and forty five"),
        ("3.50 and 0.05", "three point five zero and zero point zero five"),
        ("at 10:30.", "at ten thirty"),
        ("the 1st, 2nd, 3RD and 22nd", "the first second third and twenty second"),
        ("100th", "one hundredth"),
        ("4 the", "four the"),
        ("2x", "two x"),
        ("007", "seven"),
        (
            "1234567890123456",
            "one two three four five six seven eight nine zero one two three four five six",
        ),
        ("caf\u00e9 cafe\u0301", "café café"),
        ("", ""),
        (" .,;' ", ""),
    ],
)
def test_examples(written, spoken):
    assert normalize_english(written) == spoken


def test_what_cannot_be_spelled_out_is_left_for_the_check_to_find():
    assert normalize_english("x²") == "x²"


@given(st.text())
def test_result_is_words_with_single_spaces(text):
    result = normalize_english(text)
    assert result == " ".join(result.split())
    assert result == result.lower()
    assert not any(character.isdecimal() for character in result)


@given(st.text())
def test_a_second_time_changes_nothing(text):
    once = normalize_english(text)
    assert normalize_english(once) == once


@given(st.integers(min_value=0, max_value=10**40))
def test_any_number_becomes_letters(number):
    assert normalize_english(str(number)).replace(" ", "").isalpha()


@pytest.mark.parametrize(
    "language, written, spoken",
    [
        ("de", "Über 21 Äpfel!", "über einundzwanzig äpfel"),
        ("fr", "L’été, 3 fois", "l'été trois fois"),
        # The vowel signs of Hindi are marks and not letters.
        ("none", "  हिन्दी \n भाषा ", "हिन्दी भाषा"),
        ("en", "हिन्दी", "हिन्दी"),
        ("zh", "你好， 世界！ 打开 WIFI hot spot 吧", "你好世界打开wifi hot spot吧"),
        ("zh", "ＡＢＣ １2", "abc 12"),
        ("none", "Kept: As Is", "Kept: As Is"),
    ],
)
def test_languages(language, written, spoken):
    assert normalization(language)(written) == spoken


def test_unknown_language():
    with pytest.raises(UserError, match="'xx'; choose one of am, .* zh"):
        normalization("xx")
