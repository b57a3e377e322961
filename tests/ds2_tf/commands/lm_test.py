# SPDX-License-Identifier: Apache-2.0
"""The commands of language models as they are typed, and decoding with a package."""

import dataclasses
import importlib.util
import json
import re
import wave

import numpy as np
import pytest

from ds2_tf.audio.reading import read_audio
from ds2_tf.cli import main
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.decoding.beam_search import BeamOptions
from ds2_tf.decoding.package import load_package
from ds2_tf.recognizer import Recognizer

pytestmark = pytest.mark.usefixtures("build_model")  # skips without KenLM's programs


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A text, and a manifest of six recordings, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("Go left.\nGo right!\nStop\ngo on\n" * 3)
    utterances = []
    for number in range(6):
        samples = np.random.default_rng(number).integers(-9000, 9000, 12000)
        with wave.open(str(tmp_path / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(samples.astype("<i2").tobytes())
        utterances.append(Utterance(str(number), f"{number}.wav", "go on", split="dev"))
    write_manifest(tmp_path / "m.jsonl", utterances)
    return tmp_path


@pytest.fixture
def package(files):
    assert main(["lm", "build", "text.txt", "-o", "lm.binary", "--order", "2"]) == 0
    assert main(["lm", "package", "lm.binary", "-o", "p.decoder", "--alpha", "0.5"]) == 0
    return load_package("p.decoder")


def test_build_and_package(capsys, package):
    said = capsys.readouterr().out
    assert "12 sentences, 21 words, 5 distinct" in said
    assert "p.decoder: 2-gram model of 5 words" in said
    assert package.options == BeamOptions(alpha=0.5)


def test_build_json(files, capsys):
    words = ["--order", "2", "--characters", "--json", "--held-out", "text.txt"]
    assert main(["lm", "build", "text.txt", "-o", "lm.binary", *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["sentences"] == report["held_out_sentences"] == 12
    assert report["unknown_share"] == 0
    assert main(["lm", "build", "text.txt", "-o", "lm.binary", "--characters"]) == 0
    assert re.search(r"12 sentences, \d+ characters, \d+ distinct", capsys.readouterr().out)


def test_evaluate(package, tiny_model_directory, capsys):
    words = ["evaluate", "--model", str(tiny_model_directory), "--manifest", "m.jsonl"]
    words += ["--decoder", "p.decoder", "--output", "out.jsonl", "--report", "page.html", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["utterances"] == 6
    with open("page.html", encoding="utf-8") as file:
        page = file.read()
    assert "WER, with language model" in page and "WER, greedy" in page
    with open("out.jsonl", encoding="utf-8") as file:
        hypotheses = [json.loads(line)["hypothesis"] for line in file]
    recognizer = Recognizer.load(tiny_model_directory)
    recognitions = recognizer.recognize([read_audio(f"{n}.wav") for n in range(6)])
    expected = [package.search().decode(r.log_probs)[0].text for r in recognitions]
    assert hypotheses == expected
    assert set(" ".join(hypotheses).split()) <= {"go", "left", "right", "stop", "on"}


def test_transcribe(package, tiny_model_directory, capsys):
    words = ["transcribe", "--model", str(tiny_model_directory), "0.wav", "--json"]
    words += ["--decoder", "p.decoder"]
    assert main([*words, "--hot-word", "zebra=2000"]) == 0
    hot = json.loads(capsys.readouterr().out)
    assert "zebra" in hot["text"].split() and hot["score"] > 1000
    assert main(words) == 0
    assert "zebra" not in json.loads(capsys.readouterr().out)["text"]


def test_n_best_times_and_rescoring(package, tiny_model_directory, capsys):
    words = ["transcribe", "--model", str(tiny_model_directory), "0.wav", "--decoder", "p.decoder"]
    recognizer = Recognizer.load(tiny_model_directory)
    (recognition,) = recognizer.recognize([read_audio("0.wav")])
    expected = package.search().decode(recognition.log_probs, 3)
    capsys.readouterr()
    assert main([*words, "--n-best", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["text"], said["score"]) == (expected[0].text, expected[0].total)
    names = ("text", "log_p_ctc", "log_p_lm", "length", "total")
    assert [[item[name] for name in names] for item in said["n_best"]] == [
        [getattr(h, name) for name in names] for h in expected
    ]
    assert [word["text"] for word in said["words"]] == said["text"].split()
    # A network frame is 20 ms here.
    assert [word["start"] for word in said["words"]] == [
        pytest.approx(0.02 * word.start) for word in expected[0].words
    ]
    assert main([*words, "--n-best", "3", "--times"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[:3]] == ["1", "2", "3"]
    assert lines[0][1:] == [
        *(f"{x:.3f}" for x in (expected[0].total, expected[0].log_p_ctc, expected[0].log_p_lm)),
        str(expected[0].length),
        expected[0].text,
    ]
    assert [line[2] for line in lines[3:]] == expected[0].text.split()
    rescoring = ["--rescore-lm", "lm.binary", "--rescore-weight", "2", "--n-best", "1", "--json"]
    assert main([*words, *rescoring]) == 0
    (best,) = json.loads(capsys.readouterr().out)["n_best"]
    assert best["log_p_rescoring"] == pytest.approx(best["log_p_lm"], rel=1e-5)
    hypothesis_total = best["log_p_ctc"] + 0.5 * best["log_p_lm"]
    assert best["total"] == pytest.approx(hypothesis_total + 2 * best["log_p_rescoring"], rel=1e-5)


def test_beam_search_without_a_language_model(package, tiny_model_directory, capsys):
    words = ["transcribe", "--model", str(tiny_model_directory), "0.wav", "--beam-size", "20"]
    capsys.readouterr()
    assert main([*words, "--n-best", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["n_best"]) == 2
    assert all(item["total"] == item["log_p_ctc"] for item in said["n_best"])


def test_transcribe_with_a_server(package, tiny_model_directory, monkeypatch, capsys):
    """The server gives log probabilities, the search runs here: the text is the same."""
    client = pytest.importorskip("serving.client")
    recognizer = Recognizer.load(tiny_model_directory)

    class FakeClient(client.Client):
        def predict(self, signature_name, inputs, version=None):
            assert (self.address, self.model_name) == ("host:1", "ds2")
            if signature_name == "model_info":
                labels = [label.encode() for label in recognizer.alphabet.labels]
                told = {"labels": np.array([labels], object), "sample_rate": np.array([16000])}
                return client.Prediction(told, 1, 0.0)
            assert signature_name == "serving_default"
            rows = zip(inputs["samples"], inputs["num_samples"])
            results = [recognizer.recognize([row[:length]])[0].log_probs for row, length in rows]
            frames = np.array([len(result) for result in results], np.int32)
            log_probs = np.zeros([len(results), frames.max(), 29], np.float32)
            for row, result in zip(log_probs, results):
                row[: len(result)] = result
            return client.Prediction({"log_probs": log_probs, "num_frames": frames}, 1, 0.0)

    monkeypatch.setattr(client, "Client", FakeClient)
    words = ["0.wav", "1.wav", "--decoder", "p.decoder", "--json"]
    capsys.readouterr()
    assert main(["transcribe", "--server", "host:1", *words]) == 0
    with_server = capsys.readouterr().out
    assert main(["transcribe", "--model", str(tiny_model_directory), *words]) == 0
    assert capsys.readouterr().out == with_server
    assert len(with_server.splitlines()) == 2


def test_tune(package, tiny_model_directory, capsys):
    # What the recogniser says with the language model is what the corpus is said to contain.
    recognizer = Recognizer.load(tiny_model_directory)
    recognitions = recognizer.recognize([read_audio(f"{n}.wav") for n in range(6)])
    search = package.search(options=BeamOptions(alpha=1.0, beta=1.0))
    texts = [search.decode(r.log_probs)[0].text for r in recognitions]
    assert any(texts)
    write_manifest(
        "said.jsonl",
        [Utterance(str(n), f"{n}.wav", text, split="dev") for n, text in enumerate(texts)],
    )
    words = ["lm", "tune", "p.decoder", "--model", str(tiny_model_directory)]
    words += ["--manifest", "said.jsonl", "--alphas", "0", "1", "--betas", "0", "1"]
    assert main([*words, "--refinements", "0", "--plot", "surface.png", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert outcome["development"]["wer"] == outcome["check"]["wer"] == 0
    assert outcome["check_greedy"]["wer"] > 0
    assert len(outcome["surface"]) == 4
    options = load_package("p.decoder").options
    assert dataclasses.asdict(options) == outcome["options"]
    with open("surface.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


@pytest.mark.parametrize("option", ["--split", "--check-split"])
def test_tune_names_a_misspelled_split(package, option, capsys):
    words = ["lm", "tune", "p.decoder", "--model", "none", "--manifest", "m.jsonl"]
    assert main([*words, "--split", "dev", option, "dve"]) == 1
    assert "m.jsonl has no split 'dve'; found ['dev']" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["build", "text.txt", "-o", "text.txt/lm"],
        ["package", "lm.binary", "-o", "text.txt/lm"],
        ["tune", "p.decoder", "--model", "m", "--manifest", "m.jsonl", "--plot", "text.txt/lm"],
    ],
)
def test_files_that_cannot_be_written(package, words, capsys):
    capsys.readouterr()
    assert main(["lm", *words]) == 1
    output = capsys.readouterr()
    assert "text.txt is a file, and not a folder." in output.err and not output.out


def test_a_picture_without_pillow(package, monkeypatch, capsys):
    find_spec = importlib.util.find_spec

    def without_pillow(name, *more):
        return None if name == "PIL" else find_spec(name, *more)

    monkeypatch.setattr("importlib.util.find_spec", without_pillow)
    words = ["p.decoder", "--model", "m", "--manifest", "m.jsonl", "--plot", "surface.png"]
    assert main(["lm", "tune", *words]) == 1
    assert "Plotting needs Pillow" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["lm", "package", "text.txt", "-o", "p"], "text.txt is not a KenLM binary"),
        (["lm", "build", "none.txt", "-o", "p"], "none.txt cannot be read"),
        (["lm", "package", "lm.binary", "-o", "p", "--alphabet", "a.txt"], "of another alphabet"),
        (["lm", "package", "lm.binary", "-o", "p", "--beam-size", "0"], "must be at least 1"),
        (["transcribe", "--model", "m", "x.wav", "--hot-word", "a=1"], "needs --decoder"),
        (["transcribe", "--model", "m", "x.wav", "--n-best", "2"], "--n-best needs --decoder"),
        (["transcribe", "--model", "m", "x.wav", "--n-best", "0"], "must be at least 1, got 0"),
        (["transcribe", "--server", "h:1", "x.wav", "--beam-size", "5"], "needs --decoder"),
    ],
)
def test_errors(package, words, message, capsys):
    with open("a.txt", "w", encoding="utf-8") as file:
        file.write(" \nx\ny\nz\n")
    capsys.readouterr()
    assert main(words) == 1
    assert message in capsys.readouterr().err


def test_decoder_of_another_alphabet(files, package, tiny_model_directory, capsys):
    with open("a.txt", "w", encoding="utf-8") as file:
        file.write(" \n" + "".join(f"{c}\n" for c in "abcdefghijklmnopqrstuvwxyz"))
    assert main(["lm", "package", "lm.binary", "-o", "q", "--alphabet", "a.txt"]) == 0
    words = ["evaluate", "--model", str(tiny_model_directory), "--manifest", "m.jsonl"]
    assert main([*words, "--decoder", "q"]) == 1
    said = capsys.readouterr().err
    assert "package q is for an alphabet of 28 labels: ' ', 'a', 'b', ..., and the model" in said
    assert (
        """one of 29 labels: ' ', 'a', 'b', ... (label 28 is missing in the former and "'\""""
        in said
    )
