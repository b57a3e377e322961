# SPDX-License-Identifier: Apache-2.0
"""Pieces of a recording are read as one utterance."""

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.joining import decode_joined
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

ENGLISH = Alphabet.english()


def frames(text, alphabet=ENGLISH):
    """Log probabilities of frames that say a text, a character each; "_" is the blank."""
    labels = [0 if c == "_" else alphabet.encode(c)[0] for c in text]
    logits = np.full((len(text), alphabet.size), -9.0, np.float32)
    logits[np.arange(len(text)), labels] = 0.0
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def decode(*recordings, alphabet=ENGLISH, decoder=None):
    return decode_joined(recordings, frame_seconds=0.02, alphabet=alphabet, decoder=decoder)


@pytest.fixture(params=["greedy", "beam"])
def decoder(request):
    return BeamSearch(ENGLISH) if request.param == "beam" else None


def times(transcript):
    return [(w.text, round(w.start, 3), round(w.end, 3)) for w in transcript.words]


def test_words_have_the_times_of_the_whole(decoder):
    (transcript,) = decode(
        [(0.0, frames("_go_ left__")), (7.0, frames("___")), (30.0, frames("__l"))],
        decoder=decoder,
    )
    assert transcript.text == "go left l"
    assert times(transcript) == [("go", 0.02, 0.06), ("left", 0.1, 0.18), ("l", 30.04, 30.06)]
    assert transcript.duration == pytest.approx(30.06)


def test_no_word_goes_across_a_cut(decoder):
    (transcript,) = decode([(0.0, frames("_al")), (1.0, frames("l_"))], decoder=decoder)
    assert transcript.text == "al l"


def test_a_space_at_the_cut_is_one_space(decoder):
    (transcript,) = decode(
        [(0.0, frames(" a ")), (1.0, frames("  b")), (2.0, frames(" "))], decoder=decoder
    )
    assert transcript.text == "a b"


def test_cutting_costs_nothing(decoder):
    first, second = frames("on_we "), frames("_go_on")
    (joined,) = decode([(0.0, first), (5.0, second)], decoder=decoder)
    one, two = decode([(0.0, first)], [(5.0, second)], decoder=decoder)
    assert joined.score == pytest.approx(one.score + two.score, abs=1e-3)
    assert joined.text == f"{one.text} {two.text}"


def test_without_spaces_characters_are_kept_apart():
    alphabet = Alphabet("一二三")
    for decoder in (None, BeamSearch(alphabet)):
        (transcript,) = decode(
            [(0.0, frames("_一二", alphabet)), (1.0, frames("二三", alphabet))],
            alphabet=alphabet,
            decoder=decoder,
        )
        assert transcript.text == "一二二三"
        assert [w.start for w in transcript.words] == pytest.approx([0.02, 0.04, 1.0, 1.02])


def test_a_language_model_knows_what_was_said_before_the_cut(tmp_path, build_model):
    from ds2_tf.decoding.beam_search import BeamOptions
    from ds2_tf.decoding.ngram_model import NgramModel

    sentences = ["turn left"] * 8 + ["be right"] * 8 + ["right turn", "left be"]
    model = NgramModel(build_model(tmp_path, sentences, ENGLISH.characters, order=2))
    search = BeamSearch(ENGLISH, BeamOptions(alpha=2.0), model=model)
    either = np.logaddexp(frames("left_"), frames("right")) - np.log(2)
    for before, after in {"turn": "left", "be": "right"}.items():
        (transcript,) = decode([(0.0, frames(before)), (1.0, either)], decoder=search)
        assert transcript.text == f"{before} {after}"


def test_results_come_in_order():
    transcripts = decode(*([(0.0, frames(letter))] for letter in "abcdefghij"))
    assert "".join(t.text for t in transcripts) == "abcdefghij"


def test_a_decoder_of_another_alphabet():
    with pytest.raises(UserError, match="make a decoder package"):
        decode([(0.0, frames("a"))], decoder=BeamSearch(Alphabet("ab ")))
