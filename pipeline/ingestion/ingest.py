# SPDX-License-Identifier: Apache-2.0
"""Ingestion as one call: run the graph, judge the rejections, put the shards in their place."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence

from ds2_tf.corpora.manifest import EmptyManifest
from ds2_tf.corpora.rejection import DEFAULT_LIMIT, Rejection, RejectionReport
from ds2_tf.directory_lock import directory_lock
from ds2_tf.errors import UserError
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.progress import ProgressDisplay
from pipeline.ingestion.shard_store import ShardStore
from pipeline.ingestion.sources import ManifestSource, count_lines, expand_manifests

REPORT_NAME = "rejections.json"


class LostRecords(UserError):
    """A Beam runner ended without an error and without all records."""


@dataclasses.dataclass
class SplitSummary:
    """What one split holds.

    Attributes:
        utterances: records.
        audio_seconds: sum of their lengths.
        shards: files.
        reused: files that an earlier run had finished.
    """

    utterances: int = 0
    audio_seconds: float = 0.0
    shards: int = 0
    reused: int = 0


@dataclasses.dataclass(frozen=True)
class IngestionResult:
    """What ingestion made.

    Attributes:
        splits: by name.
        report: the utterances that were left out.
    """

    splits: dict[str, SplitSummary]
    report: RejectionReport


def split_directory(output: str | os.PathLike, split: str) -> pathlib.Path:
    """Where a split's shards lie under the output directory."""
    return pathlib.Path(output) / f"Split-{split}"


def ingest(
    manifests: Sequence[ManifestSource],
    config: IngestionConfig,
    output: str | os.PathLike,
    *,
    work_directory: str | os.PathLike | None = None,
    report_path: str | os.PathLike | None = None,
    max_bad_share: float = DEFAULT_LIMIT,
    beam_args: Sequence[str] = (),
    show_progress: bool = False,
) -> IngestionResult:
    """Turns manifests into `output/Split-<name>/data_tfrecord-<shard>-of-<shards>.gz`.

    The same input gives the same bytes, whatever the runner and the number of workers. A run that
    was killed goes on where it stopped: shards whose lines, audio and configuration are unchanged
    are not computed again. The output directory changes only when all shards are finished and not
    too many utterances were rejected.

    Args:
        manifests: paths or file patterns of manifests, with their splits where
            `config.split_by` is "manifest".
        config: features, checks, splits and shards.
        output: directory of the result.
        work_directory: where finished shards are kept for later runs, visible to all workers.
            Defaults to `.shards` in the output directory.
        report_path: where the rejections are written as JSON. Defaults to `rejections.json` in
            the output directory.
        max_bad_share: largest share of rejected utterances. Defaults to 0.01.
        beam_args: options of the Beam runner. Defaults to one process on this machine.
        show_progress: show progress on standard error. Defaults to false.

    Raises:
        UserError: a manifest cannot be read, all are empty, or a split gets no utterance.
        LostRecords: the Beam runner lost some.
        LostWorker: a worker process was killed.
        DirectoryInUse: another ingestion uses the work directory.
        TooManyRejections: over `max_bad_share` of the utterances cannot be used.
    """
    output = pathlib.Path(output)
    work_directory = pathlib.Path(work_directory or output / ".shards").absolute()
    report_path = pathlib.Path(report_path or output / REPORT_NAME)
    sources = expand_manifests(manifests)
    total = count_lines(sources)
    if not total:
        raise EmptyManifest(", ".join(source.path for source in sources))
    store = ShardStore(work_directory)
    progress_directory = str(work_directory / "progress")
    progress = (
        ProgressDisplay(progress_directory, total) if show_progress else contextlib.nullcontext()
    )
    with directory_lock(work_directory, "ingestion"):
        with progress:
            descriptions = _run_graph(
                sources, config, str(work_directory), progress_directory, beam_args
            )
        report = _merge_reports(descriptions)
        shards = [description for description in descriptions if "key" in description]
        result = IngestionResult(_summarize(shards), report)
        _require_every_line(result, shards, config)
        report_path.parent.mkdir(parents=True, exist_ok=True)
        report.write(report_path)
        report.enforce(max_bad_share, str(report_path))
        _require_all_splits(result, sources, config)
        _publish(store, shards, output, config.shards)
    return result


