# SPDX-License-Identifier: Apache-2.0
"""CorpusStatistics: mean and standard deviation of the training split, per frequency bin."""

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from ds2_tf.corpora.statistics import compute_record_statistics
from pipeline.components.artifacts import CorpusStatisticsArtifact, record_files, statistics_path
from pipeline.ingestion.config import IngestionConfig


@component
def CorpusStatistics(
    examples: InputArtifact[standard_artifacts.Examples],
    statistics: OutputArtifact[CorpusStatisticsArtifact],
    ingestion: Parameter[str],
    split: Parameter[str],
    source_hash: Parameter[str],
):
    """Computes what the network needs to normalize its input.

    Args:
        examples: of AudioExampleGen.
        statistics: gets `statistics.json`.
        ingestion: an IngestionConfig as JSON, for the features.
        split: the training split.
        source_hash: of the code, so that the cache sees when it changes.
    """
    features = IngestionConfig.from_json(ingestion).features
    computed = compute_record_statistics(record_files(examples, split), features)
    computed.save(statistics_path(statistics))
