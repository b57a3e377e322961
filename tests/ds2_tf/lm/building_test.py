# SPDX-License-Identifier: Apache-2.0
"""Language models from text, against KenLM's own code and counts by hand."""

import gzip
import math
import random

import pytest

from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.errors import UserError
from ds2_tf.lm.building import build_lm
from ds2_tf.lm.tools import kenlm_program
from ds2_tf.text.alphabet import Alphabet

pytestmark = pytest.mark.usefixtures("build_model")  # skips without KenLM's programs
ENGLISH = Alphabet.english()


@pytest.fixture
def sentences():
    """Enough text, of some grammar, for smoothing without fallback."""
    generator = random.Random(0)
    verbs = ["turn", "switch", "put"]
    things = ["light", "radio", "heating", "oven", "alarm", "fan", "television"]
    places = ["kitchen", "bedroom", "hall", "garage", "garden"]

    def sentence():
        text = f"{generator.choice(verbs)} {generator.choice(['on', 'off'])} the"
        text += f" {generator.choice(things)}"
        while generator.random() < 0.6:
            text += f" {generator.choice(['in', 'of', 'and'])} the {generator.choice(places)}"
        return text

    return [sentence() for _ in range(600)]


def write(path, sentences):
    path.write_text("".join(sentence + "\n" for sentence in sentences), "utf-8")
    return path


def test_counts_and_perplexity(tmp_path, sentences):
    kenlm = pytest.importorskip("kenlm")
    train, held_out = write(tmp_path / "t", sentences[:500]), write(tmp_path / "h", sentences[500:])
    report = build_lm([train], tmp_path / "lm", ENGLISH, order=3, held_out=[held_out])
    pairs, triples = set(), set()
    for sentence in sentences[:500]:
        words = ["<s>", *sentence.split(), "</s>"]
        pairs |= set(zip(words, words[1:]))
        triples |= set(zip(words, words[1:], words[2:]))
    words = {word for sentence in sentences[:500] for word in sentence.split()}
    assert report.counts == [len(words) + 3, len(pairs), len(triples)]
    assert report.distinct_words == len(words)
    assert (report.sentences, report.left_out) == (500, 0)
    model = kenlm.Model(str(tmp_path / "lm"))
    log10 = sum(model.score(sentence) for sentence in sentences[500:])
    tokens = sum(len(sentence.split()) + 1 for sentence in sentences[500:])
    assert report.perplexity == pytest.approx(10 ** (-log10 / tokens), rel=1e-4)
    assert (report.held_out_sentences, report.unknown_share) == (100, 0.0)


def test_unknown_words_held_out(tmp_path, sentences):
    train = write(tmp_path / "t", sentences)
    held_out = write(tmp_path / "h", ["turn on the zebra", "turn off the oven"])
    report = build_lm([train], tmp_path / "lm", ENGLISH, order=2, held_out=[held_out])
    assert report.unknown_share == pytest.approx(1 / 8)
    model = NgramModel(tmp_path / "lm")
    score = model.score(["turn", "off", "the", "oven"])
    with_unknown, _, unknown_score = model.score_with_unknown(["turn", "on", "the", "zebra"])
    expected = math.exp(-(score + with_unknown - unknown_score) / (7 + 2))
    assert report.perplexity == pytest.approx(expected)


def test_a_share_is_held_out_of_the_measurement_and_not_of_the_model(tmp_path, sentences):
    sentences[9] = "zebra"  # with a share of 10 %, every tenth sentence is held out
    train = write(tmp_path / "t", sentences)
    report = build_lm([train], tmp_path / "lm", ENGLISH, order=2, held_out_share=0.1)
    assert report.held_out_sentences == 60
    assert report.unknown_share > 0
    assert "zebra" in NgramModel(tmp_path / "lm").words


def test_tiny_text(tmp_path):
    text = write(tmp_path / "t", ["go", "stop", "go left"])
    report = build_lm([text], tmp_path / "lm", ENGLISH, order=2, held_out_share=0)
    assert report.discount_fallback
    assert "too little text" in report.summary()
    assert set(NgramModel(tmp_path / "lm").words) == {"go", "stop", "left"}


