# SPDX-License-Identifier: Apache-2.0
"""Where known words are said, against a search over all alignments."""

import itertools

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.decoding.forced_alignment import align_words
from ds2_tf.text.alphabet import Alphabet

ALPHABET = Alphabet(" ab")


def _spans_of_best_path(log_probs, transcript, labels):
    """The words of the most probable path that reads as the transcript."""

    def read(path):
        runs = [(label, list(frames)) for label, frames in itertools.groupby(path)]
        text = " ".join("".join(labels[label] for label, _ in runs).split())
        if text != transcript:
            return None
        words, frame, word = [], 0, None
        for label, frames in runs:
            if labels[label] == " ":
                word = None
            elif label and word is None:
                word = [labels[label], frame, frame + len(frames)]
                words.append(word)
            elif label:
                word[0] += labels[label]
                word[2] = frame + len(frames)
            frame += len(frames)
        return [tuple(word) for word in words]

    best, found = -np.inf, None
    for path in itertools.product(range(len(labels)), repeat=len(log_probs)):
        score = log_probs[np.arange(len(path)), path].sum()
        if score > best and (words := read(path)) is not None:
            best, found = score, words
    return found


@pytest.mark.parametrize("transcript", ["a", "ab", "a b", "bb", "aa b"])
@pytest.mark.parametrize("seed", range(4))
def test_is_the_best_of_all_alignments(random_log_probs, transcript, seed):
    log_probs = random_log_probs(7, 4, seed=seed)
    words = align_words(log_probs, transcript, ALPHABET)
    expected = _spans_of_best_path(log_probs, transcript, ALPHABET.labels)
    assert [(w.text, w.start, w.end) for w in words] == expected


def test_bigrams(random_log_probs):
    alphabet = Alphabet([" ", "a", "b", "ab"])
    log_probs = random_log_probs(6, 5, seed=1)
    # The only b that is said alone; that of ab is in its bigram.
    log_probs[:, alphabet.encode("b")] = -50
    log_probs[5, alphabet.encode("b")] = 0
    first, second = align_words(log_probs, "aba b", alphabet)
    assert (first.text, second.text) == ("aba", "b")
    assert (second.start, second.end) == (5, 6)
    assert first.end < second.start


def test_is_that_of_what_a_search_finds(random_log_probs):
    log_probs = random_log_probs(30, 4, seed=3)
    best, *_ = BeamSearch(ALPHABET).decode(log_probs)
    assert align_words(log_probs, best.text, ALPHABET) == best.words


def test_white_space_is_folded(random_log_probs):
    log_probs = random_log_probs(9, 4)
    assert align_words(log_probs, " a  b ", ALPHABET) == align_words(log_probs, "a b", ALPHABET)


def test_an_empty_text_has_no_words(random_log_probs):
    assert align_words(random_log_probs(3, 4), "", ALPHABET) == ()


@pytest.mark.parametrize("transcript, frames", [("abab", 3), ("aa", 2), ("a", 0)])
def test_a_text_that_is_too_long(random_log_probs, transcript, frames):
    with pytest.raises(ValueError, match=f"{frames} frames cannot hold the {len(transcript)}"):
        align_words(random_log_probs(frames, 4), transcript, ALPHABET)


def test_a_character_outside_the_alphabet(random_log_probs):
    with pytest.raises(ValueError, match="outside the alphabet: 'z'"):
        align_words(random_log_probs(5, 4), "az", ALPHABET)
