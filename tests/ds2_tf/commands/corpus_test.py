# SPDX-License-Identifier: Apache-2.0
"""The corpus commands as they are typed."""

import argparse
import json
import wave

import numpy as np
import pytest

from ds2_tf.commands import (
    corpus_align,
    corpus_alphabet,
    corpus_check,
    corpus_import,
    corpus_splice,
    corpus_stats,
)
from ds2_tf.corpora.manifest import Utterance, read_manifest, write_manifest
from ds2_tf.corpora.rejection import TooManyRejections
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet


def run(command, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


@pytest.fixture
def folder(tmp_path):
    """Ten recordings of half a second with texts."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "spoken"
    folder.mkdir()
    for number in range(10):
        write_wav(folder / f"{number}.wav", generator.integers(-9000, 9000, 8000))
        (folder / f"{number}.txt").write_text(f"Number {number}.")
    return folder


@pytest.fixture
def manifest(folder, tmp_path, capsys):
    path = tmp_path / "manifest.jsonl"
    assert run(corpus_import, "directory", folder, "--output", path, "--quiet") == 0
    capsys.readouterr()
    return path


@pytest.fixture
def write_words(tmp_path):
    """A function that writes a second of noise for each text, and a manifest of them."""

    def write(texts, splits=()):
        utterances = []
        for number, (name, text) in enumerate(texts.items()):
            samples = np.random.default_rng(number).integers(-9000, 9000, 16000)
            write_wav(tmp_path / f"{name}.wav", samples)
            split = dict(splits).get(name, "train")
            utterances.append(Utterance(name, f"{name}.wav", text, split=split))
        write_manifest(tmp_path / "words.jsonl", utterances)
        return tmp_path / "words.jsonl"

    return write


class TestImport:
    def test_directory(self, folder, tmp_path, capsys):
        words = ("directory", folder, "-o", tmp_path / "m.jsonl", "--test-share", "0.3")
        assert run(corpus_import, *words) == 0
        output = capsys.readouterr()
        assert "test: 3 utterances, 0.00 h, 0 speakers" in output.out
        assert "Importing" in output.err

    def test_json_and_quiet(self, folder, tmp_path, capsys):
        words = ("directory", folder, "-o", tmp_path / "m.jsonl", "--json", "-q")
        assert run(corpus_import, *words) == 0
        output = capsys.readouterr()
        assert json.loads(output.out)["utterances"] == {"train": 8, "dev": 1, "test": 1}
        assert output.err == ""

    def test_directory_with_a_table(self, folder, tmp_path):
        table = tmp_path / "table.tsv"
        table.write_text("file\twords\tpart\n3.wav\tThree!\tdev\n")
        words = ["--table", table, "--audio-column", "file", "--transcript-column", "words"]
        words += ["--split-column", "part", "--language", "none", "-q"]
        assert run(corpus_import, "directory", folder, "-o", tmp_path / "m.jsonl", *words) == 0
        (utterance,) = read_manifest(tmp_path / "m.jsonl")
        assert (utterance.transcript, utterance.split) == ("Three!", "dev")

    @pytest.mark.parametrize("choice, expected", [("1", 1), ("s0,s2", 2)])
    def test_an4(self, tmp_path, capsys, choice, expected):
        root = tmp_path / "an4"
        (root / "etc").mkdir(parents=True)
        ids = [f"an4_clstk/s{n}/an1-s{n}-b" for n in range(3)]
        (root / "etc/an4_train.fileids").write_text("\n".join(ids))
        (root / "etc/an4_train.transcription").write_text(
            "".join(f"<s> GO </s> (an1-s{n}-b)\n" for n in range(3))
        )
        for file_id in ids:
            path = root / "wav" / f"{file_id}.raw"
            path.parent.mkdir(parents=True)
            path.write_bytes(np.full(16000, 256, ">i2").tobytes())
        words = ["an4", root, "-o", tmp_path / "m.jsonl", "--dev-speakers", choice]
        assert run(corpus_import, *words, "--raw-endian", "big", "--json", "-q") == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["speakers"] == {"train": 3 - expected, "dev": expected}
        assert sum(summary["hours"].values()) == pytest.approx(3 / 3600)

    def test_ljspeech(self, folder, tmp_path, capsys):
        (folder / "metadata.csv").write_text("".join(f"{n}|{n}|Number {n}\n" for n in range(10)))
        (tmp_path / "lj").mkdir()
        (folder / "metadata.csv").rename(tmp_path / "lj" / "metadata.csv")
        folder.rename(tmp_path / "lj" / "wavs")
        words = ["ljspeech", tmp_path / "lj", "-o", tmp_path / "m.jsonl", "-q", "--json"]
        assert run(corpus_import, *words, "--dev-share", "0") == 0
        assert json.loads(capsys.readouterr().out)["utterances"] == {"train": 9, "test": 1}

    @pytest.mark.parametrize(
        "words, message",
        [
            (["-o", "corpus/manifest.jsonl"], "is a folder, and corpus/manifest.jsonl is named"),
            (["-o", "corpus", "--train-utterances", "-1"], "train_utterances must be at least 0"),
        ],
    )
    def test_synthetic_that_cannot_be(self, tmp_path, monkeypatch, words, message):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=message):
            run(corpus_import, "synthetic", *words, "-q")
        assert not (tmp_path / "corpus" / "manifest.jsonl").exists()

    def test_synthetic(self, tmp_path, capsys):
        pytest.importorskip("espeakng_loader")
        sizes = [f"--{split}-utterances=2" for split in ("train", "dev", "test")]
        words = ["synthetic", "--output", tmp_path, *sizes, "--quiet", "--json"]
        assert run(corpus_import, *words) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["utterances"] == {"train": 2, "dev": 2, "test": 2}
        assert summary["manifest"] == str(tmp_path / "manifest.jsonl")

    @pytest.mark.parametrize(
        "words",
        [
            (),
            ("unheard-of", "dir", "-o", "m.jsonl"),
            ("directory", "dir"),
            ("directory", "dir", "-o", "m.jsonl", "--dev-share", "0.7"),
            ("directory", "dir", "-o", "m.jsonl", "--jobs", "0"),
        ],
    )
    def test_wrong_usage_exits_with_2(self, words, capsys):
        with pytest.raises(SystemExit) as caught:
            run(corpus_import, *words)
        assert caught.value.code == 2


class TestCheck:
    def test_good_corpus(self, manifest, capsys):
        assert run(corpus_check, manifest, "--quiet") == 0
        assert "10 utterances, 0 rejected (0.00%)" in capsys.readouterr().out

    def test_over_the_limit(self, manifest, folder, tmp_path, capsys):
        (folder / "4.wav").unlink()
        report = tmp_path / "report.json"
        with pytest.raises(TooManyRejections, match=r"10.00%.*\n(.*\n)*.*4: missing-audio"):
            run(corpus_check, manifest, "-q", "--report", report)
        assert json.loads(report.read_text())["counts"] == {"missing-audio": 1}
        assert run(corpus_check, manifest, "-q", "--max-bad-share", "0.1") == 0
        assert "1 missing-audio" in capsys.readouterr().out

    def test_json_is_printed_even_over_the_limit(self, manifest, folder, capsys):
        (folder / "4.wav").unlink()
        with pytest.raises(TooManyRejections):
            run(corpus_check, manifest, "-q", "--json")
        assert json.loads(capsys.readouterr().out)["rejected"] == 1

    def test_against_a_recipe(self, manifest, tmp_path, capsys):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(
            "alphabet: ' abcdefghijklmnopqrstuvwxy'\n"
            "model:\n"
            "  convolutions:\n"
            "    - {filters: 4, kernel: [11, 11], stride: [2, 5]}\n"
            "  recurrent_layers: 1\n"
            "  recurrent_units: 8\n"
            "training: {epochs: 1, batch_frames: 3000}\n"
        )
        run(corpus_check, manifest, "-q", "--json", "--recipe", recipe, "--max-bad-share", "1")
        # Half a second is 10 outputs with stride 5: enough for "number one", "two" and "six".
        # "number zero" has a z, which this recipe lacks.
        assert json.loads(capsys.readouterr().out)["counts"] == {
            "too-short-for-transcript": 6,
            "unknown-characters": 1,
        }


class TestStats:
    def test_text(self, manifest, capsys):
        assert run(corpus_stats, manifest, "--quiet") == 0
        assert "characters outside the alphabet: none" in capsys.readouterr().out

    def test_page(self, manifest, tmp_path, capsys):
        assert run(corpus_stats, manifest, "--quiet", "--html", tmp_path / "page.html") == 0
        page = (tmp_path / "page.html").read_text("utf-8")
        assert page.startswith("<!DOCTYPE html>") and page.count("<svg") > 5
        assert "recordings that are clipped" in page

    def test_json_without_audio(self, manifest, folder, capsys):
        for path in folder.glob("*.wav"):
            path.unlink()
        assert run(corpus_stats, manifest, "--no-audio", "--json", "-q") == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["total"]["hours"] == pytest.approx(5 / 3600)
        assert summary["unreadable"] is None

    def test_an_empty_manifest(self, tmp_path, capsys):
        (tmp_path / "empty.jsonl").touch()
        with pytest.raises(UserError, match="empty.jsonl is empty"):
            run(corpus_stats, tmp_path / "empty.jsonl", "-q")
        assert not capsys.readouterr().out


class TestOutputFiles:
    """Of the commands that read a manifest; the helper itself has tests of its own."""

    COMMANDS = [
        (corpus_stats, "--html"),
        (corpus_check, "--report"),
        (corpus_alphabet, "--output"),
        (corpus_splice, "--output"),
        (corpus_align, "--output"),
    ]

    @pytest.mark.parametrize("command, option", COMMANDS[:3])
    def test_folders_are_made(self, command, option, manifest, tmp_path):
        output = tmp_path / "new" / "newer" / "file"
        quiet = () if command is corpus_alphabet else ("--quiet",)
        assert run(command, manifest, *quiet, option, output) == 0
        assert output.is_file()

    @pytest.mark.parametrize("command, option", COMMANDS)
    def test_what_cannot_be_written_is_said_before_the_work(
        self, command, option, manifest, capsys
    ):
        words = ("--model", "none") if command is corpus_align else ()
        with pytest.raises(UserError, match="is a file, and not a folder"):
            run(command, manifest, *words, option, manifest / "file")
        assert capsys.readouterr() == ("", "")

    def test_imports(self, folder, manifest, capsys):
        for words in (("directory", folder), ("synthetic",)):
            with pytest.raises(UserError, match="is a file, and not a folder"):
                run(corpus_import, *words, "-o", manifest / "file")
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", [corpus_align, corpus_alphabet, corpus_splice])
def test_a_misspelled_split_is_named(command, manifest, tmp_path):
    words = ("--model", tmp_path / "none") if command is corpus_align else ()
    with pytest.raises(UserError, match=r"has no split 'trian'; found \['dev', 'test', 'train'\]"):
        run(command, manifest, "--output", tmp_path / "out", "--split", "trian", *words)
    assert command is corpus_splice or not (tmp_path / "out").exists()


def test_alphabet(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("The café,\nthe theme!\n", "utf-8")
    output = tmp_path / "alphabet.txt"
    words = [tmp_path / "text.txt", "-o", output, "--language", "fr", "--bigrams", "1"]
    assert run(corpus_alphabet, *words) == 0
    assert Alphabet.load(output) == Alphabet([*" acefhmté", "th"])
    assert capsys.readouterr().out == f"9 characters, 1 bigrams in {output}\n"
    with pytest.raises(UserError, match="--split chooses from manifests"):
        run(corpus_alphabet, *words, "--split", "train")


class TestAlignAndSplice:
    def test_one_after_the_other(self, tiny_model_directory, tmp_path, write_words, capsys):
        manifest = write_words({"u0": "a b", "u1": "b ab", "u2": "a"}, splits={"u2": "dev"})
        aligned = tmp_path / "elsewhere" / "aligned.jsonl"
        words = ("--model", tiny_model_directory, "--output", aligned, "--split", "train")
        assert run(corpus_align, manifest, *words) == 0
        assert "2 utterances aligned" in capsys.readouterr().out
        first, second, other = read_manifest(aligned)
        assert (aligned.parent / first.audio).resolve() == tmp_path / "u0.wav"
        assert other.extra == {}
        for utterance in (first, second):
            times = utterance.extra["words"]
            assert [text for text, _, _ in times] == utterance.transcript.split()
            starts_and_ends = [time for _, *both in times for time in both]
            assert starts_and_ends == sorted(starts_and_ends)
            assert 0 <= starts_and_ends[0] and starts_and_ends[-1] <= 1
        output = tmp_path / "spliced"
        assert run(corpus_splice, aligned, "-o", output, "--copies", "2", "-q", "--json") == 0
        made = json.loads(capsys.readouterr().out)
        assert (made["utterances"], made["spliced"]) == (2, 4)
        assert len(list(read_manifest(output / "manifest.jsonl"))) == 7

    def test_what_is_too_long_for_its_recording(
        self, tiny_model_directory, tmp_path, write_words, capsys
    ):
        manifest = write_words({"u0": "a b", "u1": "ab " * 40})
        words = ("--model", tiny_model_directory, "--output", tmp_path / "aligned.jsonl")
        with pytest.raises(TooManyRejections, match="u1: too-short-for-transcript"):
            run(corpus_align, manifest, *words)
        assert not (tmp_path / "aligned.jsonl").exists()
        assert run(corpus_align, manifest, *words, "--max-bad-share", "0.5") == 0
        assert "u1: too-short-for-transcript" in capsys.readouterr().out
        known, unknown = read_manifest(tmp_path / "aligned.jsonl")
        assert "words" in known.extra and "words" not in unknown.extra
