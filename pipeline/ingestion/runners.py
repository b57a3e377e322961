# SPDX-License-Identifier: Apache-2.0
"""What Beam's runners need to be told to run ingestion well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

# Named outright: Beam's own default first tries to download another runner.
_DEFAULT_RUNNER = "FnApiRunner"
# Beam knows this one by its full name only.
_DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"


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


def close_runner(pipeline: beam.Pipeline) -> None:
    """Ends what a runner leaves behind: Dask's client, and the workers that it started itself."""
    client = getattr(getattr(pipeline, "result", None), "client", None)
    if client is not None:
        own_cluster = client.cluster
        client.close()
        if own_cluster is not None:
            own_cluster.close()
