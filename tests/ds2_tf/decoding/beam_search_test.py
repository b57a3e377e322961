# SPDX-License-Identifier: Apache-2.0
"""Beam search against a search over all alignments of all texts, and KenLM's own scores."""

import concurrent.futures

import numpy as np
import pytest

from ds2_tf.decoding.beam_search import BeamOptions, BeamSearch
from ds2_tf.decoding.ngram_model import NgramModel, character_tokens
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

ALPHABET = Alphabet(" abc")
# Nothing is pruned: what comes out must be exact.
EXACT = {"cumulative": 1.0, "beam_size": 100000, "beam_threshold": 1e9}


def assert_ranking(hypotheses, expected, count=20):
    """The hypotheses are the best of the expected totals, in order."""
    best = sorted(expected.items(), key=lambda item: -item[1])[:count]
    assert [h.text for h in hypotheses[:count]] == [text for text, _ in best]
    np.testing.assert_allclose([h.total for h in hypotheses[:count]], [q for _, q in best], 1e-6)


class TestWithoutModel:
    @pytest.mark.parametrize("characters", [" abc", "abc", "ab"])
    def test_all_texts(self, random_log_probs, probability_of_texts, characters):
        for seed in range(3):
            log_probs = random_log_probs(6, len(characters) + 1, seed)
            expected = probability_of_texts(log_probs, characters)
            search = BeamSearch(Alphabet(characters), BeamOptions(**EXACT))
            hypotheses = search.decode(log_probs, 10**6)
            assert len(hypotheses) == len(expected)
            assert_ranking(hypotheses, expected)

    def test_words_are_counted(self, random_log_probs, probability_of_texts):
        log_probs = random_log_probs(6, 5, 4)
        expected = {
            text: log_p + 0.9 * len(text.split())
            for text, log_p in probability_of_texts(log_probs, " abc").items()
        }
        search = BeamSearch(ALPHABET, BeamOptions(beta=0.9, **EXACT))
        assert_ranking(search.decode(log_probs, 20), expected)

    def test_scores_are_exact_though_the_search_is_pruned(
        self, random_log_probs, probability_of_texts
    ):
        log_probs = random_log_probs(7, 5, 5, scale=1.0)
        expected = probability_of_texts(log_probs, " abc")
        search = BeamSearch(ALPHABET, BeamOptions(beam_size=5, cumulative=0.8))
        for hypothesis in search.decode(log_probs, 5):
            assert hypothesis.log_p_ctc == pytest.approx(expected[hypothesis.text], rel=1e-6)

    def test_no_frames(self):
        (hypothesis,) = BeamSearch(ALPHABET).decode(np.zeros((0, 5), np.float32))
        assert (hypothesis.text, hypothesis.total, hypothesis.words) == ("", 0.0, ())

    def test_silence(self):
        log_probs = np.log(np.tile(np.float32([0.996, 1e-3, 1e-3, 1e-3, 1e-3]), (30, 1)))
        assert BeamSearch(ALPHABET).decode(log_probs)[0].text == ""


