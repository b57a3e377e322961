# SPDX-License-Identifier: Apache-2.0
"""What a run came to: components, error rates, and what was pushed or why nothing was."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence

from tfx.components.util import model_utils

from pipeline.components import pusher, saved_model_check
from pipeline.components.artifacts import report_path
from pipeline.evaluation.outcome import EvaluationOutcome, read_evaluation
from pipeline.local_runner import FAILED, ComponentRun


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """What a run came to.

    Attributes:
        components: (name, state, seconds) in the order in which they ran.
        failed: the component that failed, None where none did.
        evaluation: of the new model, None where the run did not come so far.
        problems: why the model cannot be served.
        pushed: the directory of the pushed version.
        present_before: whether the model was there before this run.
        report: the page about the evaluation, None where there is none.
    """

    components: list[tuple[str, str, float]]
    failed: str | None
    evaluation: EvaluationOutcome | None
    problems: list[str]
    pushed: str | None
    present_before: bool
    report: str | None = None

    @property
    def rejections(self) -> list[str]:
        """Why the model is not blessed; empty where it is."""
        return (self.evaluation.failures if self.evaluation else []) + self.problems

    @property
    def succeeded(self) -> bool:
        """Every component ran and the model is blessed."""
        return self.failed is None and not self.rejections

    def to_dict(self) -> dict:
        """The summary as JSON types."""
        return {
            "succeeded": self.succeeded,
            "components": [
                {"name": name, "state": state, "seconds": round(seconds, 3)}
                for name, state, seconds in self.components
            ],
            "failed": self.failed,
            "evaluation": self.evaluation and dataclasses.asdict(self.evaluation),
            "not_blessed_because": self.rejections,
            "pushed": self.pushed,
            "present_before": self.present_before,
            "report": self.report,
        }

    def text(self) -> str:
        """The summary for a terminal."""
        lines = [
            f"{name:18} {state:8} {seconds:7.1f} s" for name, state, seconds in self.components
        ]
        if self.evaluation:
            lines += _rate_lines(self.evaluation)
        if self.report:
            lines.append(f"report: {self.report}")
        if self.failed:
            lines.append(f"FAILED in {self.failed}: nothing was pushed.")
        elif self.rejections:
            lines += ["NOT BLESSED, nothing was pushed:", *(f"  {r}" for r in self.rejections)]
        elif self.pushed:
            verb = "there already, not pushed again" if self.present_before else "pushed"
            lines.append(f"{verb}: {self.pushed}")
        else:
            lines.append("blessed; nothing was pushed, since steps.push is off")
        return "\n".join(lines)


def _rate_lines(found: EvaluationOutcome) -> list[str]:
    """Error rates, greedy and with the language model, beside those of the last blessed model."""
    lines = []
    for decoding, words, interval, characters, baseline in (
        (
            "",
            found.word_error_rate,
            found.word_error_rate_interval,
            found.character_error_rate,
            found.baseline_word_error_rate,
        ),
        (
            "with language model: ",
            found.word_error_rate_with_lm,
            found.word_error_rate_with_lm_interval,
            found.character_error_rate_with_lm,
            found.baseline_word_error_rate_with_lm,
        ),
    ):
        if words is None:
            continue
        line = f"{decoding}word error rate {words:.2%}"
        if interval:
            line += f" (95 % confidence: {interval[0]:.2%} to {interval[1]:.2%})"
        line += f", character error rate {characters:.2%}"
        if baseline is not None:
            line += f" (last blessed model: {baseline:.2%} words)"
        lines.append(line)
    return lines


def summarize(runs: Sequence[ComponentRun]) -> RunSummary:
    """Reads what the components of a run left.

    Args:
        runs: of `pipeline.local_runner.LocalRunner`.
    """
    outputs = {
        (run.name, key): artifacts[0]
        for run in runs
        for key, artifacts in run.outputs.items()
        if artifacts
    }
    evaluation, problems, pushed, present_before, report = None, [], None, False, None
    if artifact := outputs.get(("Evaluator", "evaluation")):
        evaluation = read_evaluation(artifact.uri)
    if artifact := outputs.get(("EvaluationReport", "report")):
        report = report_path(artifact)
    if artifact := outputs.get(("SavedModelCheck", "blessing")):
        path = os.path.join(artifact.uri, saved_model_check.RESULT_NAME)
        with open(path, encoding="utf-8") as file:
            problems = json.load(file)["problems"]
    if artifact := outputs.get(("InfraValidator", "blessing")):
        if not model_utils.is_infra_validated(artifact):
            problems.append(
                "TensorFlow Serving did not load the model, or Docker could not start it "
                "(steps.real_server): the log of InfraValidator says why"
            )
    if artifact := outputs.get(("ModelPusher", "pushed_model")):
        if artifact.get_int_custom_property(pusher.PUSHED):
            pushed = artifact.get_string_custom_property(pusher.PUSHED_DESTINATION)
            present_before = bool(artifact.get_int_custom_property(pusher.PRESENT_BEFORE))
    return RunSummary(
        components=[(run.name, run.state, run.seconds) for run in runs],
        failed=next((run.name for run in runs if run.state == FAILED), None),
        evaluation=evaluation,
        problems=problems,
        pushed=pushed,
        present_before=present_before,
        report=report,
    )
