# SPDX-License-Identifier: Apache-2.0
"""Trainer: records and a recipe to a model directory and a SavedModel."""

import hashlib
import json
import os
import pathlib
import shutil
import time

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from ds2_tf.config import Recipe, from_dict
from ds2_tf.corpora.statistics import SpectrogramStatistics
from ds2_tf.export.saved_model import check_saved_model, write_saved_model
from ds2_tf.training.data import RecordData, run_fingerprint
from ds2_tf.training.tensorboard import DIRECTORY_NAME as TENSORBOARD
from ds2_tf.training.trainer import train
from pipeline.components.artifacts import (
    FEATURES_PROPERTY,
    CorpusStatisticsArtifact,
    record_files,
    saved_model_path,
    statistics_path,
)
from pipeline.ingestion.config import IngestionConfig


def remove_abandoned(work_directory: str | os.PathLike, days: float = 14) -> None:
    """Removes what killed trainings left that nobody has gone on with.

    Args:
        work_directory: its subdirectories are states of trainings.
        days: how long nothing must have been written into one. Defaults to 14.
    """
    for state in pathlib.Path(work_directory).iterdir():
        newest = max(path.stat().st_mtime for path in [state, *state.rglob("*")])
        if state.is_dir() and time.time() - newest > days * 86400:
            shutil.rmtree(state, ignore_errors=True)


def read_features(saved_model: str | os.PathLike) -> str | None:
    """How the records that a model understands were made, as in the property `features`.

    Args:
        saved_model: directory of a SavedModel.

    Returns:
        A hash; None for a model that no pipeline made.
    """
    try:
        return _features_file(saved_model).read_text()
    except FileNotFoundError:
        return None


def _features_file(saved_model: str | os.PathLike) -> pathlib.Path:
    return pathlib.Path(saved_model) / "assets.extra" / "features"


@component
def Trainer(
    examples: InputArtifact[standard_artifacts.Examples],
    statistics: InputArtifact[CorpusStatisticsArtifact],
    model: OutputArtifact[standard_artifacts.Model],
    model_run: OutputArtifact[standard_artifacts.ModelRun],
    recipe: Parameter[str],
    ingestion: Parameter[str],
    train_split: Parameter[str],
    dev_split: Parameter[str],
    work_directory: Parameter[str],
    source_hash: Parameter[str],
):
    """Trains, and exports what was trained.

    TFX gives every execution new directories. What a killed run has learned lies in one that is
    named by configuration, data and code instead, so that running again goes on with it, and no
    run goes on with what another has learned.

    Args:
        examples: of AudioExampleGen.
        statistics: of CorpusStatistics.
        model: gets the SavedModel.
        model_run: gets the model directory, for `ds2 transcribe --model` and the like, and in it
            the points for TensorBoard.
        recipe: as JSON.
        ingestion: an IngestionConfig as JSON; models trained on like records can be compared.
        train_split: the split to train on.
        dev_split: the split to watch.
        work_directory: where unfinished training is kept.
        source_hash: of the code, so that the cache sees when it changes.
    """
    parsed_recipe = from_dict(Recipe, json.loads(recipe), source="recipe")
    data = RecordData(
        parsed_recipe,
        record_files(examples, train_split),
        record_files(examples, dev_split),
        SpectrogramStatistics.load(statistics_path(statistics)),
    )
    fingerprint = run_fingerprint(parsed_recipe, data)
    state_directory = os.path.join(work_directory, f"{fingerprint}-{source_hash}")
    train(
        parsed_recipe,
        data,
        output_directory=model_run.uri,
        state_directory=state_directory,
    )
    write_saved_model(model_run.uri, saved_model_path(model))
    check_saved_model(saved_model_path(model))
    features = IngestionConfig.from_json(ingestion).record_parameters()
    features = hashlib.sha256(features.encode()).hexdigest()
    model.set_string_custom_property(FEATURES_PROPERTY, features)
    _features_file(saved_model_path(model)).write_text(features)
    shutil.copytree(
        os.path.join(state_directory, TENSORBOARD), os.path.join(model_run.uri, TENSORBOARD)
    )
    shutil.rmtree(state_directory)
    remove_abandoned(work_directory)