class TestWithWordModel:
    @pytest.mark.parametrize("alpha, beta", [(0.5, 0.0), (1.3, 1.1), (2.0, -0.5)])
    def test_open_vocabulary(
        self, word_model, random_log_probs, probability_of_texts, kenlm_score, alpha, beta
    ):
        model = NgramModel(word_model)
        options = BeamOptions(alpha, beta, open_vocabulary=True, unknown_score=-1.5, **EXACT)
        log_probs = random_log_probs(6, 5, 6)
        expected = {}
        for text, log_p in probability_of_texts(log_probs, " abc").items():
            words = text.split()
            unknown = sum(word not in model.words for word in words)
            lm = kenlm_score(word_model, words)
            expected[text] = log_p + alpha * lm + beta * len(words) - 1.5 * unknown
        hypotheses = BeamSearch(ALPHABET, options, model=model).decode(log_probs, 10**6)
        assert len(hypotheses) == len(expected)
        assert_ranking(hypotheses, expected, 50)

    def test_closed_vocabulary(
        self, word_model, random_log_probs, probability_of_texts, kenlm_score
    ):
        model = NgramModel(word_model)
        log_probs = random_log_probs(7, 5, 7)
        expected = {
            text: log_p + 0.7 * kenlm_score(word_model, text.split()) + 0.4 * len(text.split())
            for text, log_p in probability_of_texts(log_probs, " abc").items()
            if set(text.split()) <= set(model.words)
        }
        search = BeamSearch(ALPHABET, BeamOptions(0.7, 0.4, **EXACT), model=model)
        hypotheses = search.decode(log_probs, 10**6)
        assert len(hypotheses) == len(expected)
        assert_ranking(hypotheses, expected)
        for hypothesis in hypotheses[:10]:
            lm = kenlm_score(word_model, hypothesis.text.split())
            assert hypothesis.log_p_lm == pytest.approx(lm, rel=1e-5)
            assert hypothesis.length == len(hypothesis.text.split())
            assert hypothesis.unknown_words == 0

    def test_vocabulary_of_ones_own(self, word_model, random_log_probs, probability_of_texts):
        log_probs = random_log_probs(6, 5, 8)
        search = BeamSearch(
            ALPHABET, BeamOptions(**EXACT), model=NgramModel(word_model), vocabulary=["cab", "ab"]
        )
        expected = {
            text: log_p
            for text, log_p in probability_of_texts(log_probs, " abc").items()
            if set(text.split()) <= {"cab", "ab"}
        }
        assert_ranking(search.decode(log_probs, 10**6), expected, len(expected))

    def test_only_known_words_come_out(self, word_model):
        # "cab" begins with the known word "c", but neither it nor "ca" is one.
        log_probs = np.log(np.full((4, 5), 1e-6, np.float32))
        for t, label in enumerate([4, 2, 3, 0]):
            log_probs[t, label] = np.log(1 - 4e-6)
        model = NgramModel(word_model)
        (closed,) = BeamSearch(ALPHABET, model=model).decode(log_probs)
        assert set(closed.text.split()) <= set(model.words)
        options = BeamOptions(open_vocabulary=True)
        (free,) = BeamSearch(ALPHABET, options, model=model).decode(log_probs)
        assert (free.text, free.unknown_words, free.extra) == ("cab", 1, -10.0)


class TestBigrams:
    LABELS = (*" abc", "ab", "ba")

    def test_closed_vocabulary(
        self, word_model, random_log_probs, probability_of_alignments, kenlm_score
    ):
        alphabet = Alphabet(self.LABELS)
        model = NgramModel(word_model)
        log_probs = random_log_probs(6, alphabet.size, 11)
        expected = {}
        for labels, log_p in probability_of_alignments(log_probs, self.LABELS).items():
            text = "".join(labels)
            words = text.split()
            # Only as the alphabet cuts the words, and without a space too many.
            cut = [alphabet.labels[index] for index in alphabet.encode(text)]
            if set(words) <= set(model.words) and cut == [*labels] and text == " ".join(words):
                expected[text] = log_p + 0.7 * kenlm_score(word_model, words) + 0.4 * len(words)
        search = BeamSearch(alphabet, BeamOptions(0.7, 0.4, **EXACT), model=model)
        hypotheses = search.decode(log_probs, 10**6)
        assert {h.text for h in hypotheses} == set(expected)
        # Spaces too many are folded: their alignments add to a text, which is seldom much.
        best = max(expected, key=expected.get)
        assert hypotheses[0].total >= expected[best] - 1e-6

    def test_words_have_their_times(self):
        alphabet = Alphabet(self.LABELS)
        path = alphabet.encode("ab a")
        log_probs = np.full((2 * len(path), alphabet.size), np.log(1e-3), np.float32)
        for position, label in enumerate(path):
            log_probs[2 * position, label] = log_probs[2 * position + 1, 0] = np.log(0.99)
        (hypothesis,) = BeamSearch(alphabet).decode(log_probs)
        assert [(w.text, w.start, w.end) for w in hypothesis.words] == [("ab", 0, 1), ("a", 4, 5)]

    def test_a_model_of_characters_is_refused(self, character_model):
        with pytest.raises(UserError, match="build one of words"):
            BeamSearch(Alphabet([*" ab", "ab"]), model=NgramModel(character_model))


