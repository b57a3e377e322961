# SPDX-License-Identifier: Apache-2.0
"""Corpus statistics of corpora whose numbers are known beforehand."""

import json

import numpy as np
import pytest

from ds2_tf.corpora.manifest import ManifestError, Utterance, write_manifest
from ds2_tf.corpora.summary import PERCENTILES, summarize_corpus
from ds2_tf.text.alphabet import Alphabet

ENGLISH = Alphabet.english()


def summarize(tmp_path, utterances, **arguments):
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    return summarize_corpus(
        tmp_path / "manifest.jsonl", ENGLISH, jobs=1, progress=False, **arguments
    )


@pytest.fixture
def corpus(tmp_path, write_wav):
    """Eight utterances with one fault each, where they have one."""
    write_wav(tmp_path / "a.wav")
    write_wav(tmp_path / "b.wav")
    (tmp_path / "copy.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    loud = np.tile([20000, -20000], 8000)
    write_wav(tmp_path / "clipped.wav", np.r_[loud[:500], [32767] * 3, loud[500:]])
    write_wav(tmp_path / "peaks.wav", np.r_[[32767, 32767, 0] * 100, loud])
    write_wav(tmp_path / "pause.wav", np.r_[loud[:8000], [0] * 8000])
    (tmp_path / "broken.wav").write_text("no sound")
    return [
        Utterance("a", "a.wav", "one two", speaker="anna", split="train"),
        Utterance("b", "b.wav", "one two", speaker="anna", split="test"),
        Utterance("copy", "copy.wav", "three", speaker="ben", split="train"),
        Utterance("clipped", "clipped.wav", "four", speaker="ben", split="train"),
        Utterance("peaks", "peaks.wav", "Five!", speaker="ben", split="train"),
        Utterance("pause", "pause.wav", "six!", split="train"),
        Utterance("broken", "broken.wav", "seven", split="train"),
        Utterance("none", "none.wav", "eight"),
    ]


def test_faults_are_found(tmp_path, corpus):
    summary = summarize(tmp_path, corpus)
    assert summary.unknown_characters == {"!": 2, "F": 1}
    assert summary.speakers_across_splits == {"anna": ["train", "test"]}
    assert summary.repeated_transcripts == 1
    assert summary.transcripts_across_splits == 1
    assert summary.repeated_audio == [["a", "copy"]]
    assert summary.unreadable == 2
    assert summary.clipped_share == pytest.approx(1 / 6)
    seconds = 6 + (3 + 300) / 16000
    assert summary.silent_share == pytest.approx(0.5 / seconds)


def test_quiet_levels_and_formats(tmp_path, write_wav):
    loud = np.tile([20000, -20000], 8000)
    write_wav(tmp_path / "lead.wav", np.r_[[0] * 4000, loud])
    write_wav(tmp_path / "tail.wav", np.r_[loud, [0] * 8000])
    write_wav(tmp_path / "nothing.wav", np.zeros(16000))
    write_wav(tmp_path / "slow.wav", loud[:8000], rate=8000)
    names = ("lead", "tail", "nothing", "slow")
    summary = summarize(tmp_path, [Utterance(n, f"{n}.wav", "abba") for n in names])
    # Of lead, tail, nothing, slow.
    assert summary.leading_quiet["100"] == summary.trailing_quiet["100"] == 1.0
    assert summary.leading_quiet["50"] == pytest.approx(0.12, abs=0.01)
    assert summary.trailing_quiet["50"] == pytest.approx(0.25, abs=0.01)
    assert summary.peak_decibels["0"] == -100
    assert summary.peak_decibels["50"] == pytest.approx(-4.29, abs=0.01)
    assert summary.formats == {"16000 Hz, 1 channel": 3, "8000 Hz, 1 channel": 1}
    assert summary.characters == {"a": 8, "b": 8}
    assert "recordings: 3 of 16000 Hz, 1 channel; 1 of 8000 Hz" in summary.text()


def test_sizes(tmp_path, corpus):
    summary = summarize(tmp_path, corpus)
    assert list(summary.splits) == ["train", "test", "unassigned"]
    train = summary.splits["train"]
    assert (train.utterances, train.speakers) == (6, 2)
    assert train.words == len("one two three four five six seven".split())
    assert train.characters == len("one twothreefourfive!six!seven")
    assert train.hours == pytest.approx((5 + 303 / 16000) / 3600)
    assert summary.total.utterances == 8
    assert summary.total.hours == pytest.approx((6 + 303 / 16000) / 3600)
    assert summary.distinct_words == 8


def test_lengths_and_rates_are_percentiles(tmp_path):
    durations = np.random.default_rng(0).uniform(1, 9, 50)
    summary = summarize(
        tmp_path,
        [Utterance(f"u{i}", "-", "abc" * i, duration=d) for i, d in enumerate(durations)],
        read_recordings=False,
    )
    ordered = np.sort(durations)
    assert list(summary.seconds) == [str(p) for p in PERCENTILES]
    assert summary.seconds["0"] == ordered[0]
    assert summary.seconds["50"] == pytest.approx((ordered[24] + ordered[25]) / 2)
    assert summary.seconds["100"] == ordered[-1]
    rates = sorted(3 * i / d for i, d in enumerate(durations))
    assert summary.characters_per_second["100"] == pytest.approx(rates[-1])
    assert summary.repeated_audio is None and summary.clipped_share is None


def test_as_json_and_as_text(tmp_path, corpus):
    summary = summarize(tmp_path, corpus)
    assert json.loads(json.dumps(summary.to_dict()))["splits"]["train"]["utterances"] == 6
    text = summary.text()
    assert "'!' in 2, 'F' in 1" in text
    assert "anna (train, test)" in text
    assert "1: a = copy" in text
    assert "unreadable recordings: 2" in text


def test_columns_of_the_text_are_apart(tmp_path, write_wav):
    write_wav(tmp_path / "silent.wav", np.zeros(16000, np.int16))  # -100 dB, the widest number
    text = summarize(tmp_path, [Utterance("a", "silent.wav", "one")]).text()
    (line,) = (line for line in text.splitlines() if line.startswith("peak"))
    assert line.split() == ["peak,", "dB", *["-100.00"] * len(PERCENTILES)]


def test_without_recordings_the_text_says_nothing_of_them(tmp_path, corpus):
    text = summarize(tmp_path, corpus, read_recordings=False).text()
    assert "clipped" not in text and "anna" in text


def test_an_empty_manifest_has_nothing(tmp_path):
    summary = summarize(tmp_path, [])
    assert summary.total.utterances == 0
    assert "speakers in more than one split: none" in summary.text()


def test_a_malformed_line_is_an_error(tmp_path):
    (tmp_path / "manifest.jsonl").write_text("nonsense\n")
    with pytest.raises(ManifestError, match="line 1"):
        summarize_corpus(tmp_path / "manifest.jsonl", ENGLISH, progress=False)
