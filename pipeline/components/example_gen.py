# SPDX-License-Identifier: Apache-2.0
"""AudioExampleGen: manifests of recordings to Examples with spectrograms."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from google.protobuf import json_format, struct_pb2
from tfx import types
from tfx.components.example_gen import component, driver, input_processor, utils, write_split
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import Channel
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import proto_utils

from ds2_tf.audio.spectrogram import FEATURE_VERSION
from ds2_tf.corpora.rejection import DEFAULT_LIMIT
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.ingest import REPORT_NAME, ingest
from pipeline.ingestion.sources import ManifestSource

# The name of the only input where manifests do not stand for splits.
_ALL_SPLITS = "all"


class AudioExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Runs `pipeline.ingestion` and describes its output to TFX."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, object],
    ) -> None:
        """Ingests the manifests that the driver resolved.

        Args:
            input_dict: empty.
            output_dict: `examples`, which gets Split-<name> directories of gzipped TFRecords.
            exec_properties: those of FileBasedExampleGen, and the `custom_config` of
                `AudioExampleGen`.

        Raises:
            TooManyRejections: too many utterances cannot be used; all are named in
                `rejections.json` in the work directory.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        parameters = _unpack(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        config = IngestionConfig.from_json(parameters["ingestion"])
        inputs = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.INPUT_CONFIG_KEY], example_gen_pb2.Input()
        )
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        sources = [
            ManifestSource(
                os.path.join(base, split.pattern),
                split.name if config.split_by == "manifest" else None,
            )
            for split in inputs.splits
        ]
        examples = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.EXAMPLES_KEY]
        )
        # TFX deletes the output of a failed step, and the report is wanted most then.
        report_path = os.path.join(parameters["work_directory"], REPORT_NAME)
        result = ingest(
            sources,
            config,
            examples.uri,
            work_directory=os.path.join(parameters["work_directory"], "shards"),
            report_path=report_path,
            max_bad_share=parameters["max_bad_share"],
            beam_args=self._beam_pipeline_args,
            show_progress=True,
        )
        shutil.copy(report_path, os.path.join(examples.uri, REPORT_NAME))
        examples.split_names = artifact_utils.encode_split_names(sorted(result.splits))
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        examples_utils.set_file_format(
            examples, write_split.to_file_format_str(example_gen_pb2.FORMAT_TFRECORDS_GZIP)
        )


class _ManifestProcessor(input_processor.FileBasedInputProcessor):
    """Leaves the manifests' sizes and times out of the cache key: their contents are in it."""

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        """The same for all."""
        return "see corpus_fingerprint"


class _ManifestDriver(driver.FileBasedDriver):
    def get_input_processor(
        self, splits, range_config=None, input_base_uri=None
    ) -> input_processor.InputProcessor:
        return _ManifestProcessor(input_base_uri, splits, range_config)


class AudioExampleGenSpec(standard_component_specs.FileBasedExampleGenSpec):
    """That of a FileBasedExampleGen, and the fingerprint."""

    PARAMETERS: Mapping[str, ExecutionParameter] = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        "corpus_fingerprint": ExecutionParameter(type=str),
    }


class AudioExampleGen(component.FileBasedExampleGen):
    """Computes the features of the recordings that manifests name.

    The cache key is made of the fingerprint, the configuration and the feature version.

    Args:
        sources: manifests or file patterns of manifests, with their splits where
            `config.split_by` is "manifest".
        config: features, checks, splits and shards.
        fingerprint: of the manifests and the recordings (`corpus_scan.scan_corpus`), or what
            stands for it until a step before this one has found it.
        work_directory: keeps finished shards for runs after this one, and the rejections.
        max_bad_share: largest share of utterances that cannot be used. Defaults to 0.01.

    Output `examples`: splits as found; gzipped TFRecords of `ds2_tf.corpora.records`.
    """

    SPEC_CLASS = AudioExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(AudioExampleGenExecutor)
    DRIVER_CLASS = _ManifestDriver

    def __init__(
        self,
        sources: Sequence[ManifestSource],
        config: IngestionConfig,
        fingerprint: str | Placeholder,
        work_directory: str,
        max_bad_share: float = DEFAULT_LIMIT,
    ):
        # The driver wants patterns relative to one directory.
        base = os.path.commonpath(
            [os.path.dirname(os.path.abspath(source.path)) for source in sources]
        )
        splits = [
            example_gen_pb2.Input.Split(
                name=source.split or _ALL_SPLITS,
                pattern=os.path.relpath(os.path.abspath(source.path), base),
            )
            for source in sources
        ]
        parameters = {
            "ingestion": config.to_json(),
            "feature_version": FEATURE_VERSION,
            "max_bad_share": max_bad_share,
            "work_directory": work_directory,
        }
        inputs = example_gen_pb2.Input(splits=splits)
        # FileBasedExampleGen's constructor knows no further parameter: go past it.
        base_beam_component.BaseBeamComponent.__init__(
            self,
            spec=AudioExampleGenSpec(
                input_base=base,
                input_config=inputs,
                output_config=utils.make_default_output_config(inputs),
                output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
                output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
                custom_config=_pack(parameters),
                corpus_fingerprint=fingerprint,
                examples=Channel(type=standard_artifacts.Examples),
            ),
        )


def _pack(parameters: dict) -> example_gen_pb2.CustomConfig:
    packed = example_gen_pb2.CustomConfig()
    packed.custom_config.Pack(json_format.ParseDict(parameters, struct_pb2.Struct()))
    return packed


def _unpack(text: str) -> dict:
    packed = proto_utils.json_to_proto(text, example_gen_pb2.CustomConfig())
    parameters = struct_pb2.Struct()
    packed.custom_config.Unpack(parameters)
    return json_format.MessageToDict(parameters)