class TestWithCharacterModel:
    def test_all_texts(self, character_model, random_log_probs, probability_of_texts, kenlm_score):
        log_probs = random_log_probs(7, 4, 9)
        expected = {
            text: log_p
            + 0.8 * kenlm_score(character_model, character_tokens(text))
            + 0.3 * len(text)
            for text, log_p in probability_of_texts(log_probs, " ab").items()
        }
        search = BeamSearch(
            Alphabet(" ab"), BeamOptions(0.8, 0.3, **EXACT), model=NgramModel(character_model)
        )
        hypotheses = search.decode(log_probs, 10**6)
        assert len(hypotheses) == len(expected)
        assert_ranking(hypotheses, expected, 50)

    def test_takes_no_words(self, character_model):
        with pytest.raises(UserError, match="takes no vocabulary and no hot words"):
            BeamSearch(Alphabet(" ab"), model=NgramModel(character_model), hot_words={"ab": 1.0})


class TestHotWords:
    def test_weights_are_added(
        self, word_model, random_log_probs, probability_of_texts, kenlm_score
    ):
        model = NgramModel(word_model)
        weights = {"ab": 2.5, "cc": 4.0, "b": -1.0}
        log_probs = random_log_probs(6, 5, 10)
        known = set(model.words)
        expected = {}
        for text, log_p in probability_of_texts(log_probs, " abc").items():
            words = text.split()
            if set(words) <= known | {"cc"}:
                extra = sum(weights.get(word, 0) - 3 * (word == "cc") for word in words)
                expected[text] = log_p + 0.6 * kenlm_score(word_model, words) + extra
        options = BeamOptions(0.6, unknown_score=-3, **EXACT)
        search = BeamSearch(ALPHABET, options, model=model, hot_words=weights)
        assert_ranking(search.decode(log_probs, 10**6), expected, 40)

    def test_without_a_model(self, random_log_probs, probability_of_texts):
        log_probs = random_log_probs(5, 5, 11)
        expected = {
            text: log_p + 3.0 * text.split().count("ca")
            for text, log_p in probability_of_texts(log_probs, " abc").items()
        }
        search = BeamSearch(ALPHABET, BeamOptions(**EXACT), hot_words={"ca": 3.0})
        assert_ranking(search.decode(log_probs, 30), expected)

    @pytest.mark.parametrize("word", ["", "a b", "xyz"])
    def test_must_be_words_of_the_alphabet(self, word):
        with pytest.raises(UserError, match="is not one word of"):
            BeamSearch(ALPHABET, hot_words={word: 1.0})


class TestTimes:
    def test_words_lie_where_they_are_said(self):
        labels = [0, 2, 2, 3, 0, 1, 1, 0, 4, 0, 4, 0]  # "ab cc"
        log_probs = np.log(np.full((len(labels), 5), 0.01, np.float32))
        log_probs[np.arange(len(labels)), labels] = np.log(0.96)
        (best,) = BeamSearch(ALPHABET).decode(log_probs)
        assert best.text == "ab cc"
        assert [(w.text, w.start, w.end) for w in best.words] == [("ab", 1, 4), ("cc", 8, 11)]

    def test_without_spaces_each_character_has_its_own(self):
        labels = [0, 1, 2, 2, 0, 2]
        log_probs = np.log(np.full((len(labels), 3), 0.01, np.float32))
        log_probs[np.arange(len(labels)), labels] = np.log(0.98)
        (best,) = BeamSearch(Alphabet("ab")).decode(log_probs)
        assert [(w.text, w.start, w.end) for w in best.words] == [
            ("a", 1, 2),
            ("b", 2, 4),
            ("b", 5, 6),
        ]


