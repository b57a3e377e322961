# SPDX-License-Identifier: Apache-2.0
"""Ingestion as a whole: what it writes, what it leaves out, and that it can be stopped."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.audio.reading import read_audio
from ds2_tf.audio.spectrogram import log_spectrogram
from ds2_tf.corpora.manifest import read_manifest, write_manifest
from ds2_tf.corpora.records import parse_example
from ds2_tf.corpora.rejection import TooManyRejections
from ds2_tf.directory_lock import DirectoryInUse, directory_lock
from ds2_tf.errors import UserError
from pipeline.ingestion import ingest as ingest_module
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.ingest import LostRecords, ingest
from pipeline.ingestion.sources import ManifestSource
from pipeline.ingestion.worker_watch import LostWorker

_ENGLISH = " abcdefghijklmnopqrstuvwxyz'"


def _config(**options) -> IngestionConfig:
    return IngestionConfig(alphabet=_ENGLISH, time_stride=2, **{"shards": 3, **options})


def _ingest(manifest, output, *, max_bad_share=0.01, beam_args=(), **options):
    return ingest(
        [ManifestSource(str(manifest))],
        _config(**options),
        output,
        max_bad_share=max_bad_share,
        beam_args=beam_args,
    )


def _records(output: pathlib.Path, split: str) -> list[list[dict]]:
    """The parsed records of each shard of a split."""
    paths = sorted((output / f"Split-{split}").iterdir())
    return [
        [
            {name: value.numpy() for name, value in parse_example(record, 161).items()}
            for record in tf.data.TFRecordDataset([str(path)], compression_type="GZIP")
        ]
        for path in paths
    ]


def _digests(output: pathlib.Path) -> dict[str, str]:
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.glob("Split-*/*"))
    }


def _edit(manifest: pathlib.Path, edit) -> None:
    write_manifest(manifest, [edit(utterance) for utterance in list(read_manifest(manifest))])


def test_every_utterance_is_written_once_with_its_features(make_corpus, tmp_path):
    manifest = make_corpus(18)
    result = _ingest(manifest, tmp_path / "out")
    utterances = {utterance.id: utterance for utterance in read_manifest(manifest)}
    written = {
        record["id"].decode(): (split, record)
        for split in ("train", "dev")
        for shard in _records(tmp_path / "out", split)
        for record in shard
    }
    assert written.keys() == utterances.keys()
    assert {name: split.utterances for name, split in result.splits.items()} == {
        "train": 15,
        "dev": 3,
    }
    for identifier, (split, record) in written.items():
        utterance = utterances[identifier]
        assert split == utterance.split
        assert record["transcript"].decode() == utterance.transcript
        assert record["speaker"].decode() == utterance.speaker
        samples = read_audio(manifest.parent / utterance.audio)
        expected = log_spectrogram(samples[np.newaxis], np.array([len(samples)], np.int32))[0][0]
        assert record["num_frames"] == len(samples) // 160
        np.testing.assert_allclose(record["spectrogram"], expected, atol=0.01)


def test_shards_run_from_short_to_long(make_corpus, tmp_path):
    _ingest(make_corpus(18), tmp_path / "out")
    for shard in _records(tmp_path / "out", "train"):
        durations = [record["duration"] for record in shard]
        assert durations == sorted(durations)


def test_all_shards_of_a_split_exist_even_when_empty(make_corpus, tmp_path):
    _ingest(make_corpus(6), tmp_path / "out", shards=5)
    assert [path.name for path in sorted((tmp_path / "out" / "Split-dev").iterdir())] == [
        f"data_tfrecord-0000{i}-of-00005.gz" for i in range(5)
    ]
    assert sum(len(shard) for shard in _records(tmp_path / "out", "dev")) == 1


def test_bytes_depend_neither_on_time_nor_on_the_order_of_lines(make_corpus, tmp_path):
    manifest = make_corpus(12)
    _ingest(manifest, tmp_path / "first")
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(reversed(lines)))
    _ingest(manifest, tmp_path / "second")
    assert _digests(tmp_path / "first") == _digests(tmp_path / "second")
    for path in (tmp_path / "first").glob("Split-*/*"):
        assert path.read_bytes()[4:8] == b"\0\0\0\0"  # gzip's time of change
        with gzip.open(path) as file:
            file.read()


@pytest.mark.slow
def test_two_processes_give_the_bytes_of_one(make_corpus, tmp_path):
    manifest = make_corpus(12)
    _ingest(manifest, tmp_path / "one")
    _ingest(
        manifest,
        tmp_path / "two",
        beam_args=["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
    )
    assert len(_digests(tmp_path / "one")) == 6
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")


def _children(process: int, command: str) -> list[int]:
    """The processes that a process has started with such a command."""
    words = ["pgrep", "--parent", str(process), "--full", command]
    return [int(line) for line in subprocess.check_output(words, text=True).split()]


@pytest.mark.slow
def test_a_killed_worker_fails_the_run_and_the_next_one_goes_on(make_corpus, tmp_path):
    manifest = make_corpus(120)
    output = tmp_path / "out"
    store = output / ".shards"

    def kill_a_worker() -> None:
        while len(list(store.glob("*.json"))) < 3:
            time.sleep(0.01)
        # Beam starts its workers through a shell.
        shell = _children(os.getpid(), "sdk_worker_main")[0]
        os.kill(_children(shell, "sdk_worker_main")[0], signal.SIGKILL)

    thread = threading.Thread(target=kill_a_worker, daemon=True)
    thread.start()
    with pytest.raises(LostWorker, match="was lost.*run again"):
        _ingest(
            manifest,
            output,
            shards=30,
            beam_args=["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
        )
    thread.join()
    assert not list(output.glob("Split-*"))
    again = _ingest(manifest, output, shards=30)
    assert sum(split.reused for split in again.splits.values()) >= 3
    assert sum(split.utterances for split in again.splits.values()) == 120


def _break_one_of_each(manifest: pathlib.Path) -> dict[str, str]:
    """Spoils utterances in every way there is; returns the reason expected of each id."""
    folder = manifest.parent
    utterances = {utterance.id: utterance for utterance in read_manifest(manifest)}
    changes = {
        "u000": {"audio": "nowhere.flac"},
        "u001": {"transcript": " "},
        "u002": {"transcript": "número"},
        "u003": {"duration": 9.0},
        "u004": {"transcript": "a b c " * 40},
        "u006": {"split": None},
    }
    write_manifest(
        manifest, [dataclasses.replace(u, **changes.get(u.id, {})) for u in utterances.values()]
    )
    (folder / "u007.flac").write_bytes(b"")
    (folder / "u008.flac").write_bytes(b"no audio in here" * 20)
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join([*lines, lines[9], "{not json\n"]))
    return {
        "u000": "missing-audio",
        "u001": "empty-transcript",
        "u002": "unknown-characters",
        "u003": "truncated-audio",
        "u004": "too-short-for-transcript",
        "u006": "malformed-line",
        "u007": "empty-audio",
        "u008": "not-audio",
        "u009": "duplicate-id",
        "line 20": "malformed-line",
    }


def test_what_cannot_be_used_is_named_with_its_reason(make_corpus, tmp_path):
    manifest = make_corpus(18)
    expected = _break_one_of_each(manifest)
    result = _ingest(manifest, tmp_path / "out", max_bad_share=0.6)
    report = json.loads((tmp_path / "out" / "rejections.json").read_text())
    assert {r["id"]: r["reason"] for r in report["rejections"]} == expected
    assert report["total"] == 20 and report["rejected"] == 10
    # u009 is left out only where it comes the second time.
    assert sum(split.utterances for split in result.splits.values()) == 10


def test_too_many_rejections_fail_and_leave_the_report_and_no_records(make_corpus, tmp_path):
    manifest = make_corpus(18)
    _break_one_of_each(manifest)
    with pytest.raises(TooManyRejections, match="50.00%.*limit is 40.00%"):
        _ingest(manifest, tmp_path / "out", max_bad_share=0.4)
    assert json.loads((tmp_path / "out" / "rejections.json").read_text())["rejected"] == 10
    assert not list((tmp_path / "out").glob("Split-*"))


def test_speakers_stay_in_one_split(make_corpus, tmp_path):
    manifest = make_corpus(48, speakers=16)
    _ingest(
        manifest, tmp_path / "out", split_by="speaker", split_shares={"train": 0.6, "test": 0.4}
    )
    speakers = {
        split: {r["speaker"] for shard in _records(tmp_path / "out", split) for r in shard}
        for split in ("train", "test")
    }
    assert len(speakers["train"] | speakers["test"]) == 16
    assert not speakers["train"] & speakers["test"]


def test_a_split_without_speakers_is_an_error(make_corpus, tmp_path):
    manifest = make_corpus(4, speakers=1)
    with pytest.raises(UserError, match="split (train|dev); (train|dev) have some"):
        _ingest(manifest, tmp_path / "out", split_by="speaker")


def test_one_manifest_a_split(make_corpus, tmp_path):
    sources = [
        ManifestSource(str(make_corpus(4, name="a")), "train"),
        ManifestSource(str(make_corpus(6, name="b", seed=1)), "held-out"),
    ]
    result = ingest(sources, _config(split_by="manifest"), tmp_path / "out", max_bad_share=0.5)
    # The second corpus repeats the ids of the first, and what is trained on must not be tested on.
    assert {name: split.utterances for name, split in result.splits.items()} == {
        "train": 4,
        "held-out": 2,
    }
    assert result.report.counts() == {"duplicate-id": 4}


def test_a_second_run_computes_only_the_shards_that_changed(
    make_corpus, change_unnoticed, tmp_path
):
    manifest = make_corpus(48)
    _ingest(manifest, tmp_path / "out")
    again = _ingest(manifest, tmp_path / "out")
    assert again.splits["train"].reused == again.splits["dev"].reused == 3

    os.utime(manifest.parent / "u000.flac", (1, 1))
    touched = _ingest(manifest, tmp_path / "out")
    assert (touched.splits["train"].reused, touched.splits["dev"].reused) == (3, 3)

    change_unnoticed(manifest.parent / "u000.flac")
    changed = _ingest(manifest, tmp_path / "out")
    assert (changed.splits["train"].reused, changed.splits["dev"].reused) == (2, 3)

    _edit(manifest, lambda u: dataclasses.replace(u, split="train") if u.id == "u005" else u)
    moved = _ingest(manifest, tmp_path / "out")
    assert (moved.splits["train"].reused, moved.splits["dev"].reused) == (2, 2)
    assert len(list((tmp_path / "out" / ".shards").glob("*.gz"))) == 6

    restrided = ingest(
        [ManifestSource(str(manifest))],
        dataclasses.replace(_config(), time_stride=3),
        tmp_path / "out",
    )
    assert restrided.splits["train"].reused == 0


def test_shards_of_an_earlier_layout_do_not_stay(make_corpus, tmp_path):
    manifest = make_corpus(12)
    _ingest(manifest, tmp_path / "out", shards=5)
    _edit(manifest, lambda utterance: dataclasses.replace(utterance, split="train"))
    _ingest(manifest, tmp_path / "out", shards=2)
    assert sorted(_digests(tmp_path / "out")) == [
        "Split-train/data_tfrecord-00000-of-00002.gz",
        "Split-train/data_tfrecord-00001-of-00002.gz",
    ]


def test_a_missing_manifest_is_named(tmp_path):
    with pytest.raises(UserError, match="No manifest found at .*nowhere.jsonl"):
        _ingest(tmp_path / "nowhere.jsonl", tmp_path / "out")


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(make_corpus, tmp_path):
    manifest = make_corpus(240)
    _ingest(manifest, tmp_path / "whole", shards=60)
    program = (
        "import sys; from pipeline.ingestion.ingest import ingest;"
        "from pipeline.ingestion.sources import ManifestSource;"
        "from pipeline.ingestion.config import IngestionConfig;"
        f"ingest([ManifestSource(sys.argv[1])], IngestionConfig({_ENGLISH!r}, 2, shards=60),"
        " sys.argv[2])"
    )
    output = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", program, str(manifest), str(output)])
    finished = output / ".shards"
    while process.poll() is None and len(list(finished.glob("*.json"))) < 5:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert not list(output.glob("Split-*"))
    result = _ingest(manifest, output, shards=60)
    assert sum(split.reused for split in result.splits.values()) >= 5
    assert _digests(output) == _digests(tmp_path / "whole")
    assert not list(finished.glob("*.tmp"))


def test_two_ingestions_into_one_directory_do_not_mix(make_corpus, tmp_path):
    manifest = make_corpus(6)
    with directory_lock(tmp_path / "out" / ".shards", "ingestion"):
        with pytest.raises(DirectoryInUse, match=f"process {os.getpid()} on "):
            _ingest(manifest, tmp_path / "out")
    assert not list((tmp_path / "out").glob("Split-*"))
    _ingest(manifest, tmp_path / "out")


def test_a_runner_that_loses_records_fails_the_run(make_corpus, tmp_path, monkeypatch):
    manifest = make_corpus(12)
    _ingest(manifest, tmp_path / "out")
    before = _digests(tmp_path / "out")
    run_graph = ingest_module._run_graph
    monkeypatch.setattr(ingest_module, "_run_graph", lambda *args: run_graph(*args)[:-1])
    with pytest.raises(LostRecords, match="12 lines, .* in 5 of 6 shards"):
        _ingest(manifest, tmp_path / "out")
    assert _digests(tmp_path / "out") == before
