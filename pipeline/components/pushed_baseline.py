# SPDX-License-Identifier: Apache-2.0
"""The baseline where the orchestrator cannot look one up: the last model that was pushed.

Open-source Kubeflow Pipelines has no resolvers. LastPushedVersion looks, is never cached, and hands
on what it found as a parameter; PushedBaseline, cached by that parameter, makes a model of it.
"""

import os
import pathlib
import shutil
from typing import TypedDict

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from pipeline.components.artifacts import ABSENT, FEATURES_PROPERTY, saved_model_path
from pipeline.components.pusher import directory_digest, pushed_versions
from pipeline.components.trainer import read_features

# A parameter that is empty might be taken for one that is not there.
NONE = "none"


@component
def LastPushedVersion(
    model: InputArtifact[standard_artifacts.Model], serving: Parameter[str]
) -> TypedDict("Version", {"version": str}):
    """Finds the model that a candidate is to be measured against.

    Passed over are the candidate itself, where it was pushed before, and models that understand
    other features than the candidate and so cannot read its records.

    Args:
        model: the candidate.
        serving: base path of pushed versions.

    Returns:
        `version`, the directory of the latest, or "none".
    """
    features = model.get_string_custom_property(FEATURES_PROPERTY)
    candidate = directory_digest(saved_model_path(model))
    for version in reversed(pushed_versions(serving)):
        directory = pathlib.Path(serving, str(version))
        if read_features(directory) == features and directory_digest(directory) != candidate:
            return {"version": str(directory)}
    return {"version": NONE}


@component
def PushedBaseline(baseline: OutputArtifact[standard_artifacts.Model], version: Parameter[str]):
    """Makes a model of a pushed version.

    Args:
        baseline: gets the SavedModel; where there is none, the property `absent`.
        version: of LastPushedVersion.
    """
    if version == NONE:
        baseline.set_int_custom_property(ABSENT, 1)
        # Object stores keep no empty directories.
        pathlib.Path(baseline.uri, "absent").touch()
        return
    os.makedirs(os.path.dirname(saved_model_path(baseline)), exist_ok=True)
    shutil.copytree(version, saved_model_path(baseline))
