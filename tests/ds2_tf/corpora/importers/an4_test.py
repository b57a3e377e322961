# SPDX-License-Identifier: Apache-2.0
"""AN4 in the layouts it is published in, made small."""

import numpy as np
import pytest
import soundfile

from ds2_tf.audio.reading import RawFormat, read_audio
from ds2_tf.corpora.importers.an4 import import_an4
from ds2_tf.corpora.manifest import read_manifest, resolve_audio
from ds2_tf.errors import UserError

SPEAKERS = ("fash", "fbbh", "mjwl", "mmxg")
TEST_SPEAKERS = ("fcaw", "miry")


def write_recording(path, suffix, samples):
    if suffix == ".sph":
        fields = (
            f"sample_count -i {len(samples)}\nsample_n_bytes -i 2\nchannel_count -i 1\n"
            "sample_byte_format -s2 01\nsample_rate -i 16000\nsample_coding -s3 pcm\nend_head\n"
        )
        header = ("NIST_1A\n   1024\n" + fields).encode().ljust(1024)
        path.with_suffix(suffix).write_bytes(header + samples.astype("<i2").tobytes())
    elif suffix == ".raw":
        path.with_suffix(suffix).write_bytes(samples.astype("<i2").tobytes())
    else:
        soundfile.write(path.with_suffix(suffix), samples.astype(np.int16), 16000)


def make_an4(root, suffix=".sph", parts=("train", "test")):
    (root / "etc").mkdir(parents=True)
    for part, folder, speakers in (
        ("train", "an4_clstk", SPEAKERS),
        ("test", "an4test_clstk", TEST_SPEAKERS),
    ):
        ids, transcription = [], []
        for speaker in speakers:
            for number in (251, 252):
                name = f"an{number}-{speaker}-b"
                ids.append(f"{folder}/{speaker}/{name}")
                words = "GO  ON" if number == 251 else f"{' '.join(speaker.upper())} O'HARA"
                # The published test transcription goes without the sentence marks.
                words = f"<s> {words} </s>" if part == "train" else words
                transcription.append(f"{words} ({name})")
                if part in parts:
                    path = root / "wav" / ids[-1]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_recording(path, suffix, np.full(4000, number))
        (root / f"etc/an4_{part}.fileids").write_text("\n".join(ids) + "\n")
        (root / f"etc/an4_{part}.transcription").write_text("\n".join(transcription) + "\n")
    return root


def run(root, output, **arguments):
    return import_an4(root, output, jobs=1, progress=False, **{"dev_speakers": 1, **arguments})


@pytest.mark.parametrize("suffix", [".sph", ".raw", ".wav", ".flac"])
def test_published_layouts(tmp_path, suffix):
    root = make_an4(tmp_path / "an4", suffix)
    summary = run(root, tmp_path / "manifest.jsonl")
    assert summary.utterances == {"train": 6, "dev": 2, "test": 4}
    assert summary.speakers == {"train": 3, "dev": 1, "test": 2}
    assert sum(summary.hours.values()) == pytest.approx(12 * 0.25 / 3600)
    assert summary.unreadable == 0
    utterances = {u.id: u for u in read_manifest(tmp_path / "manifest.jsonl")}
    assert utterances["an251-fash-b"].transcript == "go on"
    assert utterances["an252-fcaw-b"].transcript == "f c a w o'hara"
    assert utterances["an252-fcaw-b"].speaker == "fcaw"
    assert utterances["an252-fcaw-b"].split == "test"
    for utterance in utterances.values():
        samples = read_audio(
            resolve_audio(utterance, tmp_path / "manifest.jsonl"), raw=RawFormat(16000)
        )
        np.testing.assert_allclose(samples, int(utterance.id[2:5]) / 32768)
        assert utterance.duration == 0.25


def test_without_the_test_part(tmp_path):
    root = make_an4(tmp_path / "an4", parts=("train",))
    assert run(root, tmp_path / "m.jsonl").utterances == {"train": 6, "dev": 2}
    (root / "etc/an4_test.fileids").unlink()
    (root / "etc/an4_test.transcription").unlink()
    assert run(root, tmp_path / "m.jsonl").utterances == {"train": 6, "dev": 2}


def test_whole_speakers_are_held_out_by_seed(tmp_path):
    root = make_an4(tmp_path / "an4")

    def dev_speakers(**arguments):
        run(root, tmp_path / "m.jsonl", **arguments)
        utterances = [u for u in read_manifest(tmp_path / "m.jsonl") if u.split != "test"]
        dev = {u.speaker for u in utterances if u.split == "dev"}
        assert dev.isdisjoint(u.speaker for u in utterances if u.split == "train")
        return dev

    assert dev_speakers(dev_speakers=2) == dev_speakers(dev_speakers=2)
    assert len({frozenset(dev_speakers(seed=seed)) for seed in range(20)}) > 1
    assert dev_speakers(dev_speakers=["mjwl", "fbbh"]) == {"mjwl", "fbbh"}
    assert dev_speakers(dev_speakers=0) == set()


def test_paths_are_relative_when_the_manifest_lies_above(tmp_path):
    root = make_an4(tmp_path / "an4")
    run(root, tmp_path / "manifest.jsonl")
    first = next(read_manifest(tmp_path / "manifest.jsonl"))
    assert first.audio == "an4/wav/an4_clstk/fash/an251-fash-b.sph"
    run(root, tmp_path / "elsewhere" / "manifest.jsonl")
    first = next(read_manifest(tmp_path / "elsewhere" / "manifest.jsonl"))
    assert first.audio == str(root / "wav/an4_clstk/fash/an251-fash-b.sph")


def test_what_is_missing_is_left_for_the_check_to_name(tmp_path):
    root = make_an4(tmp_path / "an4")
    (root / "wav/an4_clstk/fash/an251-fash-b.sph").unlink()
    transcription = root / "etc/an4_train.transcription"
    lines = transcription.read_text().splitlines()
    transcription.write_text("\n".join(line for line in lines if "an252-fash-b" not in line))
    summary = run(root, tmp_path / "m.jsonl", dev_speakers=0)
    assert summary.unreadable == 1
    assert "1 recordings could not be read" in summary.text()
    utterances = {u.id: u for u in read_manifest(tmp_path / "m.jsonl")}
    assert utterances["an251-fash-b"].duration is None
    assert utterances["an252-fash-b"].transcript == ""


def test_errors_for_people(tmp_path):
    with pytest.raises(UserError, match="is not AN4.*an4_train.fileids"):
        run(tmp_path, tmp_path / "m.jsonl")
    root = make_an4(tmp_path / "an4")
    with pytest.raises(UserError, match="4 dev speakers asked for.*has 4"):
        run(root, tmp_path / "m.jsonl", dev_speakers=4)
    with pytest.raises(UserError, match="no speaker nobody; it has fash, fbbh"):
        run(root, tmp_path / "m.jsonl", dev_speakers=["fash", "nobody"])
    for path in (root / "wav").rglob("*.sph"):
        path.unlink()
    with pytest.raises(UserError, match="None of 12 recordings could be read"):
        run(root, tmp_path / "m.jsonl")
    assert not (tmp_path / "m.jsonl").exists()
