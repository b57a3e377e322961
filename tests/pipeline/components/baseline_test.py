# SPDX-License-Identifier: Apache-2.0
"""The model that a candidate is measured against."""

import os

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.types import standard_artifacts

from pipeline.components.artifacts import (
    DECODER_PROPERTY,
    FEATURES_PROPERTY,
    DecoderPackageArtifact,
)
from pipeline.components.baseline import LatestOtherBlessedModelStrategy

_Event = metadata_store_pb2.Event


class _Store:
    """The events of artifacts: (artifact, time, type)."""

    def __init__(self, events):
        self._events = [
            _Event(artifact_id=artifact, milliseconds_since_epoch=time, type=kind)
            for artifact, time, kind in events
        ]

    def get_events_by_artifact_ids(self, ids):
        return [event for event in self._events if event.artifact_id in ids]


def _outputs(blessings) -> _Store:
    """Blessings that were given in this order."""
    return _Store((blessing.id, blessing.id, _Event.OUTPUT) for blessing in blessings)


@pytest.fixture
def make_model(tmp_path):
    """Models with their files."""

    def make(number: int, features: str = "f") -> standard_artifacts.Model:
        model = standard_artifacts.Model()
        model.id = number
        model.uri = str(tmp_path / str(number))
        (tmp_path / str(number)).mkdir()
        model.set_string_custom_property(FEATURES_PROPERTY, features)
        return model

    return make


def _blessing(number: int, model: int, blessed: bool = True, decoder: str = ""):
    blessing = standard_artifacts.ModelBlessing()
    blessing.id = number
    blessing.set_int_custom_property("current_model_id", model)
    blessing.set_int_custom_property("blessed", int(blessed))
    if decoder:
        blessing.set_string_custom_property(DECODER_PROPERTY, decoder)
    return blessing


def _baseline(candidate, models, blessings, store=None) -> list[int]:
    resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(
        store or _outputs(blessings),
        {"candidate": [candidate], "baseline": models, "blessing": blessings},
    )
    return [model.id for model in resolved["baseline"]]


def test_the_latest_blessed_model_counts(make_model):
    models = [make_model(i) for i in (3, 1, 2, 9)]
    blessings = [_blessing(21, 1), _blessing(23, 3, blessed=False), _blessing(22, 2)]
    assert _baseline(models[-1], models, blessings) == [2]


def test_a_model_that_was_blessed_again_is_the_latest(make_model):
    models = [make_model(i) for i in (1, 2, 9)]
    blessings = [_blessing(21, 1), _blessing(22, 2), _blessing(23, 1)]
    assert _baseline(models[-1], models, blessings) == [1]
    # The step that gives the first blessing ran again, and its output was cached; then another
    # step used the second.
    events = [(21, 100, _Event.OUTPUT), (22, 200, _Event.OUTPUT)]
    again = [(21, 300, _Event.OUTPUT), (22, 400, _Event.INPUT)]
    assert _baseline(models[-1], models, blessings[:2], _Store(events)) == [2]
    assert _baseline(models[-1], models, blessings[:2], _Store(events + again)) == [1]


def test_a_model_is_not_measured_against_itself(make_model):
    models = [make_model(1), make_model(2)]
    blessings = [_blessing(21, 1), _blessing(22, 2)]
    assert _baseline(models[1], models, blessings) == [1]
    assert _baseline(models[0], models[:1], blessings[:1]) == []


def test_models_of_other_features_are_passed_over(make_model):
    models = [make_model(1), make_model(2, "other"), make_model(3)]
    assert _baseline(models[2], models, [_blessing(21, 1), _blessing(22, 2)]) == [1]


def test_models_whose_files_are_gone_are_passed_over(make_model, tmp_path):
    models = [make_model(i) for i in (1, 2, 3)]
    (tmp_path / "2").rmdir()
    assert _baseline(models[2], models, [_blessing(21, 1), _blessing(22, 2)]) == [1]
    (tmp_path / "1").rmdir()
    assert _baseline(models[2], models, [_blessing(21, 1), _blessing(22, 2)]) == []


def test_the_baseline_comes_with_the_decoder_that_it_was_blessed_with(make_model, tmp_path):
    candidate, *models = [make_model(i) for i in (9, 1, 2)]
    a, b, c = (str(tmp_path / name) for name in "abc")
    for directory in (a, b, c):
        os.mkdir(directory)

    def decoder(uri: str) -> DecoderPackageArtifact:
        artifact = DecoderPackageArtifact()
        artifact.uri = uri
        return artifact

    def decoders(*blessings) -> list[str]:
        resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(
            _outputs(blessings),
            {
                "candidate": [candidate],
                "baseline": [*models, candidate],
                "blessing": list(blessings),
                "baseline_decoder": [decoder(uri) for uri in (a, b, c)],
            },
        )
        return [found.uri for found in resolved["baseline_decoder"]]

    first, second = _blessing(21, 1, decoder=a), _blessing(22, 2, decoder=b)
    assert decoders(first, second) == [b]
    # Judged again, with another decoder.
    again = _blessing(23, 2, decoder=c)
    assert decoders(again, first, second) == [c]
    assert decoders(first) == [a]
    assert decoders(_blessing(22, 2)) == []
    os.rmdir(a)
    assert decoders(first) == []
    assert decoders() == []


def test_the_first_model_has_none(make_model):
    model = make_model(1)
    assert _baseline(model, [model], []) == []
