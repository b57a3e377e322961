# SPDX-License-Identifier: Apache-2.0
"""The model that a candidate is measured against."""

from tfx.types import standard_artifacts

from pipeline.components.artifacts import (
    DECODER_PROPERTY,
    FEATURES_PROPERTY,
    DecoderPackageArtifact,
)
from pipeline.components.baseline import LatestOtherBlessedModelStrategy


def _model(number: int, features: str = "f") -> standard_artifacts.Model:
    model = standard_artifacts.Model()
    model.id = number
    model.set_string_custom_property(FEATURES_PROPERTY, features)
    return model


def _blessing(model: int, blessed: bool = True) -> standard_artifacts.ModelBlessing:
    blessing = standard_artifacts.ModelBlessing()
    blessing.set_int_custom_property("current_model_id", model)
    blessing.set_int_custom_property("blessed", int(blessed))
    return blessing


def _baseline(candidate, models, blessings) -> list[int]:
    resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(
        None, {"candidate": [candidate], "baseline": models, "blessing": blessings}
    )
    return [model.id for model in resolved["baseline"]]


def test_the_latest_blessed_model_counts():
    models = [_model(i) for i in (3, 1, 2, 9)]
    blessings = [_blessing(1), _blessing(3, blessed=False), _blessing(2)]
    assert _baseline(models[-1], models, blessings) == [2]


def test_a_model_is_not_measured_against_itself():
    models = [_model(1), _model(2)]
    assert _baseline(models[1], models, [_blessing(1), _blessing(2)]) == [1]
    assert _baseline(models[0], models[:1], [_blessing(1)]) == []


def test_models_of_other_features_are_passed_over():
    models = [_model(1), _model(2, "other"), _model(3)]
    assert _baseline(models[2], models, [_blessing(1), _blessing(2)]) == [1]


def test_the_baseline_comes_with_the_decoder_that_it_was_blessed_with():
    def decoder(uri: str) -> DecoderPackageArtifact:
        artifact = DecoderPackageArtifact()
        artifact.uri = uri
        return artifact

    def decoders(*blessings) -> list[str]:
        resolved = LatestOtherBlessedModelStrategy().resolve_artifacts(
            None,
            {
                "candidate": [_model(9)],
                "baseline": [_model(1), _model(2), _model(9)],
                "blessing": list(blessings),
                "baseline_decoder": [decoder(uri) for uri in ("/a", "/b", "/c")],
            },
        )
        return [found.uri for found in resolved["baseline_decoder"]]

    first, second = _blessing(1), _blessing(2)
    first.set_string_custom_property(DECODER_PROPERTY, "/a")
    second.set_string_custom_property(DECODER_PROPERTY, "/b")
    assert decoders(first, second) == ["/b"]
    # Judged again, with another decoder.
    again = _blessing(2)
    again.set_string_custom_property(DECODER_PROPERTY, "/c")
    first.id, second.id, again.id = 1, 2, 3
    assert decoders(again, first, second) == ["/c"]
    assert decoders(first) == ["/a"]
    assert decoders(_blessing(2)) == []
    assert decoders() == []


def test_the_first_model_has_none():
    assert _baseline(_model(1), [_model(1)], []) == []
