# SPDX-License-Identifier: Apache-2.0
"""`ds2 transcribe` as it is typed."""

import json

import numpy as np
import pytest

from ds2_tf import cli
from ds2_tf.audio.reading import read_audio
from ds2_tf.audio.segmentation import cut_at_pauses
from ds2_tf.recognizer import Recognizer


@pytest.fixture(scope="module")
def files(tmp_path_factory, wav_file, noise):
    directory = tmp_path_factory.mktemp("recordings")
    for number, rate in enumerate((16000, 8000)):
        (directory / f"{number}.wav").write_bytes(wav_file(noise(9000, seed=number), rate))
    (directory / "bad.wav").write_bytes(b"no recording")
    (directory / "2.raw").write_bytes(np.asarray(noise(9000, seed=2), ">i2").tobytes())
    return directory


@pytest.fixture(scope="module")
def texts(files, tiny_model_directory):
    recordings = [read_audio(files / name) for name in ("0.wav", "1.wav")]
    recognitions = Recognizer.load(tiny_model_directory).recognize(recordings)
    return [" ".join(recognition.text.split()) for recognition in recognitions]


@pytest.fixture
def transcribe(files, tiny_model_directory, capsys):
    def run(*words):
        words = [str(files / word) if "." in word else word for word in words]
        status = cli.main(["transcribe", "--model", str(tiny_model_directory), *words])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def test_one_file_gives_its_text(transcribe, texts):
    assert transcribe("0.wav") == (0, texts[0] + "\n", "")


def test_a_bad_file_does_not_keep_the_others(transcribe, files, texts):
    status, output, errors = transcribe("0.wav", "bad.wav", "1.wav")
    assert status == 1
    assert output == f"{files / '0.wav'}\t{texts[0]}\n{files / '1.wav'}\t{texts[1]}\n"
    (error,) = errors.splitlines()
    assert error.startswith("ds2: error: not-audio: ") and "bad.wav" in error


def test_json(transcribe, files, texts):
    status, output, _ = transcribe("--json", "0.wav", "1.wav")
    assert status == 0
    first, second = map(json.loads, output.splitlines())
    assert first.keys() == {"file", "text", "score", "duration"}
    assert (first["file"], first["text"]) == (str(files / "0.wav"), texts[0])
    assert first["score"] < 0
    assert (first["duration"], second["duration"]) == (9000 / 16000, 9000 / 8000)


def test_nothing_readable(transcribe):
    status, output, errors = transcribe("bad.wav", "none.wav")
    assert (status, output) == (1, "")
    assert [line.split(": ")[2] for line in errors.splitlines()] == ["not-audio", "missing-audio"]


def test_headerless_recordings(transcribe):
    assert transcribe("2.raw")[0] == 1
    words = ("--raw-sample-rate", "16000", "--raw-endian", "big")
    status, output, _ = transcribe(*words, "2.raw")
    assert status == 0 and output.strip()


def test_no_model(files, tmp_path, capsys):
    assert cli.main(["transcribe", "--model", str(tmp_path), str(files / "0.wav")]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"ds2: error: {tmp_path} is not a model directory")


def test_long_recordings_are_cut(transcribe, files, tiny_model_directory, wav_file, noise):
    samples = np.concatenate([noise(40000, 3), noise(8000, 4) // 100, noise(40000, 5)])
    (files / "long.wav").write_bytes(wav_file(samples))
    status, output, _ = transcribe("--json", "--words", "--piece-seconds", "4", "long.wav")
    assert status == 0
    result = json.loads(output)
    (start, stop), (_, end) = (
        (piece.start, piece.stop)
        for piece in cut_at_pauses(read_audio(files / "long.wav"), 16000, limit_seconds=4)
    )
    assert start == 0 and 40000 < stop < 48000 and end == 88000
    recording = read_audio(files / "long.wav")
    recognizer = Recognizer.load(tiny_model_directory)
    pieces = recognizer.recognize([recording[:stop], recording[stop:]])
    assert result["text"].split() == " ".join(piece.text for piece in pieces).split()
    assert [word["text"] for word in result["words"]] == result["text"].split()
    edges = [edge for word in result["words"] for edge in (word["start"], word["end"])]
    assert edges == sorted(edges) and edges[-1] <= 5.51
    assert result["duration"] == 5.5
    first = len(pieces[0].text.split())
    assert edges[2 * first - 1] <= stop / 16000 + 0.02 <= edges[2 * first] + 0.021


def test_options_that_make_no_sense(transcribe):
    for words, message in {
        ("--words",): "--words needs --json",
        ("--piece-seconds=-1",): "1 s or more",
        ("--batch-size", "0"): "at least 1",
    }.items():
        status, output, errors = transcribe(*words, "0.wav")
        assert (status, output) == (1, "") and message in errors
