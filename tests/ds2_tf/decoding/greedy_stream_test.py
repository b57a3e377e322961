# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding in pieces against greedy decoding of the whole."""

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import Partial, Word
from ds2_tf.decoding.greedy import greedy_decode
from ds2_tf.decoding.greedy_stream import GreedyStream
from ds2_tf.text.alphabet import Alphabet

ENGLISH = Alphabet.english()


def log_probs(path: str, alphabet=ENGLISH) -> np.ndarray:
    """Half of the probability for each label of a path; `_` is the blank."""
    labels = [0 if character == "_" else alphabet.encode(character)[0] for character in path]
    probabilities = np.full((len(path), alphabet.size), 0.5 / (alphabet.size - 1))
    probabilities[np.arange(len(path)), labels] = 0.5
    return np.log(probabilities)


def test_words_and_times():
    stream = GreedyStream(ENGLISH)
    stream.push(log_probs("_gg_oo"))
    assert stream.partial() == Partial("", "go")
    stream.push(log_probs("oo_  "))
    assert stream.partial() == Partial("go", "")
    stream.push(log_probs("_ u"))
    assert stream.partial() == Partial("go", "u")
    (result,) = stream.finish()
    assert result.text == "go u"
    assert result.words == (Word("go", 1, 8), Word("u", 13, 14))
    assert result.total == pytest.approx(14 * np.log(0.5))


def test_doubled_letters_need_a_blank_between():
    stream = GreedyStream(ENGLISH)
    for piece in ("l", "l", "_", "l", "o"):
        stream.push(log_probs(piece))
    assert stream.finish()[0].text == "llo"


def test_without_spaces_every_character_is_a_word():
    alphabet = Alphabet("你好")
    stream = GreedyStream(alphabet)
    stream.push(log_probs("_你你_好", alphabet))
    stream.push(log_probs("好_", alphabet))
    assert stream.partial() == Partial("你好", "")
    assert stream.finish()[0].words == (Word("你", 1, 3), Word("好", 4, 6))


@pytest.mark.parametrize("seed", range(5))
def test_any_pieces_give_the_text_of_the_whole(seed):
    generator = np.random.default_rng(seed)
    path = "".join(generator.choice(list("__  abc"), 60))
    whole = log_probs(path)
    (expected,) = greedy_decode(whole[None], [60], ENGLISH)
    stream, stable = GreedyStream(ENGLISH), ""
    for piece in np.split(whole, np.sort(generator.integers(0, 60, 9))):
        stream.push(piece)
        partial = stream.partial()
        assert partial.stable.startswith(stable)
        stable = partial.stable
    (result,) = stream.finish()
    assert result.text.split() == expected.split()
    assert result.text.startswith(stable)
    for word, after in zip(result.words, result.words[1:]):
        assert word.start < word.end < after.start
    for word in result.words:
        (said,) = greedy_decode(
            whole[None, word.start : word.end], [word.end - word.start], ENGLISH
        )
        assert said == word.text


def test_nothing():
    stream = GreedyStream(ENGLISH)
    stream.push(np.zeros((0, 29)))
    assert stream.partial() == Partial("", "")
    assert stream.finish()[0].words == ()
