# SPDX-License-Identifier: Apache-2.0
"""What Beam's runners need to be told to run ingestion well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from pipeline.ingestion.worker_watch import LostWorker

# Named outright: Beam's own default first tries to download another runner.
_DEFAULT_RUNNER = "FnApiRunner"
# Beam knows this one by its full name only.
_DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"
_POLL_SECONDS = 2


class RunnerOptions(NamedTuple):
    """How to run the graph.

    Attributes:
        beam: the options of the Beam pipeline.
        in_this_process: whether no other processes work.
        partitions: how many elements the graph should begin with.
    """

    beam: PipelineOptions
    in_this_process: bool
    partitions: int


def runner_options(beam_args: Sequence[str], shards: int) -> RunnerOptions:
    """Reads the options of a runner and completes them.

    Args:
        beam_args: as on a command line; "--runner=DaskRunner" and any that Beam knows.
        shards: of each split.
    """
    beam_args = [
        f"--runner={_DASK_RUNNER}" if argument == "--runner=DaskRunner" else argument
        for argument in beam_args
    ]
    # A later argument wins over an earlier one.
    options = PipelineOptions([f"--runner={_DEFAULT_RUNNER}", *beam_args])
    runner = options.view_as(StandardOptions).runner
    partitions = 1
    if runner == _DASK_RUNNER:
        from apache_beam.runners.dask.dask_runner import DaskOptions

        # Dask never makes more pieces than a graph begins with, and a piece is what a worker gets.
        # More than shards, since those fall into pieces by a hash.
        dask_options = options.view_as(DaskOptions)
        dask_options.npartitions = dask_options.npartitions or 2 * shards
        partitions = dask_options.npartitions
    in_this_process = (
        runner == _DEFAULT_RUNNER
        and options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    )
    return RunnerOptions(options, in_this_process, partitions)


def run_to_end(pipeline: beam.Pipeline) -> None:
    """Runs a Beam pipeline, and closes what the runner leaves open.

    Raises:
        LostWorker: a Dask worker is gone.
        Exception: whatever the pipeline raises.
    """
    result = pipeline.run()
    client = getattr(result, "client", None)
    if client is None:
        result.wait_until_finish()
        return
    own_cluster = client.cluster
    try:
        _wait_for_dask(client, result.futures)
        result.wait_until_finish()
    finally:
        client.close()
        if own_cluster is not None:
            own_cluster.close()


def _wait_for_dask(client, futures) -> None:
    """Waits while all workers are there: without one, Dask may wait for ever."""
    from distributed import wait

    seen: set[str] = set()
    while True:
        workers = set(client.nthreads())
        if gone := sorted(seen - workers):
            client.cancel(futures)
            raise LostWorker(
                f"The Dask worker {', '.join(gone)} is gone, perhaps because memory ran out. What "
                "was finished is kept: run again."
            )
        seen |= workers
        try:
            wait(futures, timeout=_POLL_SECONDS)
            return
        except (TimeoutError, asyncio.TimeoutError):  # the same from Python 3.11 on
            continue
