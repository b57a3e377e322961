# SPDX-License-Identifier: Apache-2.0
"""SavedModelCheck: runs recordings through the exported model in a process of its own.

It takes the place of TFX's InfraValidator, which needs docker, and where there is none lets the run
succeed without pushing anything.
"""

import dataclasses
import itertools
import json
import os
import tempfile

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from ds2_tf.audio.reading import read_audio
from ds2_tf.audio.wav import wav_bytes
from ds2_tf.corpora.manifest import resolve_audio
from ds2_tf.corpora.records import read_records
from ds2_tf.corpora.rejection import RejectionReport
from ds2_tf.errors import UserError
from pipeline.components.artifacts import record_files, saved_model_path
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.sources import ManifestSource, expand_manifests, read_sources
from pipeline.saved_model_probe import probe_in_clean_process

RESULT_NAME = "result.json"


@component
def SavedModelCheck(
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    manifests: Parameter[str],
    ingestion: Parameter[str],
    split: Parameter[str],
    num_recordings: Parameter[int],
    source_hash: Parameter[str],
):
    """Blesses a SavedModel that a server can load and use.

    Args:
        model: of the Trainer.
        examples: of AudioExampleGen.
        blessing: gets `result.json`, transcripts and problems, and the property `blessed`.
        manifests: JSON list of [path, split], to find the recordings.
        ingestion: an IngestionConfig as JSON.
        split: where to take recordings from.
        num_recordings: how many recordings to try.
        source_hash: of the code, so that the cache sees when it changes.
    """
    config = IngestionConfig.from_json(ingestion)
    records = read_records(record_files(examples, split), config.features.num_bins)
    chosen = [
        record["id"].decode("utf-8")
        for record in itertools.islice(records.as_numpy_iterator(), num_recordings)
    ]
    sources = expand_manifests(ManifestSource(*source) for source in json.loads(manifests))
    audio = {
        utterance.id: resolve_audio(utterance, source.path)
        for source, utterance in read_sources(sources, RejectionReport())
        if utterance.id in chosen
    }
    if len(audio) < len(chosen):
        missing = sorted(set(chosen) - audio.keys())
        raise UserError(f"The manifests no longer name the recordings {missing}: ingest again.")
    sample_rate = config.features.sample_rate
    with tempfile.TemporaryDirectory() as directory:
        recordings = {}
        for identifier, path in audio.items():
            samples = read_audio(path, sample_rate=sample_rate, raw=config.raw)
            recordings[identifier] = os.path.join(directory, f"{len(recordings)}.wav")
            with open(recordings[identifier], "wb") as file:
                file.write(wav_bytes(samples, sample_rate))
        result = probe_in_clean_process(saved_model_path(model), recordings)
    with open(os.path.join(blessing.uri, RESULT_NAME), "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(result), file, ensure_ascii=False, indent=1)
    blessing.set_int_custom_property("blessed", int(not result.problems))