class TestStream:
    @pytest.mark.parametrize("sizes", [[1] * 60, [7, 0, 53], [60]])
    def test_equals_the_whole(self, word_model, random_log_probs, sizes):
        log_probs = random_log_probs(60, 5, 12)
        options = BeamOptions(0.5, 0.5, open_vocabulary=True, beam_size=30)
        search = BeamSearch(ALPHABET, options, model=NgramModel(word_model))
        stream, at = search.stream(), 0
        for size in sizes:
            stream.push(log_probs[at : at + size])
            at += size
        assert stream.finish(10) == search.decode(log_probs, 10)

    def test_stable_words_stay(self, word_model, random_log_probs):
        log_probs = random_log_probs(300, 5, 13, scale=1.0)
        said = np.random.default_rng(14).integers(0, 5, 300)
        log_probs[np.arange(300), said] += 14
        log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
        options = BeamOptions(0.1, 0.5, open_vocabulary=True, unknown_score=0, beam_threshold=3)
        search = BeamSearch(ALPHABET, options, model=NgramModel(word_model))
        stream, stable = search.stream(), []
        for t in range(0, 300, 10):
            stream.push(log_probs[t : t + 10])
            partial = stream.partial()
            words = partial.stable.split()
            assert words[: len(stable)] == stable
            stable = words
        (best,) = stream.finish()
        assert best.text.split()[: len(stable)] == stable
        # Most of it is certain long before the end.
        assert len(stable) > 0.8 * len(best.text.split())
        assert stream.num_frames == 300
        assert stream.finish(10) == search.decode(log_probs, 10)

    @pytest.mark.parametrize("options", [{}, {"vocabulary": ["abba", "c"]}])
    def test_without_spaces(self, options):
        said = np.random.default_rng(17).integers(0, 4, 200)
        log_probs = np.log(np.full((200, 4), 1e-4, np.float32))
        log_probs[np.arange(200), said] = np.log(1 - 3e-4)
        search = BeamSearch(Alphabet("abc"), BeamOptions(beam_threshold=5), **options)
        stream, stable = search.stream(), ""
        for t in range(0, 200, 10):
            stream.push(log_probs[t : t + 10])
            partial = stream.partial()
            assert partial.stable.startswith(stable)
            stable = partial.stable
        assert stream.finish(5) == search.decode(log_probs, 5)
        assert stream.finish()[0].text.startswith(stable)
        # A closed vocabulary without spaces has one word a text.
        assert (len(stable) > 100) == (not options)


class TestErrors:
    def test_alpha_without_a_model(self):
        with pytest.raises(UserError, match="alpha is 0.5, but there is no language model"):
            BeamSearch(ALPHABET, BeamOptions(alpha=0.5))

    def test_model_of_another_alphabet(self, word_model):
        with pytest.raises(UserError, match="is of another alphabet: only 0 of its"):
            BeamSearch(Alphabet(" xyz"), model=NgramModel(word_model))

    def test_words_without_a_space(self, word_model):
        with pytest.raises(UserError, match="has no space to part them"):
            BeamSearch(Alphabet("abc"), model=NgramModel(word_model))

    @pytest.mark.parametrize(
        "options",
        [{"alpha": -1}, {"beta": float("nan")}, {"beam_size": 0}, {"cumulative": 0}],
    )
    def test_options(self, options):
        with pytest.raises(UserError, match=next(iter(options))):
            BeamOptions(**options)

    def test_frames_of_another_alphabet(self):
        with pytest.raises(UserError, match=r"shape \[frames, 5\].*got \[3, 7\]"):
            BeamSearch(ALPHABET).decode(np.zeros((3, 7), np.float32))

    @pytest.mark.parametrize("value", [np.nan, 5.0])
    def test_not_log_probabilities(self, value):
        with pytest.raises(UserError, match="natural log probabilities"):
            BeamSearch(ALPHABET).decode(np.full((3, 5), value, np.float32))


def test_threads_share_a_search(word_model, random_log_probs):
    search = BeamSearch(ALPHABET, BeamOptions(0.5, 0.5, beam_size=50), model=NgramModel(word_model))
    utterances = [random_log_probs(50, 5, seed) for seed in range(12)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(search.decode, utterances)) == [search.decode(u) for u in utterances]


