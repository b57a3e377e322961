# SPDX-License-Identifier: Apache-2.0
"""AnomalyGate: stops the run when ExampleValidator found something.

ExampleValidator records anomalies and lets the run go on, to train on data known to be wrong.
"""

import json
import os

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from ds2_tf.errors import UserError
from pipeline.components.artifacts import AnomalyReport


class AnomaliesFound(UserError):
    """The data does not match the schema."""


def find_anomalies(uri: str, split_names: str) -> list[str]:
    """Describes the anomalies that ExampleValidator recorded.

    Args:
        uri: of the ExampleAnomalies artifact.
        split_names: of the artifact, as TFX encodes them.

    Returns:
        One line an anomaly: split, feature, what is wrong.
    """
    found = []
    for split in artifact_utils.decode_split_names(split_names):
        path = os.path.join(uri, f"Split-{split}", "SchemaDiff.pb")
        with open(path, "rb") as file:
            anomalies = anomalies_pb2.Anomalies.FromString(file.read())
        if anomalies.data_missing:
            found.append(f"{split}: no records")
        for feature, anomaly in sorted(anomalies.anomaly_info.items()):
            found.append(f"{split}: {feature}: {anomaly.description}")
        if anomalies.HasField("dataset_anomaly_info"):
            found.append(f"{split}: {anomalies.dataset_anomaly_info.description}")
    return found


@component
def AnomalyGate(
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    report: OutputArtifact[AnomalyReport],
):
    """Fails when the data does not match the schema.

    Args:
        anomalies: of ExampleValidator.
        report: gets `report.json`, the list of anomalies: an empty one, since others end the run.

    Raises:
        AnomaliesFound: there is an anomaly; the message names all.
    """
    found = find_anomalies(anomalies.uri, anomalies.split_names)
    if found:
        raise AnomaliesFound(
            "The data does not match the schema:\n  "
            + "\n  ".join(found)
            + "\nMend the corpus, or switch the check off (steps.validate_data: false)."
        )
    with open(os.path.join(report.uri, "report.json"), "w", encoding="utf-8") as file:
        json.dump(found, file)
