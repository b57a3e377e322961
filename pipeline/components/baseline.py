# SPDX-License-Identifier: Apache-2.0
"""Which earlier model a new one is measured against."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.common import resolver

from pipeline.components.artifacts import DECODER_PROPERTY, FEATURES_PROPERTY

_OUTPUT = metadata_store_pb2.Event.OUTPUT


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """Resolves `baseline` to the model that was blessed last, other than the candidate.

    TFX's LatestBlessedModelStrategy takes the newest model, and after going back to an earlier
    configuration that is not the one which is served. It would also choose the candidate itself
    when a pipeline is run again without a change: the evaluation, with a new input, would not be
    cached. Passed over are models that understand other features than the candidate's, which cannot
    read its records, and those whose files are gone.

    Inputs: `candidate`, the model of this run; `baseline`, all models; `blessing`, all blessings;
    and, where decoders are made, `baseline_decoder`, all decoders: the one with which the baseline
    was blessed is kept.
    """

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]]:
        """Keeps one baseline, or none."""
        candidate = input_dict["candidate"][0]
        blessings = [
            blessing
            for blessing in input_dict["blessing"]
            if blessing.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY)
            == constants.BLESSED_VALUE
        ]
        given = _last_outputs(store, blessings)
        blessings.sort(key=lambda blessing: given[blessing.id])
        # By model its last blessing, in the order of these.
        last: dict[int, types.Artifact] = {}
        for blessing in blessings:
            model_id = blessing.get_int_custom_property(
                constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY
            )
            last.pop(model_id, None)
            last[model_id] = blessing
        features = candidate.get_string_custom_property(FEATURES_PROPERTY)
        comparable = {
            model.id: model
            for model in input_dict["baseline"]
            if model.id != candidate.id
            and model.get_string_custom_property(FEATURES_PROPERTY) == features
            and os.path.isdir(model.uri)
        }
        baseline = next(
            (comparable[model] for model in reversed(last) if model in comparable), None
        )
        resolved = {**input_dict, "baseline": [baseline] if baseline else []}
        if "baseline_decoder" in input_dict:
            uri = baseline and last[baseline.id].get_string_custom_property(DECODER_PROPERTY)
            resolved["baseline_decoder"] = [
                decoder
                for decoder in input_dict["baseline_decoder"]
                if decoder.uri == uri and os.path.isdir(uri)
            ]
        return resolved


def _last_outputs(store: MetadataStore, artifacts: Iterable[types.Artifact]) -> dict[int, int]:
    """When each was last the output of a step, in ms; a step whose output was cached counts."""
    times: dict[int, int] = {}
    ids = [artifact.id for artifact in artifacts]
    for event in store.get_events_by_artifact_ids(ids) if ids else ():
        if event.type == _OUTPUT:
            previous = times.get(event.artifact_id, 0)
            times[event.artifact_id] = max(previous, event.milliseconds_since_epoch)
    return times
