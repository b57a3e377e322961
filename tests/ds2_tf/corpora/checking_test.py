# SPDX-License-Identifier: Apache-2.0
"""Every way in which an utterance can be bad, and the report on a corpus that has them all."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import soundfile

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora import parallel
from ds2_tf.corpora.checking import check_corpus, ctc_frames_needed, load_utterance
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.corpora.rejection import REASONS, BadUtterance
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

ENGLISH = Alphabet.english()


@pytest.fixture
def good(tmp_path, write_wav):
    write_wav(tmp_path / "good.wav")
    return Utterance("good", "good.wav", "hello", duration=1.0)


def load(utterance, tmp_path, **arguments):
    return load_utterance(utterance, tmp_path / "manifest.jsonl", ENGLISH, **arguments)


def reason_of(utterance, tmp_path, **arguments):
    with pytest.raises(BadUtterance) as caught:
        load(utterance, tmp_path, **arguments)
    return caught.value.reason


def test_a_good_utterance_gives_its_samples(good, tmp_path):
    samples = load(good, tmp_path)
    assert samples.shape == (16000,) and samples.dtype == np.float32


@pytest.mark.parametrize("transcript", ["", "  "])
def test_empty_transcript(good, tmp_path, transcript):
    bad = dataclasses.replace(good, transcript=transcript)
    assert reason_of(bad, tmp_path) == "empty-transcript"


def test_unknown_characters_are_named(good, tmp_path):
    with pytest.raises(BadUtterance, match="'!H'.*'Hello!'") as caught:
        load(dataclasses.replace(good, transcript="Hello!"), tmp_path)
    assert caught.value.reason == "unknown-characters"


def test_missing_audio(good, tmp_path):
    bad = dataclasses.replace(good, audio="none.wav")
    assert reason_of(bad, tmp_path) == "missing-audio"


@pytest.mark.parametrize("content, reason", [(b"", "empty-audio"), (b"some text", "not-audio")])
def test_audio_that_cannot_be_read(good, tmp_path, content, reason):
    (tmp_path / "bad.wav").write_bytes(content)
    assert reason_of(dataclasses.replace(good, audio="bad.wav"), tmp_path) == reason


def test_truncated_files(good, tmp_path):
    samples = np.random.default_rng(0).normal(scale=0.1, size=16000)
    for suffix in ("wav", "flac"):
        path = tmp_path / f"bad.{suffix}"
        soundfile.write(path, samples, 16000)
        path.write_bytes(path.read_bytes()[:-5000])
        assert reason_of(dataclasses.replace(good, audio=path.name), tmp_path) == "truncated-audio"


def test_shorter_than_the_manifest_says(good, tmp_path):
    longer = dataclasses.replace(good, duration=1.5)
    assert reason_of(longer, tmp_path) == "truncated-audio"
    rounded = dataclasses.replace(good, duration=1.05)
    assert len(load(rounded, tmp_path)) == 16000


@pytest.mark.parametrize("level", [0, 1, 3])
def test_silence(good, tmp_path, write_wav, level):
    write_wav(tmp_path / "silent.wav", np.full(16000, level))
    assert reason_of(dataclasses.replace(good, audio="silent.wav"), tmp_path) == "silent-audio"


def test_a_quiet_recording_is_not_silent(good, tmp_path, write_wav):
    write_wav(tmp_path / "quiet.wav", np.tile([0, 20], 8000))
    assert len(load(dataclasses.replace(good, audio="quiet.wav"), tmp_path)) == 16000


# Labels of 10 ms frames; with stride 2, 5 spectrogram frames are 3 outputs.
@pytest.mark.parametrize(
    "transcript, samples, stride, fits",
    [
        ("abc", 3 * 160, 1, True),
        ("abc", 3 * 160 - 1, 1, False),
        ("aabb", 6 * 160, 1, True),
        ("aabb", 5 * 160, 1, False),
        ("abc", 5 * 160, 2, True),
        ("abc", 4 * 160, 2, False),
        ("aa", 4 * 160, 2, False),
        ("a", 100, 1, False),
    ],
)
def test_too_short_for_ctc(tmp_path, write_wav, transcript, samples, stride, fits):
    write_wav(tmp_path / "short.wav", np.tile([3000, -3000], samples)[:samples])
    utterance = Utterance("short", "short.wav", transcript)
    if fits:
        assert len(load(utterance, tmp_path, time_stride=stride)) == samples
    else:
        assert reason_of(utterance, tmp_path, time_stride=stride) == "too-short-for-transcript"


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 2, 1], [1, 1, 1], [2, 1, 1, 2]])
def test_frames_needed_is_the_shortest_path_that_collapses_to_the_labels(labels):
    def collapse(path):
        return [label for label, _ in itertools.groupby(path) if label]

    def possible(length):
        return any(collapse(p) == labels for p in itertools.product(range(3), repeat=length))

    assert ctc_frames_needed(labels) == next(filter(possible, itertools.count()))


@pytest.fixture
def bad_corpus(tmp_path, good, write_wav):
    """A manifest in which each reason occurs once, among three good utterances."""
    write_wav(tmp_path / "silent.wav", np.zeros(16000))
    write_wav(tmp_path / "short.wav", [9000] * 320)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    whole = (tmp_path / "good.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(
        manifest,
        [
            good,
            dataclasses.replace(good, audio="none.wav", id="missing-audio"),
            dataclasses.replace(good, audio="empty.wav", id="empty-audio"),
            dataclasses.replace(good, audio="cut.wav", id="truncated-audio"),
            dataclasses.replace(good, audio="text.wav", id="not-audio"),
            dataclasses.replace(good, audio="silent.wav", id="silent-audio"),
            dataclasses.replace(good, transcript="", id="empty-transcript"),
            dataclasses.replace(good, transcript="HELLO", id="unknown-characters"),
            dataclasses.replace(
                good, audio="short.wav", duration=None, id="too-short-for-transcript"
            ),
            good,
            dataclasses.replace(good, id="good too"),
        ],
    )
    with manifest.open("a", encoding="utf-8") as file:
        file.write("not a line\n")
        file.write(json.dumps({"id": "last", "audio": "good.wav", "transcript": "yes"}) + "\n")
    return manifest


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_corpus_with_everything_wrong(bad_corpus, monkeypatch, jobs):
    monkeypatch.setattr(parallel, "_ITEMS_WORTH_A_PROCESS", 1)
    report = check_corpus(bad_corpus, ENGLISH, jobs=jobs, progress=False)
    assert report.total == 13
    assert report.counts() == dict.fromkeys(REASONS, 1)
    assert [(r.id, r.reason) for r in report.rejections] == [
        ("good", "duplicate-id"),
        ("line 12", "malformed-line"),
        *((r, r) for r in REASONS if r not in ("duplicate-id", "malformed-line")),
    ]
    assert "line 10 repeats the id of line 1" in report.rejections[0].detail


def test_an_empty_manifest(tmp_path):
    (tmp_path / "manifest.jsonl").write_text("\n")
    with pytest.raises(UserError, match="manifest.jsonl is empty"):
        check_corpus(tmp_path / "manifest.jsonl", ENGLISH, jobs=1)


def test_a_corpus_of_headerless_recordings(tmp_path):
    samples = np.random.default_rng(0).integers(-9000, 9000, 8000, dtype=np.int16)
    (tmp_path / "a.raw").write_bytes(samples.astype(">i2").tobytes())
    write_manifest(tmp_path / "manifest.jsonl", [Utterance("a", "a.raw", "yes", duration=1.0)])
    raw = RawFormat(sample_rate=8000, endian="BIG")
    for given, counts in ((raw, {}), (None, {"not-audio": 1})):
        report = check_corpus(
            tmp_path / "manifest.jsonl", ENGLISH, raw=given, jobs=1, progress=False
        )
        assert report.counts() == counts
