# SPDX-License-Identifier: Apache-2.0
"""Ingestion on a Dask cluster: a scheduler and two workers, one of which is killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
import threading
import time

import distributed
import pytest

from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.ingest import ingest
from pipeline.ingestion.runners import _wait_for_dask, runner_options
from pipeline.ingestion.sources import ManifestSource
from pipeline.ingestion.worker_watch import LostWorker

_ROOT = pathlib.Path(__file__).parents[3]
_SHARDS = 12


@pytest.fixture
def cluster(tmp_path):
    """The scheduler's file, and two workers as processes."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{_ROOT}:{os.environ.get('PYTHONPATH', '')}",
        "DASK_LOGGING__DISTRIBUTED": "error",
    }
    scheduler_file = tmp_path / "scheduler.json"

    def start(*words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--scheduler-file", str(scheduler_file)],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.DEVNULL,
        )

    with contextlib.ExitStack() as stack:
        processes = [start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")]
        stack.callback(lambda: [p.kill() or p.wait() for p in processes])
        while not scheduler_file.exists():
            assert processes[0].poll() is None
            time.sleep(0.05)
        worker = ("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        processes += [start(*worker) for _ in range(2)]
        # One that is killed before it has come is not missed.
        with distributed.Client(scheduler_file=str(scheduler_file)) as client:
            client.wait_for_workers(2, timeout=60)
        yield scheduler_file, processes[1:]


def _ingest(manifest: pathlib.Path, output: pathlib.Path, *beam_args: str):
    config = IngestionConfig(" abcdefghijklmnopqrstuvwxyz'", time_stride=2, shards=_SHARDS)
    return ingest([ManifestSource(str(manifest))], config, output, beam_args=beam_args)


def _digests(output: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.glob("Split-*/*"))
    }


@pytest.mark.slow
def test_a_killed_worker_takes_no_record_along(cluster, make_corpus, tmp_path):
    """The run fails, unless the other worker is done with it all before the loss is noticed."""
    scheduler_file, workers = cluster
    manifest = make_corpus(48)
    output = tmp_path / "dask"
    dask = ("--runner=DaskRunner", f"--dask_scheduler_file={scheduler_file}")

    def kill_one() -> None:
        while len(list((output / ".shards").glob("*.json"))) < 3:
            time.sleep(0.01)
        workers[0].kill()

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    try:
        _ingest(manifest, output, *dask)
    except LostWorker:
        # Nothing that is not whole.
        assert not list(output.glob("Split-*"))
    else:
        assert len(_digests(output)) == 2 * _SHARDS
    thread.join()
    # What the lost worker was to do may still come in from the other.
    result = _ingest(manifest, output, *dask)
    assert sum(split.reused for split in result.splits.values()) >= 3
    assert sum(split.utterances for split in result.splits.values()) == 48
    _ingest(manifest, tmp_path / "one")
    assert len(_digests(output)) == 2 * _SHARDS
    assert _digests(output) == _digests(tmp_path / "one")


def test_a_run_does_not_wait_for_a_worker_that_is_gone(monkeypatch):
    class Client:
        workers = [{"tcp://a": 1}, {"tcp://a": 1, "tcp://b": 1}, {"tcp://b": 1}]
        cancelled = None

        def nthreads(self):
            return self.workers.pop(0)

        def cancel(self, futures):
            self.cancelled = futures

    def wait(futures, timeout):
        raise TimeoutError

    monkeypatch.setattr(distributed, "wait", wait)
    client, futures = Client(), ["a future"]
    with pytest.raises(LostWorker, match="The Dask worker tcp://a is gone"):
        _wait_for_dask(client, futures)
    assert client.cancelled is futures and not client.workers


def test_dask_begins_with_as_many_pieces_as_it_is_to_work_on():
    assert runner_options(["--runner=DaskRunner"], shards=8).partitions == 16
    asked = runner_options(["--runner=DaskRunner", "--dask_npartitions=5"], shards=8)
    assert asked.partitions == 5 and not asked.in_this_process


def test_other_runners_are_left_alone():
    assert runner_options([], shards=8).in_this_process
    several = runner_options(["--direct_running_mode=multi_processing"], shards=8)
    assert not several.in_this_process and several.partitions == 1
    flink = runner_options(["--runner=FlinkRunner", "--flink_master=host:8081"], shards=8)
    assert not flink.in_this_process
    assert flink.beam.get_all_options()["flink_master"] == "host:8081"
