# SPDX-License-Identifier: Apache-2.0
"""EvaluationReport: an evaluation as a page for people to read."""

import json

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from ds2_tf.metrics.utterance_result import UtteranceResult, read_results
from ds2_tf.reports.evaluation_report import evaluation_page
from pipeline.components.artifacts import EvaluationReportArtifact, report_path, result_files
from pipeline.evaluation.recognition import BASELINE, CANDIDATE, GREEDY, WITH_LM, missing_slices

_NAMES = {
    f"{CANDIDATE} {WITH_LM}": "with language model",
    f"{CANDIDATE} {GREEDY}": "greedy",
    f"{BASELINE} {WITH_LM}": "last blessed model, with its language model",
    f"{BASELINE} {GREEDY}": "last blessed model, greedy",
}


@component
def EvaluationReport(
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    report: OutputArtifact[EvaluationReportArtifact],
    title: Parameter[str],
    slices: Parameter[str],
    source_hash: Parameter[str],
):
    """Writes the page.

    Args:
        evaluation: of the Evaluator.
        report: gets `report.html`, which needs no other file.
        title: of the page.
        slices: JSON list of the fields by which errors are counted apart.
        source_hash: of the code, so that the cache sees when it changes.
    """
    results = [_rename(result) for result in read_results(result_files(evaluation))]
    names = json.loads(slices)
    notes = [
        f"No utterance has the field {name!r} to slice by."
        for name in missing_slices(results, names)
    ]
    with open(report_path(report), "w", encoding="utf-8") as file:
        file.write(evaluation_page(results, title=title, notes=notes))


def _rename(result: UtteranceResult) -> UtteranceResult:
    """Names the recognizers for people, the one that counts most first."""
    hypotheses = {
        name: result.hypotheses[key] for key, name in _NAMES.items() if key in result.hypotheses
    }
    return UtteranceResult(result.id, result.reference, hypotheses, result.seconds, result.slices)
