# SPDX-License-Identifier: Apache-2.0
"""Kinds of artifact that TFX does not have."""

from __future__ import annotations

import glob
import os

from tfx import types
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from ds2_tf.errors import UserError

# Property of a Model: a hash of how the records that it understands were made.
FEATURES_PROPERTY = "features"
# Property of an artifact that only stands where an optional one is missing, for orchestrators that
# cannot leave an input out.
ABSENT = "absent"
# Kubeflow takes custom types only under names of this form.
_NAMESPACE = "ds2-tf"
# Property of a ModelBlessing: the decoder that the model was judged with, where there was one.
DECODER_PROPERTY = "decoder_uri"
# What the names of an evaluation's files of utterances start with.
RESULTS_PREFIX = "utterances"


class CorpusStatisticsArtifact(types.Artifact):
    """Mean and standard deviation per frequency bin of the training split."""

    TYPE_NAME = f"{_NAMESPACE}.CorpusStatistics"


class AnomalyReport(types.Artifact):
    """The verdict of the anomaly gate."""

    TYPE_NAME = f"{_NAMESPACE}.AnomalyReport"


class LanguageModelArtifact(types.Artifact):
    """An n-gram model in KenLM's binary format."""

    TYPE_NAME = f"{_NAMESPACE}.LanguageModel"


class DecoderPackageArtifact(types.Artifact):
    """A language model with the weights that suit a model."""

    TYPE_NAME = f"{_NAMESPACE}.DecoderPackage"


class EvaluationReportArtifact(types.Artifact):
    """An evaluation for people to read."""

    TYPE_NAME = f"{_NAMESPACE}.EvaluationReport"


def statistics_path(artifact: types.Artifact) -> str:
    """The file of a `CorpusStatisticsArtifact`."""
    return os.path.join(artifact.uri, "statistics.json")


def language_model_path(artifact: types.Artifact) -> str:
    """The file of a `LanguageModelArtifact`."""
    return os.path.join(artifact.uri, "lm.binary")


def decoder_path(artifact: types.Artifact) -> str:
    """The package of a `DecoderPackageArtifact`; see `ds2_tf.decoding.package`."""
    return os.path.join(artifact.uri, "ds2.decoder")


def report_path(artifact: types.Artifact) -> str:
    """The page of an `EvaluationReportArtifact`."""
    return os.path.join(artifact.uri, "report.html")


def result_files(evaluation: standard_artifacts.ModelEvaluation) -> list[str]:
    """The files of `ds2_tf.metrics.utterance_result` in an evaluation."""
    return sorted(glob.glob(os.path.join(glob.escape(evaluation.uri), f"{RESULTS_PREFIX}*")))


def split_directory(examples: types.Artifact, split: str) -> str:
    """Where the record files of a split lie.

    Raises:
        UserError: the examples have no such split.
    """
    splits = artifact_utils.decode_split_names(examples.split_names)
    if split not in splits:
        raise UserError(f"There is no split {split!r}; the splits are {', '.join(splits)}.")
    return artifact_utils.get_split_uri([examples], split)


def record_files(examples: types.Artifact, split: str) -> list[str]:
    """The record files of a split, in order.

    Raises:
        UserError: the examples have no such split.
    """
    directory = split_directory(examples, split)
    return sorted(os.path.join(directory, name) for name in os.listdir(directory))


def saved_model_path(model: standard_artifacts.Model) -> str:
    """The SavedModel of a model."""
    return path_utils.serving_model_dir(model.uri)
