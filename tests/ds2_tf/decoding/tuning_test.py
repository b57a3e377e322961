# SPDX-License-Identifier: Apache-2.0
"""Tuning finds weights that help, says when there are none, and checks on other utterances."""

import dataclasses

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamOptions
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.decoding.package import write_package
from ds2_tf.decoding.surface_plot import plot_surface
from ds2_tf.decoding.tuning import DevelopmentSet, middle, tune
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

ALPHABET = Alphabet(" abc")
# As the language model expects, and as it does not.
LIKELY = ["a b", "ab a", "ba ab a", "b b a", "ab ab", "ab a ba"]
UNLIKELY = ["cc ca", "acb cab", "bc", "ca c", "cba", "cc"]


def spoken(texts, seed):
    """Log probabilities in which each text can be made out with some noise."""
    generator = np.random.default_rng(seed)
    all_log_probs = []
    for text in texts:
        labels = [label for c in ALPHABET.encode(text) for label in (c, 0)]
        logits = generator.normal(scale=1.5, size=(len(labels), ALPHABET.size))
        logits[np.arange(len(labels)), labels] += 2.5
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        all_log_probs.append(logits.astype(np.float32))
    return DevelopmentSet(all_log_probs, texts)


@pytest.fixture
def package(tmp_path, word_model):
    return write_package(tmp_path / "p", ALPHABET, BeamOptions(), NgramModel(word_model))


def small(package, development, check, **options):
    grid = {"alphas": (0.0, 1.0, 2.0), "betas": (-1.0, 0.0, 1.0), "refinements": 1}
    return tune(package, development, check, **{**grid, **options})


def test_helps_and_is_measured_right(package):
    development, check = spoken(5 * LIKELY, 0), spoken(5 * LIKELY, 1)
    lines = []
    tuning = small(package, development, check, report=lines.append)
    assert tuning.development.words.errors < tuning.development_greedy.words.errors
    assert tuning.development.errors == min(m.errors for m in tuning.surface.values())
    assert len(lines) == len(tuning.surface) > 9
    assert tuning.check.words.errors < tuning.check_greedy.words.errors
    # What is claimed for the best can be measured again.
    assert check.measure_search(package, tuning.options) == tuning.check
    assert (tuning.options.alpha, tuning.options.beta) in tuning.surface
    summary = tuning.summary()
    assert f"held out: WER {tuning.check.words.rate:.2%}" in summary
    assert tuning.to_dict()["check"]["wer"] == tuning.check.words.rate


def test_refines_around_the_best(package):
    data = spoken(LIKELY, 2)
    coarse = small(package, data, data, refinements=0)
    fine = small(package, data, data, refinements=2)
    assert coarse.surface.items() <= fine.surface.items()
    assert fine.development.errors <= coarse.development.errors
    best = coarse.options
    assert {(best.alpha + 0.5, best.beta), (best.alpha, best.beta - 0.5)} <= fine.surface.keys()


def test_of_equals_the_middle_is_taken():
    plateau = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (1.0, 1.0), (1.0, 2.0)]
    assert middle(plateau, (0.5, 1.0)) == (0.5, 1.0)
    assert middle([(0.0, 4.0), (2.0, 0.0)], (0.5, 1.0)) == (0.0, 4.0)
    assert middle([(3.0, -1.0)], (0.5, 1.0)) == (3.0, -1.0)
    # The mean is (1, 4): what is nearest depends on what a step is.
    spread = [(0.0, 4.0), (1.0, 0.0), (2.0, 8.0)]
    assert middle(spread, (1.0, 1.0)) == (0.0, 4.0)
    assert middle(spread, (0.1, 10.0)) == (1.0, 0.0)


def test_smallest_beam_that_is_as_good(package):
    data = spoken(LIKELY, 3)
    tuning = small(package, data, data, beam_sizes=(500, 1, 50))
    errors = {
        size: data.measure_search(
            package, dataclasses.replace(tuning.options, beam_size=size)
        ).errors
        for size in (1, 50, 500)
    }
    expected = min(size for size, count in errors.items() if count <= errors[500])
    assert tuning.options.beam_size == expected


def test_unknown_score_of_an_open_vocabulary(tmp_path, word_model):
    options = BeamOptions(open_vocabulary=True, unknown_score=-40.0)
    package = write_package(tmp_path / "p", ALPHABET, options, NgramModel(word_model))
    data = spoken(2 * UNLIKELY, 6)
    grid = {"alphas": (0.0, 0.5), "betas": (-2.0, -1.0, 0.0), "refinements": 0}
    tuning = tune(package, data, data, unknown_scores=(0.0, -20.0), **grid)
    # All that is said is unknown, so that a mild penalty is best.
    assert tuning.options.unknown_score == 0.0
    assert data.measure_search(package, tuning.options) == tuning.development
    assert "unknown score 0" in tuning.summary()
    # A closed vocabulary has no use for it.
    closed = write_package(tmp_path / "q", ALPHABET, BeamOptions(), NgramModel(word_model))
    known = spoken(LIKELY, 7)
    tuning = tune(closed, known, known, unknown_scores=(-1.0,), **grid)
    assert tuning.options.unknown_score == BeamOptions().unknown_score


def test_warns_where_it_does_not_carry_over(package):
    tuning = small(package, spoken(3 * LIKELY, 8), spoken(3 * UNLIKELY, 9))
    assert tuning.check.words.errors > tuning.check_greedy.words.errors
    assert "warning: on the utterances held out" in tuning.summary()
    assert tuning.to_dict()["warning"] == tuning.warning
    good = small(package, spoken(5 * LIKELY, 0), spoken(5 * LIKELY, 1))
    assert good.warning is None and "warning" not in good.summary()


def test_a_model_that_does_not_fit(package):
    data = spoken(3 * UNLIKELY, 4)
    with pytest.raises(UserError, match="without the language model: it does not fit"):
        small(package, data, data)


def test_needs_utterances(package):
    with pytest.raises(UserError, match="got 6 and 0"):
        small(package, spoken(LIKELY, 0), DevelopmentSet([], []))


def test_plot(package, tmp_path):
    image = pytest.importorskip("PIL.Image")
    data = spoken(LIKELY, 5)
    plot_surface(small(package, data, data), tmp_path / "surface.png")
    with image.open(tmp_path / "surface.png") as picture:
        assert picture.format == "PNG" and picture.width > 200
        # The best is framed.
        assert (255, 0, 0) in {color for _, color in picture.getcolors(1 << 20)}
