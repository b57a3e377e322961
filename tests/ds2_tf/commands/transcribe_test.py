# SPDX-License-Identifier: Apache-2.0
"""`ds2 transcribe` as it is typed."""

import io
import json
import queue
import sys
import types

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
    assert first.keys() == {"file", "text", "score", "duration", "words"}
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
    status, output, _ = transcribe("--json", "--times", "--piece-seconds", "4", "long.wav")
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
        ("--piece-seconds=-1",): "1 s or more",
        ("--batch-size", "0"): "at least 1",
    }.items():
        status, output, errors = transcribe(*words, "0.wav")
        assert (status, output) == (1, "") and message in errors


class TestStream:
    @pytest.fixture
    def transcribe(self, files, streaming_model_directory, capsys):
        def run(*words):
            words = [str(files / word) if "." in word else word for word in words]
            status = cli.main(["transcribe", "--model", str(streaming_model_directory), *words])
            output = capsys.readouterr()
            return status, output.out, output.err

        return run

    @pytest.fixture(scope="class")
    def text(self, files, streaming_model_directory):
        samples = read_audio(files / "0.wav")
        (recognition,) = Recognizer.load(streaming_model_directory).recognize([samples])
        return " ".join(recognition.text.split())

    def test_file(self, transcribe, text):
        assert transcribe("--stream", "0.wav") == (0, text + "\n", "")

    def test_json_tells_what_is_known_so_far(self, transcribe, files, text):
        status, output, _ = transcribe("--stream", "--json", "0.wav", "bad.wav")
        assert status == 1
        *partials, last = map(json.loads, output.splitlines())
        assert last["text"] == text
        assert last["duration"] == 9000 / 16000
        assert [word["text"] for word in last["words"]] == text.split()
        assert partials and all(line["stable"] + line["unstable"] for line in partials)
        assert {line["file"] for line in partials} == {str(files / "0.wav")}
        seconds = [line["seconds"] for line in partials]
        assert seconds == sorted(seconds) and seconds[-1] <= 0.5625
        for line in partials:
            assert text.startswith(f"{line['stable']} {line['unstable']}".strip())

    @pytest.mark.parametrize("options", [[], ["--raw-sample-rate", "16000", "--raw-endian", "big"]])
    def test_pipe(self, options, transcribe, text, noise, monkeypatch):
        data = np.asarray(noise(9000, seed=0), ">i2" if options else "<i2").tobytes()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert transcribe("--stream", "-", *options) == (0, text + "\n", "")

    def test_pipe_of_a_wav_file(self, transcribe, files, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"RIFF1234WAVE")))
        status, _, errors = transcribe("--stream", "-")
        assert status == 1 and "arecord -t raw" in errors

    def test_microphone_without_its_package(self, transcribe, monkeypatch):
        monkeypatch.setitem(sys.modules, "sounddevice", None)
        status, _, errors = transcribe("--microphone")
        assert status == 1 and "pip install sounddevice" in errors

    def test_microphone(self, transcribe, text, noise, monkeypatch):
        """A device that plays a recording, then the key that ends it."""
        samples = noise(9000, seed=0).astype(np.float32) / 2**15

        class Device:
            def __init__(self, samplerate, blocksize, callback, **_):
                assert samplerate == 16000
                self.play = lambda: [
                    callback(samples[at : at + blocksize, None], blocksize, None, None)
                    for at in range(0, 9000, blocksize)
                ]

            def __enter__(self):
                self.play()

            def __exit__(self, *_):
                pass

        class Queue(queue.SimpleQueue):
            def get(self):
                if self.empty():
                    raise KeyboardInterrupt
                return super().get()

        module = types.ModuleType("sounddevice")
        module.InputStream, module.PortAudioError = Device, OSError
        monkeypatch.setitem(sys.modules, "sounddevice", module)
        monkeypatch.setattr("ds2_tf.audio.live.queue.SimpleQueue", Queue)
        assert transcribe("--microphone") == (0, text + "\n", "")

    def test_a_model_that_needs_the_whole(self, files, tiny_model_directory, capsys):
        words = ["--model", str(tiny_model_directory), "--stream", str(files / "0.wav")]
        assert cli.main(["transcribe", *words]) == 1
        assert "needs the whole utterance" in capsys.readouterr().err

    def test_nothing_to_transcribe(self, transcribe):
        assert transcribe("--stream")[0] == 1
        assert "Name the recordings" in transcribe()[2]
        assert transcribe("--microphone", "0.wav")[0] == 1
