# SPDX-License-Identifier: Apache-2.0
"""Alphabets of several languages, from text."""

import pytest

from ds2_tf.errors import UserError
from ds2_tf.text.alphabet_building import build_alphabet


def test_accents_are_kept_and_composed():
    alphabet = build_alphabet(["c\u0327a va", "été"])
    assert alphabet.characters == tuple(sorted(" çavét"))


def test_mandarin_with_roman_letters():
    alphabet = build_alphabet(
        ["你好", "打开app", "你好吗"], max_characters=30, include="abcdefghij"
    )
    assert alphabet.characters[:10] == tuple("abcdefghij")
    # 打开 and the rest once each, 你好 twice: all fit.
    assert set("你好打开吗p") <= set(alphabet.characters)
    assert " " not in alphabet.characters


def test_the_most_frequent_characters_are_kept():
    assert build_alphabet(["aaab", "bbc"], max_characters=2).characters == ("a", "b")
    assert build_alphabet(["aab", "bcd"], min_count=2).characters == ("a", "b")
    assert build_alphabet(["aab"], max_characters=2, include="z").characters == ("a", "z")


def test_bigrams_are_of_pairs_that_do_not_overlap():
    alphabet = build_alphabet(["the cat", "the theme"], num_bigrams=2)
    # th three times; ca, em once each, as at is no pair of "cat".
    assert alphabet.labels[len(alphabet.characters) + 1 :] == ("ca", "th")
    assert [alphabet.labels[i] for i in alphabet.encode("the cat")] == ["th", "e", " ", "ca", "t"]


def test_no_text():
    with pytest.raises(UserError, match="no character"):
        build_alphabet([" ", ""])
