# SPDX-License-Identifier: Apache-2.0
"""LJSpeech in its published layout, made small."""

import pytest
import soundfile

from ds2_tf.corpora.importers.ljspeech import import_ljspeech
from ds2_tf.corpora.manifest import read_manifest
from ds2_tf.errors import UserError


@pytest.fixture
def corpus(tmp_path, write_wav):
    root = tmp_path / "LJSpeech-1.1"
    lines = [
        'LJ001-0001|"Printing," in 1455.|"Printing," in fourteen fifty-five.',
        "LJ001-0002|Dr. X|Doctor X",
        "LJ001-0003|It isn't 3.",
    ]
    lines += [f"LJ002-{n:04d}|Text.|Text {n}." for n in range(37)]
    for line in lines:
        write_wav(root / "wavs" / f"{line[:10]}.wav", rate=22050)
    (root / "metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return root


def run(root, output, **arguments):
    return import_ljspeech(root, output, jobs=1, progress=False, **arguments)


def test_takes_the_text_as_read(corpus, tmp_path):
    summary = run(corpus, tmp_path / "m.jsonl")
    assert summary.utterances == {"train": 36, "dev": 2, "test": 2}
    assert summary.unreadable == 0
    transcripts = {u.id: u.transcript for u in read_manifest(tmp_path / "m.jsonl")}
    assert transcripts["LJ001-0001"] == "printing in fourteen fifty five"
    assert transcripts["LJ001-0002"] == "doctor x"
    assert transcripts["LJ001-0003"] == "it isn't three"
    assert {u.duration for u in read_manifest(tmp_path / "m.jsonl")} == {1.0}


def test_splits_depend_on_the_seed_and_not_on_the_order(corpus, tmp_path):
    def splits(seed):
        run(corpus, tmp_path / "m.jsonl", seed=seed, dev_share=0.2)
        return {u.id: u.split for u in read_manifest(tmp_path / "m.jsonl")}

    first = splits(1)
    assert splits(2) != first
    metadata = corpus / "metadata.csv"
    metadata.write_text("\n".join(reversed(metadata.read_text("utf-8").splitlines())), "utf-8")
    assert splits(1) == first


def test_recordings_of_another_format(corpus, tmp_path):
    wav = corpus / "wavs" / "LJ001-0001.wav"
    samples, rate = soundfile.read(wav)
    soundfile.write(wav.with_suffix(".flac"), samples, rate)
    wav.unlink()
    assert run(corpus, tmp_path / "m.jsonl").unreadable == 0


def test_errors_for_people(corpus, tmp_path):
    with pytest.raises(UserError, match="is not LJSpeech"):
        run(tmp_path, tmp_path / "m.jsonl")
    (corpus / "metadata.csv").write_text("LJ001-0001 no bars\n")
    with pytest.raises(UserError, match="line 1: expected id|text"):
        run(corpus, tmp_path / "m.jsonl")
