# SPDX-License-Identifier: Apache-2.0
"""The TFMA metrics against jiwer, whole and in slices, alone and beside a baseline."""

from __future__ import annotations

import math

import apache_beam as beam
import jiwer
import numpy as np
import pytest
import tensorflow_model_analysis as tfma

from pipeline.configs import EvaluationConfig
from pipeline.evaluation.error_rate_metrics import CharacterErrorRate, WordErrorRate
from pipeline.evaluation.eval_config import make_eval_config
from pipeline.evaluation.outcome import read_evaluation

_WORDS = ("a", "dog", "dogs", "saw", "two", "too", "it's")


def _sentences(count: int, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(_WORDS, size=generator.integers(1, 9))) for _ in range(count)]


def _extracts(references, speakers, **hypotheses) -> list[dict]:
    """What TFMA hands to metrics: with several models, predictions are one level deeper."""
    rows = []
    for i, (reference, speaker) in enumerate(zip(references, speakers)):
        by_model = {
            name: {"greedy": np.array([texts[i].encode()])} for name, texts in hypotheses.items()
        }
        rows.append(
            {
                "labels": np.array([reference.encode()]),
                "predictions": by_model if len(by_model) > 1 else by_model["candidate"],
                "example_weights": np.array([1.0]),
                "features": {"speaker": np.array([speaker.encode()])},
            }
        )
    return rows


@pytest.mark.parametrize(
    "metric, oracle", [(WordErrorRate, jiwer.wer), (CharacterErrorRate, jiwer.cer)]
)
def test_the_corpus_rate_is_jiwers_however_the_corpus_is_cut(metric, oracle):
    references, hypotheses = _sentences(60, seed=1), _sentences(60, seed=2)
    (computation,) = metric().computations()
    combiner = computation.combiner
    inputs = [
        tfma.metrics.StandardMetricInputs(extract)
        for extract in _extracts(references, ["s"] * 60, candidate=hypotheses)
    ]
    accumulators = []
    for part in (inputs[:1], inputs[1:20], inputs[20:]):
        accumulator = combiner.create_accumulator()
        for element in part:
            accumulator = combiner.add_input(accumulator, element)
        accumulators.append(accumulator)
    merged = combiner.merge_accumulators([combiner.create_accumulator(), *accumulators])
    found = {key.name.split("_rate")[1]: v for key, v in combiner.extract_output(merged).items()}
    assert found[""] == pytest.approx(oracle(references, hypotheses))
    assert found["_low"] < found[""] < found["_high"]
    assert found["_high"] - found["_low"] < 0.5


def test_nothing_recognized_is_an_error_rate_of_one():
    (computation,) = WordErrorRate().computations()
    combiner = computation.combiner
    (extract,) = _extracts(["two dogs"], ["s"], candidate=[""])
    accumulator = combiner.add_input(
        combiner.create_accumulator(), tfma.metrics.StandardMetricInputs(extract)
    )
    assert list(combiner.extract_output(accumulator).values()) == [1.0, 1.0, 1.0]


def _evaluate(directory, config: EvaluationConfig, extracts: list[dict], has_baseline: bool):
    eval_config = tfma.utils.update_eval_config_with_defaults(
        make_eval_config(config), has_baseline=has_baseline, rubber_stamp=True
    )
    evaluators = [tfma.evaluators.MetricsPlotsAndValidationsEvaluator(eval_config=eval_config)]
    writers = tfma.writers.MetricsPlotsAndValidationsWriter(
        output_paths={
            "metrics": f"{directory}/metrics",
            "plots": f"{directory}/plots",
            "attributions": f"{directory}/attributions",
            "validations": f"{directory}/validations",
        },
        eval_config=eval_config,
        output_file_format="tfrecord",
    )
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(extracts)
            | tfma.ExtractAndEvaluate(
                extractors=[tfma.extractors.SliceKeyExtractor(eval_config=eval_config)],
                evaluators=evaluators,
            )
            | tfma.WriteResults(writers=[writers])
        )
    return read_evaluation(str(directory))


def _speakers(count: int) -> list[str]:
    return [f"s{i % 3}" for i in range(count)]


def test_outcome_without_a_baseline(tmp_path):
    references, hypotheses = _sentences(30, seed=1), _sentences(30, seed=2)
    extracts = _extracts(references, _speakers(30), candidate=hypotheses)
    wer = jiwer.wer(references, hypotheses)
    outcome = _evaluate(tmp_path / "a", EvaluationConfig(max_wer=wer + 0.01), extracts, False)
    assert outcome.word_error_rate == pytest.approx(wer)
    assert outcome.character_error_rate == pytest.approx(jiwer.cer(references, hypotheses))
    assert outcome.baseline_word_error_rate is None
    assert outcome.failures == []

    outcome = _evaluate(tmp_path / "b", EvaluationConfig(max_wer=0.125), extracts, False)
    assert outcome.failures == [f"the word error rate {wer:.2%} is over max_wer 12.50%"]


def test_outcome_against_a_baseline(tmp_path):
    references = _sentences(30, seed=1)
    better, worse = list(references), list(references)
    better[0] = worse[0] = ""
    worse[1] = ""
    extracts = _extracts(references, _speakers(30), candidate=worse, baseline=better)
    lost = jiwer.wer(references, worse) - jiwer.wer(references, better)
    strict = _evaluate(tmp_path / "a", EvaluationConfig(max_wer=1.0), extracts, True)
    assert strict.word_error_rate == pytest.approx(jiwer.wer(references, worse))
    assert strict.baseline_word_error_rate == pytest.approx(jiwer.wer(references, better))
    assert strict.failures == [
        f"the word error rate differs by {lost:+.2%} from the last blessed model's, "
        "max_wer_increase is 0.00%"
    ]
    lenient = EvaluationConfig(max_wer=1.0, max_wer_increase=lost + 0.01)
    assert _evaluate(tmp_path / "b", lenient, extracts, True).failures == []
    unlimited = EvaluationConfig(max_wer=math.inf, max_wer_increase=math.inf)
    assert _evaluate(tmp_path / "e", unlimited, extracts, True).failures == []
    demanding = EvaluationConfig(max_wer=1.0, max_wer_increase=-0.001)
    same = _extracts(references, _speakers(30), candidate=better, baseline=better)
    assert len(_evaluate(tmp_path / "d", demanding, same, True).failures) == 1
    assert _evaluate(tmp_path / "c", EvaluationConfig(max_wer=1.0), same, True).failures == []


def test_a_difficult_speaker_alone_does_not_keep_a_model_from_being_blessed(tmp_path):
    references = _sentences(30, seed=1)
    hypotheses = [text if i else "something else entirely" for i, text in enumerate(references)]
    speakers = ["difficult"] + ["easy"] * 29
    extracts = _extracts(references, speakers, candidate=hypotheses)
    outcome = _evaluate(tmp_path, EvaluationConfig(max_wer=0.2), extracts, False)
    assert outcome.failures == []
    rates = {
        metrics.slice_key.single_slice_keys[0].bytes_value: {
            item.key.name: item.value.double_value.value for item in metrics.metric_keys_and_values
        }["word_error_rate"]
        for metrics in tfma.load_metrics(str(tmp_path))
        if metrics.slice_key.single_slice_keys
    }
    assert rates[b"easy"] == 0.0
    assert rates[b"difficult"] == pytest.approx(jiwer.wer(references[:1], hypotheses[:1]))
