# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of ingestion, beside a straightforward loop that writes the same records.

    python -m benchmarks.ingestion > ingestion.json        # 8 minutes, 10 GB

The corpus is made: FLAC of 16 kHz, utterances of 4 to 12 s, voiced sounds with pauses in noise;
`--manifest` takes a real one instead. Every case runs in a process of its own, and is measured
after imports and the first utterances. Rates are by CPU time of the process, and so hold on a busy
machine; the gain of two processes is by the clock, their start included, and needs two idle cores.
It is taken on a long corpus, for they spend seconds on imports, and so is the growth of the memory.

The loop reads with soundfile, computes with scipy.signal.stft and writes with TFRecordWriter, once
with gzip as TensorFlow sets it and once with the compression of ingestion; its records are compared
with those of ingestion. Hashing is what caches that go by contents cost.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from ds2_tf.corpora.manifest import Utterance, read_manifest, resolve_audio, write_manifest
from pipeline.ingestion.config import IngestionConfig
from pipeline.ingestion.content_hash import ContentHashes
from pipeline.ingestion.sources import ManifestSource
from pipeline.quiet import quiet_libraries

ALPHABET = " abcdefghijklmnopqrstuvwxyz'"
DISTINCT = 64


def make_corpus(directory: pathlib.Path, hours: float) -> pathlib.Path:
    """Writes recordings, and a manifest that names each as often as the hours ask for."""
    import soundfile

    generator = np.random.default_rng(0)
    recordings = []
    for i in range(DISTINCT):
        seconds = generator.uniform(4, 12)
        time_axis = np.arange(int(seconds * 16000)) / 16000
        pitch = generator.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_axis))
        phase = 2 * np.pi * np.cumsum(pitch) / 16000
        voice = sum(np.sin(k * phase) / k**1.5 for k in range(1, 20))
        loudness = np.clip(np.sin(2 * np.pi * 2.5 * time_axis) + 0.3, 0, 1)
        sound = 0.1 * loudness * voice + 0.002 * generator.standard_normal(len(voice))
        soundfile.write(directory / f"{i}.flac", sound, 16000)
        recordings.append((f"{i}.flac", len(voice) / 16000))
    utterances, total = [], 0.0
    while total < hours * 3600:
        name, seconds = recordings[len(utterances) % DISTINCT]
        utterances.append(
            Utterance(
                id=f"u{len(utterances):06d}",
                audio=name,
                transcript="a few words",
                duration=seconds,
                speaker="s",
                split="train",
            )
        )
        total += seconds
    manifest = directory / f"{hours:g}h.jsonl"
    write_manifest(manifest, utterances)
    return manifest


def ingest_all(manifest: str, output: str, beam_args: list[str]) -> None:
    """What is measured."""
    from pipeline.ingestion.ingest import ingest

    config = IngestionConfig(ALPHABET, time_stride=2, shards=16)
    ingest([ManifestSource(manifest)], config, output, max_bad_share=1, beam_args=beam_args)


def loop(manifest: str, output: str, own_compression: bool) -> None:
    """A straightforward program for the same records."""
    import scipy.signal
    import soundfile
    import tensorflow as tf

    from ds2_tf.corpora.records import make_example
    from pipeline.ingestion import shard_writing

    window = scipy.signal.get_window("hann", 320)
    options = "GZIP"
    if own_compression:
        options = tf.io.TFRecordOptions(
            "GZIP",
            compression_level=shard_writing._GZIP_LEVEL,
            compression_strategy=shard_writing._HUFFMAN_ONLY,
        )
    with tf.io.TFRecordWriter(output, options) as writer:
        for utterance in read_manifest(manifest):
            samples, _ = soundfile.read(resolve_audio(utterance, manifest), dtype="float32")
            padded = np.concatenate([np.zeros(160, np.float32), samples])
            _, _, spectrum = scipy.signal.stft(
                padded, window=window, nperseg=320, noverlap=160, boundary=None, padded=False
            )
            spectrogram = np.log(np.abs(spectrum.T * window.sum()) ** 2 + 1e-6)
            example = make_example(utterance, spectrogram, len(samples) / 16000)
            writer.write(example.SerializeToString())


