# SPDX-License-Identifier: Apache-2.0
"""Which earlier model a new one is measured against."""

from __future__ import annotations

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver

from pipeline.components.artifacts import DECODER_PROPERTY, FEATURES_PROPERTY


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """Resolves `baseline` to the latest blessed model other than the candidate.

    TFX's LatestBlessedModelStrategy would choose the candidate itself when a pipeline is run again
    without a change: the evaluation, with a new input, would not be cached. Models that understand
    other features than the candidate's cannot read its records, and are passed over.

    Inputs: `candidate`, the model of this run; `baseline`, all models; `blessing`, all blessings;
    and, where decoders are made, `baseline_decoder`, all decoders: the one with which the baseline
    was blessed is kept.
    """

    def resolve_artifacts(
        self, store: object, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Keeps one baseline, or none."""
        candidate = input_dict["candidate"][0]
        # By model, the latest blessing.
        blessings = {
            blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            ): blessing
            for blessing in sorted(input_dict["blessing"], key=lambda blessing: blessing.id)
            if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
            == constants.BLESSED_VALUE
        }
        features = candidate.get_string_custom_property(FEATURES_PROPERTY)
        comparable = [
            model
            for model in input_dict["baseline"]
            if model.id in blessings
            and model.id != candidate.id
            and model.get_string_custom_property(FEATURES_PROPERTY) == features
        ]
        latest = max(comparable, key=lambda model: model.id, default=None)
        resolved = {**input_dict, "baseline": [latest] if latest else []}
        if "baseline_decoder" in input_dict:
            uri = latest and blessings[latest.id].get_string_custom_property(DECODER_PROPERTY)
            resolved["baseline_decoder"] = [
                decoder for decoder in input_dict["baseline_decoder"] if decoder.uri == uri
            ]
        return resolved
