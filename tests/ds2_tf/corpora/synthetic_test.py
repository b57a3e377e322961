# SPDX-License-Identifier: Apache-2.0
"""The synthetic corpus: the same bytes every time, unseen voices, and sentences one can check."""

import itertools
import json
import sys

import numpy as np
import pytest
import soundfile

from ds2_tf.corpora import synthetic
from ds2_tf.corpora.checking import check_corpus
from ds2_tf.corpora.espeak import Voice, speak
from ds2_tf.corpora.manifest import read_manifest
from ds2_tf.corpora.synthetic import make_synthetic_corpus
from ds2_tf.corpora.synthetic_sentences import sentences, spoken_form
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

SIZES = {"train_utterances": 20, "dev_utterances": 4, "test_utterances": 4}
TINY = {"train_utterances": 2, "dev_utterances": 1, "test_utterances": 1}


def make(directory, **arguments):
    return make_synthetic_corpus(directory, progress=False, **{**SIZES, **arguments})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip("espeakng_loader")
    return make(tmp_path_factory.mktemp("corpus"), jobs=1)


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(corpus, tmp_path):
    again = make(tmp_path / "again", jobs=4)
    assert contents(again.parent) == contents(corpus.parent)


def test_another_seed_says_other_things(corpus, tmp_path):
    other = make(tmp_path / "other", seed=2)
    transcripts = {u.transcript for u in read_manifest(other)}
    assert len(transcripts & {u.transcript for u in read_manifest(corpus)}) < 5


def test_a_complete_corpus_is_left_alone(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.parent.rglob("*")}
    assert make(corpus.parent) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.parent.rglob("*")} == before


def test_an_interrupted_corpus_is_completed(corpus, tmp_path):
    manifest = make(tmp_path, **TINY)
    whole = contents(tmp_path)
    (tmp_path / "synthetic.json").unlink()
    next(tmp_path.rglob("*.flac")).write_bytes(b"half")
    assert make(tmp_path, **TINY) == manifest
    assert contents(tmp_path) == whole


def test_another_corpus_is_not_overwritten(corpus):
    with pytest.raises(UserError, match='"seed": 1.*"seed": 2.*another directory'):
        make(corpus.parent, seed=2)


def test_every_voice_belongs_to_one_split():
    variants, speakers, accents = {}, {}, {}
    for speaker, utterance in synthetic._plan({"train": 2400, "dev": 120, "test": 120}, seed=1):
        accent = utterance.speaker.split("-")[0]
        assert utterance.extra == {"accent": accent}
        variants.setdefault(utterance.split, set()).add(speaker.voice.name.partition("+")[2])
        speakers.setdefault(utterance.split, set()).add(utterance.speaker)
        accents.setdefault(utterance.split, set()).add(accent)
    for first, second in itertools.combinations(("train", "dev", "test"), 2):
        assert variants[first].isdisjoint(variants[second])
    assert {split: len(found) for split, found in speakers.items()} == {
        "train": 80,
        "dev": 15,
        "test": 20,
    }
    assert all(len(found) == 5 for found in accents.values())


def test_every_utterance_is_usable_and_of_the_stated_length(corpus):
    report = check_corpus(corpus, Alphabet.english(), time_stride=3, jobs=1, progress=False)
    assert (report.total, report.rejections) == (28, [])
    for utterance in read_manifest(corpus):
        info = soundfile.info(corpus.parent / utterance.audio)
        assert (info.samplerate, info.subtype) == (16000, "PCM_16")
        assert utterance.duration == pytest.approx(info.duration, abs=1e-4)
        assert 0.5 < utterance.duration < 7


def test_more_words_take_longer(corpus):
    utterances = list(read_manifest(corpus))
    seconds = [utterance.duration for utterance in utterances]
    # A letter's name takes as long as a short word.
    syllables = [
        sum(1 if len(word) == 1 else (len(word) + 2) // 3 for word in u.transcript.split())
        for u in utterances
    ]
    assert np.corrcoef(seconds, syllables)[0, 1] > 0.6


def test_speech_stands_above_the_noise(corpus):
    for utterance in itertools.islice(read_manifest(corpus), 20):
        samples, _ = soundfile.read(corpus.parent / utterance.audio)
        frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
        decibels = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
        assert decibels.max() - np.percentile(decibels, 3) > 25
        assert np.abs(samples).max() < 1


def test_missing_espeak_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r'pip install "ds2-tf\[demo\]"'):
        make(tmp_path)
    assert not (tmp_path / "manifest.jsonl").exists()


class TestSpeaking:
    @pytest.fixture(autouse=True)
    def needs_espeak(self):
        pytest.importorskip("espeakng_loader")

    def test_a_request_always_sounds_the_same(self):
        first, rate = speak(Voice("en-us+m3"), ["turn on the light", "half past nine"])
        second, _ = speak(Voice("en-us+m3"), ["turn on the light", "half past nine"])
        assert rate == 22050
        for a, b in zip(first, second, strict=True):
            assert a.dtype == np.int16 and 0.5 * rate < len(a) < 3 * rate
            np.testing.assert_array_equal(a, b)

    def test_rate_and_pitch_are_heard(self):
        def length(**settings):
            return len(speak(Voice("en-us", **settings), ["seven times eight"])[0][0])

        def pitch(**settings):
            (samples,), rate = speak(Voice("en-us", pitch_range=0, **settings), ["aah aah"])
            middle = samples[len(samples) // 4 :][: rate // 4].astype(float)
            correlation = np.correlate(middle, middle, "full")[len(middle) - 1 :]
            low, high = rate // 300, rate // 60
            return rate / (low + correlation[low:high].argmax())

        assert length(rate=120) > 1.2 * length(rate=180)
        assert pitch(pitch=80) > 1.2 * pitch(pitch=20)

    def test_letters_are_said_by_their_names(self):
        (spelled, read), rate = speak(Voice("en-us"), [spoken_form("t h e y"), "they"])
        assert len(spelled) > len(read) + 0.5 * rate

    def test_unknown_voices_are_named(self):
        with pytest.raises(UserError, match="'tlh'.*no such voice"):
            speak(Voice("tlh"), ["nuqneH"])


def test_sentences_are_not_repeated_and_fit_the_alphabet():
    some = list(itertools.islice(sentences(1), 4000))
    assert len(set(some)) == 4000
    assert Alphabet.english().unknown_characters("".join(some)) == ""
    words = {word for sentence in some for word in sentence.split()}
    assert 100 <= len(words) <= 150
    assert set("abcdefghijklmnopqrstuvwxyz") <= words
    assert all(sentence == " ".join(sentence.split()) for sentence in some)


def test_sentences_depend_on_the_seed():
    def first(seed):
        return list(itertools.islice(sentences(seed), 20))

    assert first(1) == first(1) != first(2)


def test_spoken_form_separates_letters():
    assert spoken_form("call e m") == "call e, m,"


def test_the_parameters_are_on_record(corpus):
    stamp = json.loads((corpus.parent / "synthetic.json").read_text("utf-8"))
    assert stamp["utterances"] == {"train": 20, "dev": 4, "test": 4}
    assert stamp["seed"] == 1
