# SPDX-License-Identifier: Apache-2.0
"""The page about an evaluation against rates computed elsewhere."""

import re

import jiwer
import numpy as np
import pytest

from ds2_tf.metrics.alignment import align_words
from ds2_tf.metrics.slices import slice_values
from ds2_tf.metrics.utterance_result import UtteranceResult
from ds2_tf.reports.evaluation_report import aligned, evaluation_page

_WORDS = ("a", "dog", "<b>saw</b>", "&amp;", "it's", "two")


@pytest.fixture(scope="module")
def results():
    generator = np.random.default_rng(0)

    def sentence(least=1):
        return " ".join(generator.choice(_WORDS, generator.integers(least, 8)))

    made = []
    for n in range(60):
        reference = sentence()
        seconds = 0.4 * len(reference.split())
        greedy = reference if n % 3 else sentence(least=0)
        better = reference if n % 6 else greedy
        made.append(
            UtteranceResult(
                f"u<{n}>",
                reference,
                {"with language model": better, "greedy": greedy},
                seconds,
                slice_values({"speaker": f"s{n % 40}"}, seconds, ["speaker", "duration"]),
            )
        )
    return made


def test_rates_are_those_of_jiwer(check_page, results):
    text = check_page(evaluation_page(results, title="a <title>", notes=["left <out>"]))
    references = [r.reference for r in results]
    for name in ("with language model", "greedy"):
        heard = [r.hypotheses[name] for r in results]
        wer, cer = jiwer.wer(references, heard), jiwer.cer(references, heard)
        assert f"WER, {name}{wer:.1%}" in text
        assert f"CER, {name}{cer:.1%}" in text
    assert "a <title>" in text and "left <out>" in text


def test_every_slice_is_in_a_table(check_page, results):
    text = check_page(evaluation_page(results, title="t"))
    members = [r for r in results if r.slices["speaker"] == "s3"]
    heard = [r.hypotheses["with language model"] for r in members]
    wer = jiwer.wer([r.reference for r in members], heard)
    words = sum(len(r.reference.split()) for r in members)
    assert re.search(
        rf"s3{len(members)}{words}{wer:.2f}|s3{len(members)}{words}{100 * wer:.0f}", text
    )
    assert "15 more in the table" in text and "Table of all 40" in text
    assert text.index("under 1 s") < text.index("1 to 2 s") < text.index("2 to 4 s")


def test_examples_run_from_worst_to_best(check_page, results):
    page = evaluation_page(results, title="t")
    rates = {r.id: jiwer.wer(r.reference, r.hypotheses["with language model"]) for r in results}
    text = check_page(page)
    worst = text[text.index("Worst") : text.index("Around the median")]
    shown = re.findall(r"u<\d+>(?= · WER)", worst)
    assert len(shown) == 10
    assert [rates[id_] for id_ in shown] == sorted(rates.values(), reverse=True)[:10]
    best = text[text.index("Best") :]
    assert {rates[id_] for id_ in re.findall(r"u<\d+>(?= · WER)", best)} == {0.0}


def test_the_most_frequent_confusion_comes_first(check_page):
    results = [
        UtteranceResult(str(n), "one two", {"greedy": text})
        for n, text in enumerate(["one too", "one too", "won two", "one", "one two three"])
    ]
    text = check_page(evaluation_page(results, title="t"))
    assert "Substituted (3)saidheardtimesof saidtwotoo240.0%onewon120.0%" in text
    assert "Deleted (1)saidtimesof saidtwo120.0%" in text
    assert "Inserted (1)heardtimesthree1" in text
    assert "1 of 5 utterances are right" not in text  # none is: each has an error


def test_errors_are_marked():
    written = aligned(align_words("the cat sat", "a cat sat up"))
    marks = re.findall(r'class="word (\w+)"', written)
    assert marks == ["substitution", "correct", "correct", "insertion"]
    assert "–" in written


def test_nothing_evaluated(check_page):
    assert "No utterance was evaluated" in check_page(evaluation_page([], title="t"))


def test_utterances_without_words_lengths_or_slices(check_page):
    results = [UtteranceResult("a", "", {"greedy": ""}), UtteranceResult("b", "", {"greedy": "x"})]
    text = check_page(evaluation_page(results, title="t"))
    assert "Slices" not in text and "hours" not in text
