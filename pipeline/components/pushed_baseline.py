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

from pipeline.components.artifacts import (
    ABSENT,
    FEATURES_PROPERTY,
    DecoderPackageArtifact,
    decoder_path,
    saved_model_path,
)
from pipeline.components.pusher import DECODER_NAME, content_digest, files_under, pushed_versions
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
    candidate = content_digest(files_under(saved_model_path(model)))
    for version in reversed(pushed_versions(serving)):
        directory = pathlib.Path(serving, str(version))
        files = files_under(directory)
        files.pop(DECODER_NAME, None)
        if read_features(directory) == features and content_digest(files) != candidate:
            return {"version": str(directory)}
    return {"version": NONE}


@component
def PushedBaseline(
    baseline: OutputArtifact[standard_artifacts.Model],
    baseline_decoder: OutputArtifact[DecoderPackageArtifact],
    version: Parameter[str],
):
    """Makes a model of a pushed version, and a decoder where one was pushed with it.

    Args:
        baseline: gets the SavedModel; where there is none, the property `absent`.
        baseline_decoder: gets the decoder package; likewise.
        version: of LastPushedVersion.
    """
    directory = None if version == NONE else pathlib.Path(version)
    if directory is None:
        _declare_absent(baseline)
    else:
        os.makedirs(os.path.dirname(saved_model_path(baseline)), exist_ok=True)
        shutil.copytree(directory, saved_model_path(baseline))
    if directory is None or not (directory / DECODER_NAME).exists():
        _declare_absent(baseline_decoder)
    else:
        shutil.copy(directory / DECODER_NAME, decoder_path(baseline_decoder))


def _declare_absent(artifact):
    artifact.set_int_custom_property(ABSENT, 1)
    # Object stores keep no empty directories.
    pathlib.Path(artifact.uri, "absent").touch()