def log_probability_by_logarithms(log_probs, text):
    """CTC's forward algorithm over all states, by the book: "a b" may be surrounded by spaces."""
    labels = [0, *(x for label in ALPHABET.encode(f" {text} ") for x in (label, 0))]
    space = ALPHABET.encode(" ")[0]
    state = np.full(len(labels), -np.inf)
    # A space at the start may be left out, and one at the end.
    state[0] = 0
    for frame in log_probs:
        before, state = state, np.full(len(labels), -np.inf)
        for s, label in enumerate(labels):
            reach = [before[s]]
            if s:
                reach.append(before[s - 1])
            if s > 1 and label and label != labels[s - 2]:
                reach.append(before[s - 2])
            if label == space and s + 1 < len(labels):
                reach.append(before[s + 1])
            if s == 3:
                reach.append(before[0])
            state[s] = np.logaddexp.reduce(reach) + frame[label]
    return np.logaddexp.reduce(state[-4:])


class TestLongUtterances:
    @pytest.fixture
    def utterance(self):
        """Ten seconds that say something, as sure as a trained network is."""
        generator = np.random.default_rng(15)
        words = ["ab", "cab", "b", "acca", "bb"]
        text = " ".join(generator.choice(words) for _ in range(30))
        labels = [x for label in ALPHABET.encode(text) for x in (0, 0, label, 0)]
        logits = generator.normal(-14, 3, size=(len(labels), ALPHABET.size))
        logits[np.arange(len(labels)), labels] = 0
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits.astype(np.float32), text

    def test_log_p_ctc(self, utterance):
        log_probs, text = utterance
        search = BeamSearch(ALPHABET, BeamOptions(beam_size=200, beam_threshold=1e9))
        hypotheses = search.decode(log_probs, 20)
        assert hypotheses[0].text == text
        for hypothesis in hypotheses:
            expected = log_probability_by_logarithms(log_probs, hypothesis.text)
            assert hypothesis.log_p_ctc == pytest.approx(expected, rel=1e-9)

    def test_a_text_that_was_not_said(self, utterance):
        """Its alignments are all hopeless, some of them far more so than others."""
        log_probs, _ = utterance
        options = BeamOptions(beta=500.0, beam_threshold=1e9)
        (best,) = BeamSearch(ALPHABET, options, vocabulary=["cccccccccc"]).decode(log_probs)
        assert "cccccccccc" in best.text.split() and best.log_p_ctc < -300
        expected = log_probability_by_logarithms(log_probs, best.text)
        assert best.log_p_ctc == pytest.approx(expected, rel=1e-9)
        assert all(0 <= w.start < w.end <= len(log_probs) for w in best.words)

    def test_certainty(self):
        """Probabilities of 0 and 1."""
        labels = [2, 0, 3, 1, 4]
        log_probs = np.full((5, 5), -1e4, np.float32)
        log_probs[np.arange(5), labels] = 0
        (best,) = BeamSearch(ALPHABET).decode(log_probs)
        assert (best.text, best.log_p_ctc) == ("ab c", 0)


def test_more_labels_than_bits_of_a_mask(random_log_probs, build_model, tmp_path, kenlm_score):
    """A word model over an alphabet of 100 letters, whose words differ in one letter."""
    letters = [chr(0x4E00 + n) for n in range(100)]
    alphabet = Alphabet([" ", *letters])
    words = [a + b for a, b in zip(letters, letters[50:] + letters[:50])]
    sentences = [f"{a} {b}" for a, b in zip(words, words[1:])]
    path = build_model(tmp_path, sentences, [" ", *letters], order=2)
    model = NgramModel(path)
    log_probs = random_log_probs(12, 102, 16, scale=1.0)
    said = alphabet.encode(words[3] + " " + words[4])
    log_probs[[0, 2, 4, 6, 8], said] += 12
    log_probs[[1, 3, 5, 7, 9, 10, 11], 0] += 12
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    search = BeamSearch(alphabet, BeamOptions(0.5, max_labels=102), model=model)
    hypotheses = search.decode(log_probs, 50)
    assert hypotheses[0].text == f"{words[3]} {words[4]}"
    assert len(hypotheses) > 10
    for hypothesis in hypotheses:
        assert set(hypothesis.text.split()) <= set(words)
        expected = kenlm_score(path, hypothesis.text.split())
        assert hypothesis.log_p_lm == pytest.approx(expected, rel=1e-5)
