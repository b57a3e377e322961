# SPDX-License-Identifier: Apache-2.0
"""LibriSpeech in its published layout, made small."""

import pytest

from ds2_tf.corpora.importers.librispeech import import_librispeech
from ds2_tf.corpora.manifest import read_manifest
from ds2_tf.errors import UserError


@pytest.fixture
def corpus(tmp_path, write_wav):
    root = tmp_path / "LibriSpeech"
    for part, speaker in (("train-clean-100", 103), ("train-other-500", 20), ("test-other", 7)):
        for chapter in (1, 2):
            folder = root / part / str(speaker) / str(chapter)
            names = [f"{speaker}-{chapter}-{number:04d}" for number in range(2)]
            for name in names:
                write_wav(folder / f"{name}.wav")
            lines = [f"{name} DON'T GO {number}TH" for number, name in enumerate(names)]
            (folder / f"{speaker}-{chapter}.trans.txt").write_text("\n".join(lines) + "\n")
    (root / "SPEAKERS.TXT").write_text("ignored")
    return root


def run(root, output):
    return import_librispeech(root, output, jobs=1, progress=False)


def test_the_published_splits(corpus, tmp_path):
    summary = run(corpus, tmp_path / "m.jsonl")
    assert summary.utterances == {"train": 8, "test": 4}
    assert summary.speakers == {"train": 2, "test": 1}
    utterances = {u.id: u for u in read_manifest(tmp_path / "m.jsonl")}
    utterance = utterances["103-2-0001"]
    assert (utterance.transcript, utterance.speaker) == ("don't go 1th", "103")
    assert utterance.extra == {"part": "train-clean-100"}


def test_a_missing_recording_is_left_to_the_check(corpus, tmp_path):
    (corpus / "test-other/7/1/7-1-0000.wav").unlink()
    assert run(corpus, tmp_path / "m.jsonl").unreadable == 1


def test_errors(corpus, tmp_path):
    with pytest.raises(UserError, match="not LibriSpeech"):
        run(tmp_path, tmp_path / "m.jsonl")
    (corpus / "test-other/7/1/7-1.trans.txt").write_text("7-1-0000\n")
    with pytest.raises(UserError, match=r"7-1.trans.txt, line 1.*'7-1-0000'"):
        run(corpus, tmp_path / "m.jsonl")
