# SPDX-License-Identifier: Apache-2.0
"""DecoderTuner: a language model and the weights with which it suits a model best."""

import json
import os

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from ds2_tf.config import from_dict
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.decoding.package import write_package
from ds2_tf.decoding.tuning import DevelopmentSet, tune
from ds2_tf.text.alphabet import Alphabet
from pipeline.components.artifacts import (
    DecoderPackageArtifact,
    LanguageModelArtifact,
    decoder_path,
    language_model_path,
    record_files,
    saved_model_path,
)
from pipeline.decoder_config import DecoderConfig
from pipeline.evaluation.recognition import (
    RecordRecognizer,
    batches,
    record_fields,
    spread_records,
)
from pipeline.ingestion.config import IngestionConfig


@component
def DecoderTuner(
    examples: InputArtifact[standard_artifacts.Examples],
    model: InputArtifact[standard_artifacts.Model],
    language_model: InputArtifact[LanguageModelArtifact],
    decoder: OutputArtifact[DecoderPackageArtifact],
    config: Parameter[str],
    ingestion: Parameter[str],
    split: Parameter[str],
    source_hash: Parameter[str],
):
    """Finds alpha and beta with the fewest word errors.

    Args:
        examples: of AudioExampleGen.
        model: of the Trainer.
        language_model: of LanguageModel.
        decoder: gets the package, `ds2.decoder`, and `tuning.json`, what was measured.
        config: a DecoderConfig as JSON.
        ingestion: an IngestionConfig as JSON, for the alphabet.
        split: the split to tune on. Every third of its utterances is kept for checking.
        source_hash: of the code, so that the cache sees when it changes.

    Raises:
        UserError: the language model does not fit: even the best weights make more word errors than
            greedy decoding.
    """
    parsed = from_dict(DecoderConfig, json.loads(config), source="decoder")
    alphabet = Alphabet(IngestionConfig.from_json(ingestion).alphabet)
    package = write_package(
        decoder_path(decoder),
        alphabet,
        parsed.search,
        NgramModel(language_model_path(language_model)),
    )
    recognizer = RecordRecognizer(saved_model_path(model))
    records = spread_records(record_files(examples, split), parsed.max_utterances)
    whole = DevelopmentSet(
        [item.log_probs for batch in batches(records) for item in recognizer.recognize(batch)],
        [" ".join(record_fields(record)["transcript"].split()) for record in records],
    )
    tuning = tune(
        package,
        *whole.parts(),
        alphas=parsed.alphas,
        betas=parsed.betas,
        refinements=parsed.refinements,
        beam_sizes=parsed.beam_sizes,
    )
    write_package(package.path, alphabet, tuning.options, package.model)
    with open(os.path.join(decoder.uri, "tuning.json"), "w", encoding="utf-8") as file:
        json.dump(tuning.to_dict(), file, indent=1)
