# SPDX-License-Identifier: Apache-2.0
"""The alphabet: its order, its errors, and round trips of anything it can hold."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import BLANK, Alphabet

ENGLISH = Alphabet.english()

character = (
    st.characters(codec="utf-8", exclude_characters="\r\n")
    .map(lambda c: unicodedata.normalize("NFC", c))
    .filter(lambda c: len(c) == 1)
)
character_lists = st.lists(character, min_size=1, max_size=40, unique=True)


def test_english_has_the_outputs_of_the_paper_in_a_fixed_order():
    assert ENGLISH.labels == ("", " ", *string.ascii_lowercase, "'")
    assert ENGLISH.size == 29
    assert BLANK == 0


def test_encode_counts_from_the_blank():
    assert ENGLISH.encode("ab z'") == [2, 3, 1, 27, 28]


def test_decode_neither_collapses_nor_shows_blanks():
    assert ENGLISH.decode([0, 9, 0, 6, 13, 13, 0, 16]) == "hello"


@pytest.mark.parametrize("index", [-1, 29])
def test_decode_takes_labels_alone(index):
    with pytest.raises(ValueError, match=f"0 to 28; got {index}"):
        ENGLISH.decode([9, index])


@given(st.text(ENGLISH.characters))
def test_english_round_trip(text):
    assert ENGLISH.decode(ENGLISH.encode(text)) == text


@given(character_lists, st.data())
def test_any_alphabet_round_trip(characters, data):
    alphabet = Alphabet(characters)
    text = "".join(data.draw(st.lists(st.sampled_from(characters))))
    # Neighbors may combine into one character, which the alphabet need not have.
    if unicodedata.normalize("NFC", text) == text:
        assert alphabet.decode(alphabet.encode(text)) == text


@given(character_lists)
def test_any_alphabet_survives_its_file(tmp_path_factory, characters):
    path = tmp_path_factory.mktemp("alphabet") / "alphabet.txt"
    alphabet = Alphabet(characters)
    alphabet.save(path)
    assert Alphabet.load(path) == alphabet
    assert path.read_bytes().decode("utf-8") == "".join(c + "\n" for c in characters)


class TestBigrams:
    # The paper's example: "the cat" is th, e, space, ca, t.
    ALPHABET = Alphabet([*" acehnt", "th", "ca", "he"])

    def spell(self, text):
        return [self.ALPHABET.labels[index] for index in self.ALPHABET.encode(text)]

    def test_words_are_cut_from_their_beginning(self):
        assert self.spell("the cat") == ["th", "e", " ", "ca", "t"]
        assert self.spell("hethe ca") == ["he", "th", "e", " ", "ca"]

    def test_a_pair_that_is_no_label_stands_apart(self):
        assert self.spell("anthe") == ["a", "n", "th", "e"]

    def test_pairs_do_not_reach_beyond_a_word(self):
        assert self.spell("t he") == ["t", " ", "he"]

    @given(st.text(" acehnt"))
    def test_round_trip(self, text):
        assert self.ALPHABET.decode(self.ALPHABET.encode(text)) == text

    def test_file_and_configuration(self, tmp_path):
        self.ALPHABET.save(tmp_path / "alphabet.txt")
        assert Alphabet.load(tmp_path / "alphabet.txt") == self.ALPHABET
        assert Alphabet(self.ALPHABET.to_config()) == self.ALPHABET
        assert ENGLISH.to_config() == " abcdefghijklmnopqrstuvwxyz'"
        assert self.ALPHABET.size == 11 and self.ALPHABET.characters == tuple(" acehnt")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match="missing.txt cannot be read"):
        Alphabet.load(tmp_path / "missing.txt")


def test_unknown_characters_are_named():
    assert ENGLISH.unknown_characters("Hej, åbc å!") == "!,Hå"
    assert ENGLISH.unknown_characters("fine") == ""
    with pytest.raises(ValueError, match="'å' in 'å la'"):
        ENGLISH.encode("å la")


def test_decomposed_characters_count_as_one():
    german = Alphabet("aäu")
    assert german.encode("a\u0308u") == [2, 3]
    assert Alphabet(["a", "a\u0308"]).characters == ("a", "ä")


@pytest.mark.parametrize(
    "characters, message",
    [
        (["a", "b", "abc"], "'abc'"),
        (["a", "ab"], "not the character 'b'"),
        (["a", " ", "a "], "its space"),
        (["a", "b", "ab", "ab"], r"\['ab'\]"),
        (["a", ""], "''"),
        ("aba", r"\['a'\]"),
        ("", "at least one"),
        ("a\n", "line break"),
    ],
)
def test_impossible_alphabets_are_refused(characters, message):
    with pytest.raises(UserError, match=message):
        Alphabet(characters)


@pytest.mark.parametrize(
    "alphabet, expected",
    [
        (ENGLISH, "29 labels: ' ', 'a', 'b', ..."),
        (Alphabet("你好吗"), "4 labels: '你', '好', '吗'"),
        (Alphabet(["t", "h", "e", "th", "he"]), "6 labels, 2 of them bigrams: 't', 'h', 'e', ..."),
    ],
)
def test_descriptions_are_short(alphabet, expected):
    assert alphabet.describe() == expected


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ("abc", "adc", "(label 2 is 'b' in the former and 'd' in the latter)"),
        ("abc", "ab", "(label 3 is 'c' in the former and missing in the latter)"),
        ("ab", ["a", "b", "ab"], "(label 3 is missing in the former and 'ab' in the latter)"),
    ],
)
def test_a_mismatch_names_the_first_difference(one, other, expected):
    one, other = Alphabet(one), Alphabet(other)
    assert one.describe_mismatch(other) == (
        f"an alphabet of {one.describe()}, and the model has one of {other.describe()} {expected}"
    )


def test_equal_alphabets_are_equal():
    assert ENGLISH == Alphabet(" abcdefghijklmnopqrstuvwxyz'")
    assert hash(ENGLISH) == hash(Alphabet.english())
    assert ENGLISH != Alphabet("abc") and ENGLISH != "abc"
