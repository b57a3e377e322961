# SPDX-License-Identifier: Apache-2.0
"""The page about a corpus, of one with a fault of each kind."""

import hashlib

import pytest

from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.measuring import CorpusMeasurements, RecordingMeasurements
from ds2_tf.corpora.summary import summarize_measurements
from ds2_tf.reports.corpus_report import corpus_page
from ds2_tf.text.alphabet import Alphabet


def _recording(name: str, seconds: float = 2.0, **changes) -> RecordingMeasurements:
    digest = hashlib.sha256(name.encode()).digest()
    made = RecordingMeasurements(digest, seconds, False, 0.5, 0.3, 0.1, -3.0, "8000 Hz, 1 channel")
    return made._replace(**changes)


@pytest.fixture
def measurements():
    utterances = [
        Utterance(f"u{n}", f"{n}.wav", f"utterance {'x' * n}", speaker=f"s{n % 3}", split="train")
        for n in range(20)
    ]
    utterances += [
        Utterance("strange", "s.wav", "<b>5 €</b>", speaker="<s>", split="train"),
        Utterance("broken", "b.wav", "broken", speaker="<s>", split="dev"),
        Utterance("silent", "t.wav", " ", split="dev"),
        Utterance("again", "a.wav", "utterance ", split="dev"),
    ]
    recordings = [_recording(u.id, 1.0 + n) for n, u in enumerate(utterances[:20])]
    recordings += [
        _recording("strange", clipped=True),
        None,
        _recording("silent", leading_seconds=2.0, trailing_seconds=2.0, silent_seconds=2.0),
        _recording("u0", 1.0),
    ]
    return CorpusMeasurements(utterances, recordings)


def test_every_fault_is_counted_and_named(check_page, measurements):
    summary = summarize_measurements(measurements, Alphabet.english())
    text = check_page(corpus_page(measurements, summary, title="<corpus>"))
    assert "<corpus>" in text
    for found in (
        "utterances with characters outside the alphabet1",
        "'€' (U+20AC)in 1 utterances",
        "utterances without a transcript1",
        "speakers in more than one split1",
        "<s>train, dev",
        "transcripts in more than one split1",
        "utterance dev: 1, train: 1",
        "recordings that cannot be read1",
        "brokenb.wav",
        "recordings that are clipped1",
        "stranges.wav",
        "recordings with the samples of another1",
        "u0, again2 times",
        "23 of 8000 Hz, 1 channel",
    ):
        assert found in text, found
    quiet = text[text.index("The longest leading or trailing quiet") :]
    assert quiet.index("silent2.00") < quiet.index("u0")


def test_extremes_of_rate_and_length(check_page, measurements):
    summary = summarize_measurements(measurements, Alphabet.english())
    text = check_page(corpus_page(measurements, summary, title="t"))
    longest = text[text.index("The longest utterances") : text.index("The shortest utterances")]
    assert longest.index("u19") < longest.index("u18")
    fastest = text[text.index("The fastest speech") : text.index("The slowest speech")]
    # 10 characters in a second.
    assert "u01.0010.0utterance" in fastest


def test_without_recordings(check_page, measurements):
    alone = CorpusMeasurements(measurements.utterances, None)
    summary = summarize_measurements(alone, Alphabet.english())
    text = check_page(corpus_page(alone, summary, title="t"))
    assert "The recordings were not read." in text and "clipped" not in text


def test_an_empty_corpus(check_page):
    nothing = CorpusMeasurements([], [])
    summary = summarize_measurements(nothing, Alphabet.english())
    assert "0.00 h" in check_page(corpus_page(nothing, summary, title="t"))