def _run_graph(
    sources: Sequence[ManifestSource],
    config: IngestionConfig,
    work_directory: str,
    progress_directory: str,
    beam_args: Sequence[str],
) -> list[dict]:
    import apache_beam as beam

    from pipeline.ingestion.graph import build_graph
    from pipeline.ingestion.runners import run_to_end, runner_options
    from pipeline.ingestion.worker_watch import watched_workers

    options = runner_options(beam_args, config.shards)
    outcome_path = pathlib.Path(work_directory) / "outcome"
    outcome_path.unlink(missing_ok=True)
    try:
        pipeline = beam.Pipeline(options=options.beam)
    except (AttributeError, ImportError, ValueError) as error:
        given = " ".join(beam_args)
        raise UserError(f"Beam does not take these options: {given}: {error}") from error
    build_graph(
        pipeline,
        sources,
        config,
        store_directory=work_directory,
        progress_directory=progress_directory,
        outcome_path=str(outcome_path),
        # This process may go on to train, and needs its threads for it.
        one_thread=not options.in_this_process,
        partitions=options.partitions,
    )
    with watched_workers():
        run_to_end(pipeline)
    try:
        descriptions = json.loads(outcome_path.read_text("utf-8"))
    except FileNotFoundError:
        raise LostRecords(
            f"The Beam runner ended without writing {outcome_path}. Its workers must see that "
            "directory under the same path; or it computes wrongly."
        ) from None
    outcome_path.unlink()
    return sorted(descriptions, key=lambda d: (d.get("split", ""), d.get("shard", -1)))


def _merge_reports(descriptions: Sequence[dict]) -> RejectionReport:
    reading = next(d["report"] for d in descriptions if "report" in d)
    found = reading["rejections"] + [r for d in descriptions for r in d.get("rejections", ())]
    return RejectionReport(reading["total"], [Rejection(**fields) for fields in found])


def _summarize(shards: Sequence[dict]) -> dict[str, SplitSummary]:
    splits: dict[str, SplitSummary] = collections.defaultdict(SplitSummary)
    for shard in shards:
        summary = splits[shard["split"]]
        summary.utterances += shard["utterances"]
        summary.audio_seconds += shard["audio_seconds"]
        summary.shards += 1
        summary.reused += shard["reused"]
    return dict(splits)


def _require_every_line(
    result: IngestionResult, shards: Sequence[dict], config: IngestionConfig
) -> None:
    """Sees that every line of the manifests became a record or a rejection, once.

    Whatever a runner or a lost worker does, a run never ends well with fewer records.
    """
    utterances = sum(split.utterances for split in result.splits.values())
    found = utterances + len(result.report.rejections)
    written = sorted((shard["split"], shard["shard"]) for shard in shards)
    expected = [(split, shard) for split in sorted(result.splits) for shard in range(config.shards)]
    if found != result.report.total or written != expected:
        raise LostRecords(
            f"The manifests have {result.report.total} lines, and the Beam runner accounts for "
            f"{found} of them, in {len(written)} of {len(expected)} shards. Nothing was changed "
            "in the output. Run again; if this happens again, the runner computes wrongly."
        )


def _require_all_splits(
    result: IngestionResult, sources: Sequence[ManifestSource], config: IngestionConfig
) -> None:
    expected = {
        "column": set(result.splits),
        "manifest": {source.split for source in sources},
        "speaker": set(config.split_shares),
    }[config.split_by]
    filled = {name for name, summary in result.splits.items() if summary.utterances}
    if expected - filled:
        cure = (
            "Raise its share, or assign splits in the manifest (--split-by column)."
            if config.split_by == "speaker"
            else "See the rejections."
        )
        raise UserError(
            f"No usable utterance is in the split {', '.join(sorted(expected - filled))}; "
            f"{', '.join(sorted(filled))} have some. {cure}"
        )


def _publish(
    store: ShardStore, shards: Sequence[dict], output: pathlib.Path, shard_count: int
) -> None:
    targets = set()
    for shard in shards:
        directory = split_directory(output, shard["split"])
        directory.mkdir(parents=True, exist_ok=True)
        target = directory / f"data_tfrecord-{shard['shard']:05d}-of-{shard_count:05d}.gz"
        store.place(shard["key"], target)
        targets.add(target)
    for stale in set(output.glob("Split-*/*")) - targets:
        stale.unlink()
    for directory in output.glob("Split-*"):
        if not any(directory.iterdir()):
            directory.rmdir()
    store.keep_only(shard["key"] for shard in shards)
