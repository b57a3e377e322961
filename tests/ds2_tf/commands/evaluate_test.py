# SPDX-License-Identifier: Apache-2.0
"""`ds2 evaluate` as it is typed."""

import json

import pytest

from ds2_tf import cli
from ds2_tf.corpora.manifest import Utterance, write_manifest


@pytest.fixture
def manifest(tmp_path, wav_file, noise):
    utterances = []
    for number in range(3):
        (tmp_path / f"{number}.wav").write_bytes(wav_file(noise(8000, seed=number)))
        split = "dev" if number else "test"
        utterances.append(Utterance(f"u{number}", f"{number}.wav", "a b", split=split))
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    return tmp_path / "manifest.jsonl"


@pytest.fixture
def evaluate(manifest, tiny_model_directory, capsys):
    def run(*words):
        model = ["--model", str(tiny_model_directory), "--manifest", str(manifest)]
        status = cli.main(["evaluate", *model, *map(str, words)])
        return status, capsys.readouterr()

    return run


def test_json(evaluate, tmp_path):
    status, output = evaluate("--json", "--output", tmp_path / "results.jsonl")
    assert status == 0
    result = json.loads(output.out)
    required = "wer cer words utterances substitutions insertions deletions"
    assert result.keys() >= set(required.split())
    assert (result["utterances"], result["words"]) == (3, 6)
    errors = result["substitutions"] + result["insertions"] + result["deletions"]
    assert result["wer"] == pytest.approx(errors / 6)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["u0", "u1", "u2"]
    assert sum(line["word_errors"] for line in lines) == errors


def test_text_and_split(evaluate):
    status, output = evaluate("--split", "dev")
    assert status == 0
    assert output.out.startswith("WER ") and "2 utterances, 0.0 minutes" in output.out


def test_a_missing_recording_is_over_the_limit(evaluate, manifest):
    (manifest.parent / "1.wav").unlink()
    status, output = evaluate()
    assert status == 1
    assert "33.33% of the corpus cannot be used" in output.err and not output.out
    assert evaluate("--max-bad-share", "0.5")[0] == 0


def test_report(evaluate, tmp_path):
    status, output = evaluate("--report", tmp_path / "page.html", "--slice", "duration", "--json")
    assert status == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and "By duration" in page and "u2" in page
    low, high = json.loads(output.out)["wer_interval"]
    assert low <= json.loads(output.out)["wer"] <= high


@pytest.mark.parametrize("share", ["7", "-0.1", "nan", "few"])
def test_a_share_is_from_0_to_1(evaluate, share, capsys):
    with pytest.raises(SystemExit) as exit:
        evaluate("--max-bad-share", share)
    assert exit.value.code == 2
    assert f"--max-bad-share: {share} is not a share from 0 to 1" in capsys.readouterr().err


def test_folders_of_files_are_made(evaluate, tmp_path):
    folder = tmp_path / "new" / "newer"
    assert evaluate("--report", folder / "e.html", "--output", folder / "e.jsonl")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["e.html", "e.jsonl"]


@pytest.mark.parametrize("option", ["--report", "--output"])
def test_files_that_cannot_be_written_are_named_before_the_work(evaluate, manifest, option):
    status, output = evaluate(option, manifest / "e")
    assert status == 1 and f"{manifest} is a file, and not a folder" in output.err
    assert "recognised" not in output.err and not output.out


@pytest.mark.parametrize(
    "words, message",
    [
        (["--slice", "duration"], "--slice needs --report"),
        (["--slice", "accent", "--report", "r.html"], "no utterance has a field 'accent'"),
    ],
)
def test_slices_that_cannot_be(evaluate, words, message):
    status, output = evaluate(*words)
    assert status == 1
    assert message.lower() in output.err.lower() and "recognised" not in output.err
