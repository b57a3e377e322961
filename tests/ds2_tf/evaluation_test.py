# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a model on a manifest."""

import numpy as np
import pytest

from ds2_tf import evaluation
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.corpora.rejection import RejectionReport, TooManyRejections
from ds2_tf.errors import UserError
from ds2_tf.evaluation import Evaluation, Result, evaluate, slice_fields
from ds2_tf.metrics.error_rate import ErrorCounts
from ds2_tf.recognizer import Recognizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, wav_file, noise):
    """Five recordings; what is "said" in them is what the tiny model hears, or nearly."""
    directory = tmp_path_factory.mktemp("corpus")
    for number in range(5):
        samples = noise(8000 + 1600 * number, seed=number)
        (directory / f"{number}.wav").write_bytes(wav_file(samples))
    return directory


@pytest.fixture(scope="module")
def heard(corpus, tiny_model_directory):
    from ds2_tf.audio.reading import read_audio

    recognizer = Recognizer.load(tiny_model_directory)
    recordings = [read_audio(corpus / f"{number}.wav") for number in range(5)]
    return [result.text for result in recognizer.recognize(recordings)]


def manifest_of(path, utterances):
    write_manifest(path, utterances)
    return path


def test_counts_the_errors_of_what_is_heard(tiny_model_directory, corpus, heard, monkeypatch):
    monkeypatch.setattr(evaluation, "_CHUNK", 2)
    said = [f"{heard[0]} zzz", *heard[1:]]
    manifest = manifest_of(
        corpus / "all.jsonl",
        [Utterance(str(n), f"{n}.wav", f"  {text} ") for n, text in enumerate(said)],
    )
    result = evaluate(tiny_model_directory, manifest)
    assert [r.id for r in result.results] == list("01234")
    assert [r.hypothesis.split() for r in result.results] == [text.split() for text in heard]
    words = sum(len(text.split()) for text in said)
    assert result.words == ErrorCounts(0, 0, 1, words)
    assert result.audio_seconds == pytest.approx(sum(0.5 + 0.1 * n for n in range(5)))
    assert result.to_dict()["wer"] == pytest.approx(1 / words)
    assert "1 deletions" in result.summary() and "5 utterances" in result.summary()


def test_a_single_split(tiny_model_directory, corpus):
    manifest = manifest_of(
        corpus / "splits.jsonl",
        [Utterance(str(n), f"{n}.wav", "a", split="test" if n % 2 else "train") for n in range(5)],
    )
    result = evaluate(tiny_model_directory, manifest, split="test")
    assert [r.id for r in result.results] == ["1", "3"]
    assert result.report.total == 2


def test_bad_utterances_are_left_out_up_to_the_limit(tiny_model_directory, corpus):
    utterances = [Utterance(str(n), f"{n}.wav", "a") for n in range(4)]
    utterances.append(Utterance("gone", "gone.wav", "a"))
    manifest = manifest_of(corpus / "bad.jsonl", utterances)
    with pytest.raises(TooManyRejections, match="20.00%"):
        evaluate(tiny_model_directory, manifest)
    result = evaluate(tiny_model_directory, manifest, max_bad_share=0.2)
    assert len(result.results) == 4 and result.to_dict()["rejected"] == 1
    assert "gone: missing-audio" in result.summary()


def test_an_empty_split_is_an_error(tiny_model_directory, corpus):
    manifest = manifest_of(corpus / "none.jsonl", [Utterance("0", "0.wav", "a", split="train")])
    with pytest.raises(UserError, match=r"none.jsonl has no split 'test'; found \['train'\]"):
        evaluate(tiny_model_directory, manifest, split="test")
    manifest_of(manifest, [])
    for split in (None, "test"):
        with pytest.raises(UserError, match="none.jsonl is empty"):
            evaluate(tiny_model_directory, manifest, split=split)


def test_rates_weigh_every_word_alike():
    results = [Result("a", "one", "two"), Result("b", "one two three", "one two three four")]
    fields = Evaluation(results, RejectionReport(2), 3.0).to_dict()
    assert fields["wer"] == pytest.approx(2 / 4)
    assert (fields["substitutions"], fields["insertions"], fields["deletions"]) == (1, 1, 0)
    assert (fields["words"], fields["utterances"], fields["audio_seconds"]) == (4, 2, 3.0)
    assert fields["characters"] == 3 + 13
    assert results[1].to_dict() == {
        "id": "b",
        "reference": "one two three",
        "hypothesis": "one two three four",
        "wer": pytest.approx(1 / 3),
        "word_errors": 1,
    }
    assert np.isclose(fields["cer"], (3 + 5) / 16)


def test_fields_to_slice_by(tmp_path):
    manifest = manifest_of(
        tmp_path / "m.jsonl",
        [
            Utterance(
                str(n), "-", "a", speaker=f"s{n}", extra={"accent": "ab"[n % 2], "text": f"{n}"}
            )
            for n in range(30)
        ],
    )
    assert slice_fields(manifest) == ["speaker", "duration", "accent"]
    assert slice_fields(manifest, ["text"]) == ["text"]
    with pytest.raises(UserError, match="'acent' to slice by; found duration, speaker, accent"):
        slice_fields(manifest, ["acent"])


def test_results_for_a_report():
    result = Result("a", "b", "c", greedy="d", seconds=3.0, fields={"speaker": "s", "age": 3})
    (found,) = Evaluation([result], RejectionReport(1), 3.0).utterance_results(["duration", "age"])
    assert found.hypotheses == {"with language model": "c", "greedy": "d"}
    assert found.slices == {"duration": "2 to 4 s", "age": "3"}
    (alone,) = Evaluation([Result("a", "b", "c")], RejectionReport(1), 3.0).utterance_results([])
    assert alone.hypotheses == {"greedy": "c"}
