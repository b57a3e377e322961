# SPDX-License-Identifier: Apache-2.0
"""What is said at the end of a run."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pipeline.evaluation.outcome import EvaluationOutcome
from pipeline.run_summary import RunSummary

_GOOD = RunSummary(
    components=[("Trainer", "executed", 12.3), ("ModelPusher", "cached", 0.0)],
    failed=None,
    evaluation=EvaluationOutcome(0.125, 0.05, None, []),
    problems=[],
    pushed="/serving/17",
    present_before=False,
)


def test_a_pushed_model():
    assert _GOOD.succeeded
    text = _GOOD.text()
    assert "word error rate 12.50%, character error rate 5.00%\npushed: /serving/17" in text
    assert json.loads(json.dumps(_GOOD.to_dict()))["evaluation"]["word_error_rate"] == 0.125


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"evaluation": EvaluationOutcome(0.9, 0.5, None, ["it is too bad"]), "pushed": None},
            "NOT BLESSED, nothing was pushed:\n  it is too bad",
        ),
        (
            {"problems": ["it does not load"], "pushed": None},
            "NOT BLESSED, nothing was pushed:\n  it does not load",
        ),
        (
            {"failed": "Trainer", "evaluation": None, "pushed": None},
            "FAILED in Trainer: nothing was pushed.",
        ),
    ],
)
def test_what_went_wrong_is_said_and_is_no_success(changes, said):
    summary = dataclasses.replace(_GOOD, **changes)
    assert not summary.succeeded
    assert summary.to_dict()["succeeded"] is False
    assert summary.text().endswith(said)


def test_a_model_that_was_there_before():
    summary = dataclasses.replace(_GOOD, present_before=True)
    assert summary.succeeded
    assert summary.text().endswith("there already, not pushed again: /serving/17")


def test_a_blessed_model_where_pushing_is_off():
    assert dataclasses.replace(_GOOD, pushed=None).succeeded


def test_the_baseline_is_shown():
    outcome = EvaluationOutcome(0.125, 0.05, 0.25, [])
    assert "last blessed model: 25.00%" in dataclasses.replace(_GOOD, evaluation=outcome).text()


def test_rates_with_the_language_model_their_intervals_and_the_report():
    outcome = EvaluationOutcome(
        0.125,
        0.05,
        None,
        [],
        word_error_rate_interval=(0.1, 0.15),
        word_error_rate_with_lm=0.08,
        character_error_rate_with_lm=0.04,
        word_error_rate_with_lm_interval=(0.06, 0.1),
        baseline_word_error_rate_with_lm=0.09,
    )
    text = dataclasses.replace(_GOOD, evaluation=outcome, report="/r/report.html").text()
    assert (
        "word error rate 12.50% (95 % confidence: 10.00% to 15.00%), character error rate 5.00%\n"
        "with language model: word error rate 8.00% (95 % confidence: 6.00% to 10.00%), character "
        "error rate 4.00% (last blessed model: 9.00% words)\n"
        "report: /r/report.html\n"
    ) in text
