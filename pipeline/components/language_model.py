# SPDX-License-Identifier: Apache-2.0
"""LanguageModel: an n-gram model of the training transcripts, and of other text."""

import json
import os
import tempfile

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from ds2_tf.config import from_dict
from ds2_tf.corpora.records import read_transcripts
from ds2_tf.lm.building import build_lm
from ds2_tf.text.alphabet import Alphabet
from pipeline.components.artifacts import LanguageModelArtifact, language_model_path, record_files
from pipeline.ingestion.config import IngestionConfig
from pipeline.language_model_config import LanguageModelConfig


@component
def LanguageModel(
    examples: InputArtifact[standard_artifacts.Examples],
    language_model: OutputArtifact[LanguageModelArtifact],
    config: Parameter[str],
    ingestion: Parameter[str],
    split: Parameter[str],
    text_contents: Parameter[str],
    source_hash: Parameter[str],
):
    """Estimates a language model.

    Args:
        examples: of AudioExampleGen.
        language_model: gets `lm.binary` and `report.json`, what it was made of.
        config: a LanguageModelConfig as JSON.
        ingestion: an IngestionConfig as JSON, for the alphabet.
        split: the training split.
        text_contents: hashes of the texts, so that the cache sees when they change.
        source_hash: of the code, for the same.
    """
    parsed = from_dict(LanguageModelConfig, json.loads(config), source="language_model")
    with tempfile.TemporaryDirectory(prefix="ds2-lm-") as directory:
        transcripts = os.path.join(directory, "transcripts.txt")
        with open(transcripts, "w", encoding="utf-8") as file:
            for transcript in read_transcripts(record_files(examples, split)):
                file.write(" ".join(transcript.split()) + "\n")
        report = build_lm(
            [transcripts, *parsed.texts],
            language_model_path(language_model),
            Alphabet(IngestionConfig.from_json(ingestion).alphabet),
            order=parsed.order,
            prune=parsed.prune,
            vocabulary_limit=parsed.vocabulary_limit,
            by_character=parsed.by_character,
            language=parsed.language,
        )
    with open(os.path.join(language_model.uri, "report.json"), "w", encoding="utf-8") as file:
        json.dump(report.to_dict(), file, indent=1)
