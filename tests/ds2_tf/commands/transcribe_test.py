# SPDX-License-Identifier: Apache-2.0
"""`ds2 transcribe` as it is typed."""

import json

import numpy as np
import pytest

from ds2_tf import cli
from ds2_tf.audio.reading import read_audio
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
    return [r.text for r in Recognizer.load(tiny_model_directory).recognize(recordings)]


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
