# SPDX-License-Identifier: Apache-2.0
"""Finding the last model that was pushed, without metadata."""

from __future__ import annotations

import pathlib

import pytest
from tfx.types import standard_artifacts

from pipeline.components.artifacts import (
    ABSENT,
    FEATURES_PROPERTY,
    DecoderPackageArtifact,
    decoder_path,
    saved_model_path,
)
from pipeline.components.pushed_baseline import LastPushedVersion, PushedBaseline
from pipeline.components.pusher import DECODER_NAME


def _saved_model(directory: pathlib.Path, content: str, features: str | None = "f") -> None:
    (directory / "assets.extra").mkdir(parents=True)
    (directory / "saved_model.pb").write_text(content)
    if features:
        (directory / "assets.extra" / "features").write_text(features)


@pytest.fixture
def last_version(tmp_path):
    """A function that looks for a baseline of a candidate with this content."""
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "candidate")
    model.set_string_custom_property(FEATURES_PROPERTY, "f")
    _saved_model(pathlib.Path(saved_model_path(model)), "candidate")
    executor = LastPushedVersion.EXECUTOR_SPEC.executor_class

    def look() -> str:
        return executor._FUNCTION(model=model, serving=str(tmp_path / "serving"))["version"]

    return look


def test_the_latest_comparable_version_counts(last_version, tmp_path):
    assert last_version() == "none"
    serving = tmp_path / "serving"
    _saved_model(serving / "9", "older")
    assert last_version() == str(serving / "9")
    _saved_model(serving / "10", "newer")
    assert last_version() == str(serving / "10")
    _saved_model(serving / "11", "understands other features", features="g")
    _saved_model(serving / "12", "of unknown features", features=None)
    _saved_model(serving / "13", "candidate")
    _saved_model(serving / "14", "candidate")
    (serving / "14" / DECODER_NAME).write_text("its decoder")
    assert last_version() == str(serving / "10")


def test_the_version_becomes_a_model(tmp_path):
    _saved_model(tmp_path / "7", "pushed")
    executor = PushedBaseline.EXECUTOR_SPEC.executor_class
    baselines, decoders = [], []
    _saved_model(tmp_path / "8", "pushed with its decoder")
    (tmp_path / "8" / DECODER_NAME).write_text("decoder")
    for version in (str(tmp_path / "7"), "none", str(tmp_path / "8")):
        baseline = standard_artifacts.Model()
        decoder = DecoderPackageArtifact()
        for artifact, name in ((baseline, "model"), (decoder, "decoder")):
            artifact.uri = str(tmp_path / f"{name}{len(baselines)}")
            pathlib.Path(artifact.uri).mkdir()
        executor._FUNCTION(baseline=baseline, baseline_decoder=decoder, version=version)
        baselines.append(baseline)
        decoders.append(decoder)
    copied = pathlib.Path(saved_model_path(baselines[0]))
    assert (copied / "saved_model.pb").read_text() == "pushed"
    assert [b.get_int_custom_property(ABSENT) for b in baselines] == [0, 1, 0]
    assert [d.get_int_custom_property(ABSENT) for d in decoders] == [1, 1, 0]
    assert pathlib.Path(decoder_path(decoders[2])).read_text() == "decoder"
