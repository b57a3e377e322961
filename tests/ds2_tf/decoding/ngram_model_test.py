# SPDX-License-Identifier: Apache-2.0
"""Scores of language models against KenLM's own code; files that are none."""

import random

import pytest

from ds2_tf.decoding.ngram_model import NgramModel, character_tokens
from ds2_tf.errors import UserError


@pytest.mark.parametrize("order, prune", [(2, ()), (3, (0, 0, 1)), (5, ()), (6, (0, 1, 1))])
def test_scores_as_kenlm(tmp_path, build_model, kenlm_score, order, prune):
    generator = random.Random(order)
    words = ["a", "b", "ab", "ba", "cab", "acc", "abba", "cc"]

    def sentence():
        # Some words follow others more often, so that long n-grams are worth something.
        chosen = [generator.choice(words)]
        while len(chosen) < generator.randint(1, 12):
            follow = (words.index(chosen[-1]) + generator.choice([1, 1, 1, 2, 5])) % len(words)
            chosen.append(words[follow])
        return " ".join(chosen)

    path = build_model(tmp_path, [sentence() for _ in range(400)], " abc", order=order, prune=prune)
    model = NgramModel(path)
    assert model.order == order
    assert model.words and set(model.words) <= set(words)
    for _ in range(200):
        tokens = sentence().split()
        if generator.random() < 0.3:
            tokens.insert(generator.randrange(len(tokens)), "bbbb")
        assert model.score(tokens) == pytest.approx(kenlm_score(path, tokens), rel=1e-5)


def test_unknown_words(word_model):
    model = NgramModel(word_model)
    score, unknown, unknown_score = model.score_with_unknown(["a", "ccc", "b"])
    assert unknown == 1 and score < unknown_score < 0
    assert model.score_with_unknown(["a"])[1:] == (0, 0.0)


def test_kinds(word_model, character_model):
    assert not NgramModel(word_model).is_of_characters
    assert NgramModel(character_model).is_of_characters
    assert NgramModel(word_model).tokens(" ab  a") == ["ab", "a"]
    assert NgramModel(character_model).tokens(" ab  a") == ["a", "b", "<space>", "a"]
    assert character_tokens("") == []


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"x" * 500, "is not a KenLM binary"),
        (b"\\data\\\nngram 1=5\n" + b"x" * 200, "is an ARPA text, not a KenLM binary"),
        (
            b"mmap lm http://kheafield.com/code format version 4\n" + b"\0" * 200,
            "is a KenLM binary of another version",
        ),
    ],
)
def test_other_files(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=message):
        NgramModel(tmp_path / "file")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        NgramModel(tmp_path / "none")


def test_truncated_anywhere(tmp_path, word_model):
    whole = word_model.read_bytes()
    for size in [60, 100, 115, 200, len(whole) // 2, len(whole) - 3, len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:size])
        with pytest.raises(UserError, match="is cut short|is damaged|KenLM binary"):
            NgramModel(tmp_path / "cut")
