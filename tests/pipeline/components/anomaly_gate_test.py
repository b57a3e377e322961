# SPDX-License-Identifier: Apache-2.0
"""The gate and the schema against statistics of good and of damaged records."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tfx.types import standard_artifacts

import pipeline.dag
from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.records import make_example
from pipeline.components.anomaly_gate import AnomaliesFound, AnomalyGate
from pipeline.components.artifacts import AnomalyReport

_SCHEMA = pathlib.Path(pipeline.dag.__file__).parent / "schema" / "schema.pbtxt"


def _example(frames: int = 100, seconds: float = 1.0) -> tf.train.Example:
    utterance = Utterance(id="u", audio="u.wav", transcript="a", speaker="s", split="train")
    return make_example(utterance, np.zeros((frames, 161), np.float32), seconds)


def _without(feature: str) -> tf.train.Example:
    example = _example()
    del example.features.feature[feature]
    return example


@pytest.fixture
def validate(tmp_path):
    """A function from examples to what ExampleValidator makes of them."""

    def make_anomalies(examples: list[tf.train.Example]) -> standard_artifacts.ExampleAnomalies:
        records = str(tmp_path / "records.gz")
        with tf.io.TFRecordWriter(records, "GZIP") as writer:
            for example in examples:
                writer.write(example.SerializeToString())
        statistics = tfdv.generate_statistics_from_tfrecord(
            records,
            stats_options=tfdv.StatsOptions(
                feature_allowlist=list(pipeline.dag.STATISTICS_FEATURES)
            ),
        )
        anomalies = tfdv.validate_statistics(statistics, tfdv.load_schema_text(str(_SCHEMA)))
        artifact = standard_artifacts.ExampleAnomalies()
        artifact.uri = str(tmp_path / "anomalies")
        artifact.split_names = '["train"]'
        directory = tmp_path / "anomalies" / "Split-train"
        directory.mkdir(parents=True)
        (directory / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
        return artifact

    return make_anomalies


@pytest.fixture
def report(tmp_path) -> AnomalyReport:
    """An empty report."""
    artifact = AnomalyReport()
    artifact.uri = str(tmp_path / "report")
    (tmp_path / "report").mkdir()
    return artifact


def test_good_records_pass(validate, report):
    AnomalyGate.test_call(anomalies=validate([_example()] * 5), report=report)
    assert (pathlib.Path(report.uri) / "report.json").read_text() == "[]"


def test_damaged_records_stop_the_run_and_are_named(validate, report):
    damaged = [_without("transcript"), _example(frames=0), _example(seconds=3600.0)]
    with pytest.raises(AnomaliesFound) as raised:
        AnomalyGate.test_call(anomalies=validate([_example()] * 5 + damaged), report=report)
    found = [line.strip() for line in str(raised.value).splitlines()[1:-1]]
    assert [line.split(": ")[1] for line in found] == ["duration", "num_frames", "transcript"]
    assert all(line.startswith("train: ") for line in found)


def test_an_empty_split_stops_the_run(validate, report):
    with pytest.raises(AnomaliesFound, match="train: "):
        AnomalyGate.test_call(anomalies=validate([]), report=report)
