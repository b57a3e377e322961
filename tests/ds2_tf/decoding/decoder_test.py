# SPDX-License-Identifier: Apache-2.0
"""The decoder as one object: a package, hot words and rescoring together."""

import pytest

from ds2_tf.decoding.beam_search import BeamOptions, BeamSearch
from ds2_tf.decoding.decoder import Decoder, Rescoring
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.decoding.package import write_package
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

ALPHABET = Alphabet(" abc")


@pytest.fixture
def package(tmp_path, word_model):
    options = BeamOptions(alpha=0.5, beam_size=100)
    return write_package(tmp_path / "p", ALPHABET, options, NgramModel(word_model))


def test_without_rescoring(package, random_log_probs):
    log_probs = random_log_probs(20, 5)
    ranked = Decoder.load(package.path).decode(log_probs, 5)
    expected = package.search().decode(log_probs, 5)
    assert [item.hypothesis for item in ranked] == expected
    assert [item.total for item in ranked] == [h.total for h in expected]
    assert ranked[0].to_dict() == {
        "text": expected[0].text,
        "log_p_ctc": expected[0].log_p_ctc,
        "log_p_lm": expected[0].log_p_lm,
        "length": len(expected[0].text.split()),
        "unknown_words": 0,
        "extra": 0.0,
        "total": expected[0].total,
    }


def test_rescoring_sees_more_than_is_asked_for(package, word_model, random_log_probs, kenlm_score):
    """The best after rescoring is best among all that were searched, not only those asked for."""
    rescoring = Rescoring(NgramModel(word_model), weight=3.0, num_best=30)
    decoder = Decoder.load(package.path, rescoring=rescoring)
    log_probs = random_log_probs(20, 5, 1)
    searched = package.search().decode(log_probs, 30)
    expected = sorted(
        ((h.total + 3 * kenlm_score(word_model, h.text.split()), h.text) for h in searched),
        reverse=True,
    )[:2]
    ranked = decoder.decode(log_probs, 2)
    assert [item.text for item in ranked] == [text for _, text in expected]
    assert ranked[0].total == pytest.approx(expected[0][0], rel=1e-5)
    assert ranked[0].text != searched[0].text
    assert ranked[0].to_dict()["log_p_rescoring"] == ranked[0].log_p_rescoring < 0
    assert list(decoder.decode_many([log_probs] * 3, 2)) == [ranked] * 3


def test_options_of_loading(package, random_log_probs):
    decoder = Decoder.load(package.path, beam_size=3, hot_words={"cc": 50.0})
    assert decoder.search.options.beam_size == 3
    assert decoder.search.options.alpha == 0.5
    ranked = decoder.decode(random_log_probs(20, 5), 10)
    assert "cc" in ranked[0].text.split() and len(ranked) <= 3
    with pytest.raises(UserError, match="is for an alphabet of 5 labels"):
        Decoder.load(package.path, alphabet=Alphabet(" ab"))


def test_stream(package, random_log_probs):
    decoder, log_probs = Decoder.load(package.path), random_log_probs(20, 5)
    stream = decoder.stream()
    stream.push(log_probs[:7])
    stream.push(log_probs[7:])
    assert stream.finish() == [item.hypothesis for item in decoder.decode(log_probs)]
    assert decoder.finish(stream, 3) == decoder.decode(log_probs, 3)


@pytest.mark.parametrize("options", [{"num_best": 0}, {"weight": float("inf")}])
def test_options_of_rescoring(word_model, options):
    with pytest.raises(UserError, match="escoring"):
        Rescoring(NgramModel(word_model), **options)


def test_nothing_is_rescored_without_a_model(random_log_probs):
    decoder = Decoder(BeamSearch(ALPHABET))
    assert decoder.decode(random_log_probs(5, 5))[0].log_p_rescoring is None
