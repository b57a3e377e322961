# SPDX-License-Identifier: Apache-2.0
"""Language models small enough to check by hand, and a search over everything."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest


@pytest.fixture(scope="session")
def word_model(tmp_path_factory, build_model):
    """A trigram model of words over the letters a, b, c."""
    sentences = ["a b", "ab a", "ba ab a", "b b a", "ab ab", "a ba", "c a b", "b", "ab a ba"]
    return build_model(tmp_path_factory.mktemp("words"), sentences, " abc")


@pytest.fixture(scope="session")
def character_model(tmp_path_factory, build_model):
    """A trigram model of the characters space, a, b."""
    sentences = ["a b", "ab a", "ba ab a", "b b a", "ab ab", "a ba", "b", "ab a ba"]
    directory = tmp_path_factory.mktemp("characters")
    return build_model(directory, sentences, " ab", by_character=True)


@pytest.fixture(scope="session")
def random_log_probs():
    """Makes natural log probabilities [frames, labels] of no text in particular."""

    def make(frames, labels, seed=0, scale=2.0):
        logits = np.random.default_rng(seed).normal(scale=scale, size=(frames, labels))
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits.astype(np.float32)

    return make


@pytest.fixture(scope="session")
def probability_of_texts():
    """Log probability of every text, by going over all alignments of a short utterance."""

    def enumerate_texts(log_probs, characters):
        labels = ["", *characters]
        probability = defaultdict(float)
        for path in itertools.product(range(len(labels)), repeat=len(log_probs)):
            read = "".join(labels[label] for label, _ in itertools.groupby(path))
            text = " ".join(read.split()) if " " in characters else read
            probability[text] += math.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
        return {text: math.log(p) for text, p in probability.items()}

    return enumerate_texts


@pytest.fixture(scope="session")
def probability_of_alignments():
    """Log probability of every sequence of labels, by going over all alignments."""

    def enumerate_sequences(log_probs, labels):
        labels = ["", *labels]
        probability = defaultdict(float)
        for path in itertools.product(range(len(labels)), repeat=len(log_probs)):
            read = tuple(labels[label] for label, _ in itertools.groupby(path) if label)
            probability[read] += math.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
        return {read: math.log(p) for read, p in probability.items()}

    return enumerate_sequences


@pytest.fixture(scope="session")
def kenlm_score():
    """ln p of words by KenLM's own code."""
    kenlm = pytest.importorskip("kenlm")

    def score(path, words):
        return kenlm.Model(str(path)).score(" ".join(words), bos=True, eos=True) * math.log(10)

    return score
