# SPDX-License-Identifier: Apache-2.0
"""The Beam graph of ingestion.

    manifests -> lines -> ((split, shard), line) -> group -> write shard -> group -> outcome

Only manifest lines are shuffled; spectrograms go from the worker that computes them straight to
its shard. The graph is one chain without side outputs, because some Beam runners compute those
wrongly without saying so.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam

from ds2_tf.corpora.manifest import parse_utterance
from ds2_tf.corpora.rejection import BadUtterance, Rejection, RejectionReport
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.placement import place, shard_of
from pipeline.ingestion.progress import ProgressWriter
from pipeline.ingestion.shard_store import ShardStore
from pipeline.ingestion.shard_writing import ShardLine, shard_key, write_shard
from pipeline.ingestion.sources import ManifestSource, read_sources

# The key under which the reading step sends its report past the shards.
_REPORT = ("", -1)


class ReadManifests(beam.DoFn):
    """Reads all manifests and sends every line to its shard, and its report after them."""

    def __init__(self, config: IngestionConfig):
        self._config = config

    def process(self, sources: Sequence[ManifestSource]) -> Iterator[tuple[tuple[str, int], tuple]]:
        """Yields ((split, shard), (manifest path, line)); (manifest path, None) opens a shard.

        No sources, nothing.
        """
        if not sources:
            return
        report = RejectionReport()
        splits = set()
        for source, utterance in read_sources(sources, report):
            try:
                utterance = place(utterance, source, self._config)
            except BadUtterance as bad:
                report.rejections.append(Rejection(utterance.id, bad.reason, bad.detail))
                continue
            if utterance.split not in splits:
                # Every split has all its shards, the empty ones too.
                splits.add(utterance.split)
                for shard in range(self._config.shards):
                    yield (utterance.split, shard), (source.path, None)
            shard = shard_of(utterance, self._config.shards)
            yield (utterance.split, shard), (source.path, utterance.to_json())
        yield _REPORT, ("", json.dumps(report.to_dict()))


class WriteShard(beam.DoFn):
    """Writes one shard into the store, unless it is there.

    Args:
        config: features and checks.
        store_directory: the directory of the `ShardStore`.
        progress_directory: where to note progress.
        one_thread: keep TensorFlow to one thread, for workers that share a machine.
    """

    def __init__(
        self,
        config: IngestionConfig,
        store_directory: str,
        progress_directory: str,
        one_thread: bool,
    ):
        self._config = config
        self._store_directory = store_directory
        self._progress_directory = progress_directory
        self._one_thread = one_thread

    def setup(self):
        import tensorflow as tf

        if self._one_thread:
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        self._store = ShardStore(self._store_directory)
        self._progress = ProgressWriter(self._progress_directory)

    def process(self, element: tuple[tuple[str, int], Iterable[tuple]]) -> Iterator[dict]:
        """Yields a description of the shard, or the reading step's report, as JSON types."""
        (split, shard), values = element
        if (split, shard) == _REPORT:
            yield {"report": json.loads(next(iter(values))[1])}
            return
        lines = [
            ShardLine(manifest_path, parse_utterance(line))
            for manifest_path, line in values
            if line is not None
        ]
        # A worker reads one file at a time here: the other processors have workers of their own.
        hashes = ContentHashes(
            pathlib.Path(self._store_directory) / "hashes" / f"{split}-{shard}.tsv", threads=1
        )
        key = shard_key(lines, self._config, hashes)
        content = self._store.find(key)
        reused = content is not None
        if reused:
            self._progress.add_reused(len(lines))
        else:
            content = self._store.create(
                key, lambda path: write_shard(path, lines, self._config, self._progress.add)
            )
            self._progress.flush()
        hashes.save()
        yield {
            "split": split,
            "shard": shard,
            "key": key,
            "reused": reused,
            **dataclasses.asdict(content),
        }


def _write_outcome(element: tuple[None, Iterable[dict]], path: str) -> None:
    temporary = pathlib.Path(f"{path}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(list(element[1])), "utf-8")
    temporary.replace(path)


def build_graph(
    pipeline: beam.Pipeline,
    sources: Sequence[ManifestSource],
    config: IngestionConfig,
    *,
    store_directory: str,
    progress_directory: str,
    outcome_path: str,
    one_thread: bool,
    partitions: int = 1,
) -> None:
    """Adds ingestion to a Beam pipeline.

    Args:
        pipeline: the Beam pipeline.
        sources: the manifests.
        config: features, checks, splits and shards.
        store_directory: where shards are kept under their content keys.
        progress_directory: where workers note their progress.
        outcome_path: gets a JSON list: a description of each shard, and the reading step's report.
        one_thread: keep TensorFlow to one thread a worker.
        partitions: how many elements the graph begins with, all but one of them empty, for runners
            that keep to that number of pieces to the end. Defaults to 1.
    """
    _ = (
        pipeline
        | "Manifests" >> beam.Create([list(sources)] + [[]] * (partitions - 1))
        | "Read" >> beam.ParDo(ReadManifests(config))
        | "GroupByShard" >> beam.GroupByKey()
        | "WriteShard"
        >> beam.ParDo(WriteShard(config, store_directory, progress_directory, one_thread))
        | "KeyOutcome" >> beam.Map(lambda description: (None, description))
        | "GroupOutcome" >> beam.GroupByKey()
        | "WriteOutcome" >> beam.Map(_write_outcome, outcome_path)
    )
