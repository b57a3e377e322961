# SPDX-License-Identifier: Apache-2.0
"""The configuration of a pipeline, as dataclasses <-> YAML."""

from __future__ import annotations

import dataclasses
import glob
import math
import os
import pathlib
import re

from ds2_tf.audio.reading import RawFormat
from ds2_tf.commands.output_files import prepare_output_directory
from ds2_tf.config import Recipe, from_dict
from ds2_tf.corpora.rejection import DEFAULT_LIMIT
from ds2_tf.errors import UserError
from ds2_tf.metrics.slices import DURATION, SPEAKER
from ds2_tf.value_checks import InvalidValue, require, require_numbers, require_one_of
from ds2_tf.yaml_reading import read_yaml
from pipeline.decoder_config import DecoderConfig
from pipeline.ingestion.config import (
    SPLIT_RULES,
    IngestionConfig,
    check_split_shares,
    is_split_name,
)
from pipeline.ingestion.sources import ManifestSource
from pipeline.kubeflow.config import KubeflowConfig
from pipeline.language_model_config import LanguageModelConfig

# Over it nobody means a share: 2 is twice as many errors as words.
_LARGEST_RATE = 2.0
# The name becomes part of paths and of the metadata; TFX takes 63 characters.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclasses.dataclass(frozen=True)
class SplitsConfig:
    """How utterances are divided, and what each part is for.

    Attributes:
        by: "column" (the manifest's `split`), "speaker" (a hash of the speaker) or "manifest" (each
            of `PipelineConfig.manifests` is a split). Defaults to "manifest" where `manifests` are
            given, which go with no other, and to "column" where `manifest` is.
        shares: for "speaker", the share of speakers of each split: over 0, 1 in all. Defaults to
            0.9 train, 0.1 dev.
        train: the split to train on. Defaults to "train".
        dev: the split that training watches. Defaults to "dev".
        evaluation: the split that decides whether the model is pushed; one of its own gives a
            number that training had no part in. Defaults to "dev".
    """

    by: str | None = None
    shares: dict[str, float] = dataclasses.field(default_factory=lambda: {"train": 0.9, "dev": 0.1})
    train: str = "train"
    dev: str = "dev"
    evaluation: str = "dev"

    def __post_init__(self):
        if self.by is not None:
            require_one_of(self, SPLIT_RULES, "by")
        check_split_shares(self.shares, "shares")

    @property
    def uses(self) -> dict[str, str]:
        """What splits are used for -> their names."""
        return {"train": self.train, "dev": self.dev, "evaluation": self.evaluation}


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is measured, and what a model must reach to be pushed.

    Attributes:
        max_wer: largest word error rate of the evaluation split, 0.2 for 20 %; from 0 to 2, or
            .inf, here and below, for no limit.
        max_wer_increase: how much larger than that of the last blessed model the word error rate
            may be; 0 asks for one that is as good, -0.01 for one that is better by 1 %; from -1 to
            2. Defaults to 0.
        max_wer_with_lm: as `max_wer`, for decoding with the language model. Defaults to no limit.
        max_wer_with_lm_increase: as `max_wer_increase`, for decoding with the language model; the
            last blessed model is decoded with its own. Defaults to no limit.
        slices: fields of the manifest by which errors are also counted apart; "duration" stands for
            buckets of the length. Defaults to speaker and duration.
    """

    max_wer: float
    max_wer_increase: float = 0.0
    max_wer_with_lm: float | None = None
    max_wer_with_lm_increase: float | None = None
    slices: tuple[str, ...] = (SPEAKER, DURATION)

    def __post_init__(self):
        for key in ("max_wer", "max_wer_with_lm"):
            for name, least in ((key, 0.0), (f"{key}_increase", -1.0)):
                value = getattr(self, name)
                if value is None or value == math.inf or least <= value <= _LARGEST_RATE:
                    continue
                raise InvalidValue(
                    name,
                    f"must be a share from {least:g} to {_LARGEST_RATE:g}, or .inf for no limit; "
                    f"got {value:g}"
                    + (f": write {value / 100:g} for {value:g} %." if value > 0 else "."),
                )


@dataclasses.dataclass(frozen=True)
class StepsConfig:
    """Optional steps.

    Attributes:
        validate_data: statistics, schema and anomalies, before training. Defaults to true.
        language_model: build a language model, tune a decoder for the model, evaluate with it and
            push it in the model's assets.extra. It takes KenLM's programs (make kenlm). Defaults to
            false.
        report: a page for people to read about the evaluation. Defaults to true.
        check_saved_model: run recordings through the exported model in a process of its own,
            before pushing. Defaults to true.
        real_server: load the exported model in TensorFlow's own server, before pushing (TFX's
            InfraValidator). It takes a Docker daemon on the machine that runs the pipeline, and so
            does not go with Kubeflow. Defaults to false.
        push: put a blessed model where servers look. Defaults to true.
    """

    validate_data: bool = True
    language_model: bool = False
    report: bool = True
    check_saved_model: bool = True
    real_server: bool = False
    push: bool = True


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """A whole pipeline.

    Relative paths count from the directory of the YAML file, and `~` is the user's home.

    Attributes:
        name: of the pipeline, in the metadata: letters, digits, hyphens, underscores and dots.
        root: directory of all that the pipeline makes.
        recipe: path of the recipe.
        evaluation: slices and thresholds.
        manifest: path or file pattern of the manifest with all splits.
        manifests: instead of `manifest`, a path or file pattern for each split.
        splits: see `SplitsConfig`.
        shards: record files of each split, at least 1. Defaults to 8.
        max_bad_share: largest share of utterances that cannot be used, from 0 to 1. Defaults to
            0.01.
        raw: the format of headerless recordings, where the corpus has them.
        serving: base path of pushed models. Defaults to `serving` under the root.
        metadata: the SQLite file of the metadata. Defaults to `metadata.sqlite` under the root.
        language_model: how it is built, where `steps.language_model` is on.
        decoder: how it is used, where `steps.language_model` is on.
        steps: optional steps.
        beam_args: options of the Beam runner. Defaults to one process on this machine.
        kubeflow: how the pipeline runs on Kubeflow; see `pipeline.kubeflow.config`.
    """

    name: str
    root: str
    recipe: str
    evaluation: EvaluationConfig
    manifest: str | None = None
    manifests: dict[str, str] | None = None
    splits: SplitsConfig = dataclasses.field(default_factory=SplitsConfig)
    shards: int = 8
    max_bad_share: float = DEFAULT_LIMIT
    raw: RawFormat | None = None
    serving: str | None = None
    metadata: str | None = None
    language_model: LanguageModelConfig = LanguageModelConfig()
    decoder: DecoderConfig = DecoderConfig()
    steps: StepsConfig = StepsConfig()
    beam_args: tuple[str, ...] = ()
    kubeflow: KubeflowConfig | None = None

    def __post_init__(self):
        require(
            bool(_NAME.fullmatch(self.name)),
            "name",
            "1 to 63 letters, digits, hyphens, underscores and dots, and begin with a letter or "
            "digit",
            self.name,
        )
        require_numbers(self, "max_bad_share", least=0, most=1)
        require_numbers(self, "shards", least=1)
        if bool(self.manifest) == bool(self.manifests):
            raise UserError(
                "State either manifest (one for all splits) or manifests (one a split), got "
                f"manifest: {self.manifest!r} and manifests: {self.manifests!r}."
            )
        splits = self.splits
        for name in self.manifests or ():
            require(is_split_name(name), "a split of manifests", "able to name a directory", name)
        if self.manifests and self.split_by != "manifest":
            raise UserError(
                f"splits.by is {splits.by!r}, and of manifests each is a split: leave splits.by "
                "out, or give one manifest instead."
            )
        if self.manifest and self.split_by == "manifest":
            raise UserError(
                "splits.by is 'manifest', which needs manifests, one a split, instead of manifest."
            )
        known = self.manifests or (splits.shares if self.split_by == "speaker" else None)
        for use, name in splits.uses.items():
            if known is not None and name not in known:
                raise UserError(f"splits.{use} is {name!r}, and the splits are {', '.join(known)}.")
        for limit in ("max_wer_with_lm", "max_wer_with_lm_increase"):
            if getattr(self.evaluation, limit) is not None and not self.steps.language_model:
                raise UserError(
                    f"evaluation.{limit} needs a language model: set steps.language_model to true."
                )

    @property
    def split_by(self) -> str:
        """What divides utterances, one of `SPLIT_RULES`."""
        return self.splits.by or ("manifest" if self.manifests else "column")

    @property
    def doubts(self) -> list[str]:
        """What can be meant, and seldom is: sentences for the user."""
        if self.splits.evaluation != self.splits.train:
            return []
        return [
            f"splits.evaluation and splits.train are both {self.splits.train!r}: the model is "
            "judged by what it was trained on, and the word error rate tells nothing of other "
            "speech"
        ]

    @property
    def sources(self) -> list[ManifestSource]:
        """The manifests, or their file patterns, with their splits."""
        if self.manifests:
            return [ManifestSource(path, split) for split, path in self.manifests.items()]
        return [ManifestSource(self.manifest)]

    @property
    def serving_directory(self) -> str:
        """Where servers look for versions."""
        return self.serving or os.path.join(self.root, "serving")

    @property
    def metadata_path(self) -> str:
        """The SQLite file of the metadata."""
        return self.metadata or os.path.join(self.root, "metadata.sqlite")

    @property
    def work_directory(self) -> str:
        """Where steps keep what lets a killed run go on."""
        return os.path.join(self.root, "work")

    def ingestion(self, recipe: Recipe) -> IngestionConfig:
        """How the corpus is ingested for a recipe."""
        return IngestionConfig.from_recipe(
            recipe,
            split_by=self.split_by,
            split_shares=self.splits.shares,
            shards=self.shards,
            raw=self.raw,
        )


def load_pipeline_config(path: str | os.PathLike) -> PipelineConfig:
    """Reads a pipeline's configuration from YAML and makes its paths absolute.

    Raises:
        UserError: the file cannot be read, a key is unknown or missing, or a value of the wrong
            type or impossible; the message names file and key.
    """
    path = pathlib.Path(path)
    content = read_yaml(path, "configuration")
    config = from_dict(PipelineConfig, content, source=str(path))

    def absolute(name: str | None) -> str | None:
        return name and os.path.normpath(
            os.path.join(path.absolute().parent, os.path.expanduser(name))
        )

    return dataclasses.replace(
        config,
        manifests=config.manifests
        and {split: absolute(name) for split, name in config.manifests.items()},
        language_model=dataclasses.replace(
            config.language_model,
            texts=tuple(absolute(name) for name in config.language_model.texts),
        ),
        **{
            field: absolute(getattr(config, field))
            for field in ("root", "recipe", "manifest", "serving", "metadata")
        },
    )


def make_directories(config: PipelineConfig) -> None:
    """Makes the directories that the pipeline writes into, before anything is computed.

    Raises:
        UserError: one cannot be made or written into, or TFX could not read from it.
    """
    if glob.has_magic(config.root):
        raise UserError(
            f"root: {config.root} has one of the characters * ? [, which TFX takes for a pattern "
            "of files: choose another directory."
        )
    directories = {"root": config.root, "metadata": os.path.dirname(config.metadata_path)}
    if config.steps.push:
        directories["serving"] = config.serving_directory
    for key, directory in directories.items():
        try:
            prepare_output_directory(directory)
        except UserError as error:
            raise UserError(f"{key}: {error}") from error