def run_case(case: str, manifest: str, directory: str) -> None:
    """Runs one case in this process and prints what it cost."""
    beam_args = []
    if case == "two processes":
        beam_args = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]

    def work(manifest: str, name: str) -> None:
        if case.startswith("loop"):
            loop(manifest, os.path.join(directory, name), case == "loop, own compression")
        else:
            ingest_all(manifest, os.path.join(directory, name), beam_args)

    if case == "hashing":
        paths = [resolve_audio(u, manifest) for u in read_manifest(manifest)]
        hashes = ContentHashes(os.path.join(directory, "hashes"), threads=1)
    elif case != "two processes":
        warm_up = pathlib.Path(manifest).with_name("warm-up.jsonl")
        work(str(warm_up), "warm-up")
    before, started = _cpu_seconds(), time.perf_counter()
    if case == "hashing":
        hashes.of(paths)
    else:
        work(manifest, "measured")
    result = {
        "case": case,
        "cpu_seconds": _cpu_seconds() - before,
        "seconds": time.perf_counter() - started,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if case == "hashing":
        result["megabytes_read"] = hashes.bytes_read / 1e6
    print(json.dumps(result))


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def in_new_process(case: str, manifest: pathlib.Path, directory: pathlib.Path) -> dict:
    """Runs this module for one case."""
    directory.mkdir()
    process = subprocess.run(
        [sys.executable, "-m", __spec__.name, "--case", case, str(manifest), str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout.splitlines()[-1])


def largest_difference(directory: pathlib.Path) -> float:
    """The largest difference of a value of the loop's records and those of ingestion."""
    import tensorflow as tf

    from ds2_tf.corpora.records import parse_example

    def read(paths: list[pathlib.Path]) -> dict[bytes, np.ndarray]:
        records = tf.data.TFRecordDataset([str(p) for p in paths], compression_type="GZIP")
        parsed = (parse_example(record, 161) for record in records.take(200))
        return {p["id"].numpy(): p["spectrogram"].numpy() for p in parsed}

    ours = read(sorted((directory / "one process" / "measured").glob("Split-*/*"))[:1])
    theirs = read([directory / "loop" / "measured"])
    common = ours.keys() & theirs.keys()
    assert common
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in common)


def main() -> None:
    """Runs the cases and prints what they cost."""
    quiet_libraries()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=1.0, help="audio (default: 1)")
    parser.add_argument(
        "--long-hours", type=float, default=100.0, help="of the long corpus; 0: none (default: 100)"
    )
    parser.add_argument("--manifest", help="a corpus of one's own, with durations, 16 kHz")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        run_case(*args.case)
        return
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        corpus = directory / "corpus"
        corpus.mkdir()
        manifest = make_corpus(corpus, args.hours)
        if args.manifest:
            manifest = corpus / "own.jsonl"
            root = pathlib.Path(args.manifest).absolute()
            write_manifest(
                manifest,
                (
                    Utterance(u.id, resolve_audio(u, root), u.transcript, u.duration, "s", "train")
                    for u in read_manifest(root)
                ),
            )
        utterances = list(read_manifest(manifest))
        write_manifest(corpus / "warm-up.jsonl", utterances[:2])
        hours = sum(utterance.duration for utterance in utterances) / 3600
        cases = ["one process", "loop", "loop, own compression", "hashing"]
        results = {case: in_new_process(case, manifest, directory / case) for case in cases}
        for result in results.values():
            result["audio_hours_per_core_hour"] = hours * 3600 / result["cpu_seconds"]
        one = results["one process"]
        summary = {
            "audio_hours_per_core_hour": one["audio_hours_per_core_hour"],
            "times_the_loop": results["loop"]["cpu_seconds"] / one["cpu_seconds"],
            "times_the_loop_with_own_compression": results["loop, own compression"]["cpu_seconds"]
            / one["cpu_seconds"],
            "largest_difference_of_a_value": largest_difference(directory),
            "hashing_megabytes_per_cpu_second": results["hashing"]["megabytes_read"]
            / results["hashing"]["cpu_seconds"],
        }
        if args.long_hours:
            long = make_corpus(corpus, args.long_hours)
            one_long = in_new_process("one process", long, directory / "long, one process")
            two_long = in_new_process("two processes", long, directory / "long, two processes")
            one_long["audio_hours_per_core_hour"] = args.long_hours * 3600 / one_long["cpu_seconds"]
            summary["long_corpus"] = {
                "hours": args.long_hours,
                "gain_of_two_processes": one_long["seconds"] / two_long["seconds"],
                "peak_megabytes": one_long["peak_megabytes"],
                "cases": [one_long, two_long],
            }
    print(
        json.dumps(
            {
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "hours": hours,
                **summary,
                "cases": list(results.values()),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