def test_pruning(tmp_path, sentences):
    text = write(tmp_path / "t", sentences)
    options = {"order": 3, "held_out_share": 0}
    whole = build_lm([text], tmp_path / "lm", ENGLISH, **options)
    pruned = build_lm([text], tmp_path / "lm", ENGLISH, prune=(0, 0, 20), **options)
    assert pruned.counts[:2] == whole.counts[:2]
    assert pruned.counts[2] < whole.counts[2]


def test_vocabulary_limit_keeps_the_most_frequent(tmp_path, sentences):
    text = write(tmp_path / "t", sentences)
    build_lm([text], tmp_path / "lm", ENGLISH, order=2, vocabulary_limit=1, held_out_share=0)
    assert NgramModel(tmp_path / "lm").words == ["the"]


def test_normalization_and_foreign_characters(tmp_path):
    text = write(tmp_path / "t", ["Go LEFT, now!", "", "the café", "2 times"])
    report = build_lm([text], tmp_path / "lm", ENGLISH, order=2, held_out_share=0)
    assert set(NgramModel(tmp_path / "lm").words) == {"go", "left", "now", "two", "times"}
    assert (report.sentences, report.left_out) == (2, 1)


def test_compressed_text_and_manifest(tmp_path):
    with gzip.open(tmp_path / "t.gz", "wt", encoding="utf-8") as file:
        file.write("go left\n")
    utterances = [
        Utterance("a", "a.wav", "turn right", split="train"),
        Utterance("b", "b.wav", "never", split="test"),
    ]
    write_manifest(tmp_path / "m.jsonl", utterances)
    options = {"order": 2, "held_out_share": 0}
    build_lm([tmp_path / "m.jsonl"], tmp_path / "lm", ENGLISH, split="train", **options)
    assert set(NgramModel(tmp_path / "lm").words) == {"turn", "right"}
    build_lm([tmp_path / "m.jsonl", tmp_path / "t.gz"], tmp_path / "lm", ENGLISH, **options)
    assert set(NgramModel(tmp_path / "lm").words) == {"turn", "right", "never", "go", "left"}
    with pytest.raises(UserError, match="has no split 'train'"):
        build_lm([tmp_path / "t.gz"], tmp_path / "lm", ENGLISH, split="train")
    with pytest.raises(UserError, match=r"m.jsonl has no split 'dev'; found \['test', 'train'\]"):
        build_lm([tmp_path / "m.jsonl"], tmp_path / "lm", ENGLISH, split="dev", **options)
    write_manifest(tmp_path / "m.jsonl", [])
    with pytest.raises(UserError, match="m.jsonl is empty"):
        build_lm([tmp_path / "m.jsonl"], tmp_path / "lm", ENGLISH, **options)


def test_characters_of_mandarin(tmp_path):
    text = write(tmp_path / "t", ["你好 吗", "你 很好"])
    alphabet = Alphabet("你好吗很")
    build_lm([text], tmp_path / "lm", alphabet, order=2, by_character=True, held_out_share=0)
    model = NgramModel(tmp_path / "lm")
    assert model.is_of_characters and set(model.words) == set("你好吗很")
    with pytest.raises(UserError, match="build a model of characters"):
        build_lm([text], tmp_path / "lm", alphabet)


@pytest.mark.parametrize(
    "content, options, message",
    [
        ("été\n", {}, "There is no sentence"),
        ("", {}, "There is no sentence"),
        ("a b\n", {"order": 9}, "must be from 2 to 6, got 9"),
        ("a b\n", {"prune": (3, 1)}, "lmplz failed"),
        (b"\xff\xfe\n", {}, "is not UTF-8"),
    ],
)
def test_errors(tmp_path, content, options, message):
    path = tmp_path / "t"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    with pytest.raises(UserError, match=message):
        build_lm([path], tmp_path / "lm", ENGLISH, **options)
    assert not (tmp_path / "lm").exists()


def test_missing_program(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no-such-program is missing. Run scripts/build_kenlm.sh"):
        kenlm_program("no-such-program")
