# SPDX-License-Identifier: Apache-2.0
"""Runs the demonstration with the commands that a user would give.

Corpus -> pipeline (ingest, validate, train, evaluate, check, push) -> server -> client. A second
run finds everything done and only serves.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence

ROOT = pathlib.Path(__file__).parent.parent
# What is said of each corpus: the split that nothing has been tuned on.
_HELD_OUT = {"synthetic": "test", "an4": "dev"}
_ROWS = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstration; returns the exit status of the command that failed, or 0."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--corpus", choices=sorted(_HELD_OUT), default="synthetic")
    parser.add_argument("--corpus-directory", metavar="DIR", help="where AN4 lies")
    args = parser.parse_args(arguments)
    if (args.corpus == "an4") != bool(args.corpus_directory):
        parser.error("CORPUS=an4 needs CORPUS_DIR=<directory of AN4>, and only that does")
    # What TensorFlow and Google's libraries say on every start is not about the demonstration.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
    os.environ["PYTHONUNBUFFERED"] = "1"
    warnings.filterwarnings("ignore", category=FutureWarning)
    started = time.monotonic()
    work = ROOT / ".demo" / args.corpus
    config = ROOT / "demo" / f"{args.corpus}.yaml"
    try:
        _import_corpus(args, work / "corpus")
        _say("Pipeline: ingestion, validation, training, evaluation, check, push")
        _ds2("pipeline", "run", str(config))
        wer = _transcribe_through_server(work, _HELD_OUT[args.corpus])
    except subprocess.CalledProcessError as error:
        print(f"demo: {' '.join(error.cmd[-4:])} failed", file=sys.stderr)
        return error.returncode
    relative = work.relative_to(ROOT)
    _say(f"Done in {time.monotonic() - started:.0f} s: WER {wer:.1%} on held-out speakers")
    print(
        f"corpus       {relative}/corpus/manifest.jsonl\n"
        f"pipeline     {config.relative_to(ROOT)} -> {relative}/pipeline (artifacts, metadata)\n"
        f"served model {relative}/serving\n"
        f"try          .venv/bin/ds2 serve {relative}/serving\n"
        f"             .venv/bin/ds2 transcribe --server localhost:8500 RECORDING..."
    )
    return 0


def _import_corpus(args: argparse.Namespace, directory: pathlib.Path) -> None:
    if args.corpus == "synthetic":
        _say("Corpus: synthetic speech by eSpeak NG, many voices")
        _ds2("corpus", "import", "synthetic", "--output", str(directory))
    else:
        _say(f"Corpus: AN4 in {args.corpus_directory}")
        manifest = str(directory / "manifest.jsonl")
        _ds2("corpus", "import", "an4", args.corpus_directory, "--output", manifest)


def _transcribe_through_server(work: pathlib.Path, split: str) -> float:
    """Serves the pushed model, sends it every held-out recording, and gives the error rate."""
    from ds2_tf.corpora.manifest import read_manifest, resolve_audio
    from ds2_tf.metrics.error_rate import total, word_errors
    from serving.client import Client

    manifest = work / "corpus" / "manifest.jsonl"
    utterances = [u for u in read_manifest(manifest) if u.split == split]
    _say(f"Serving: {len(utterances)} held-out recordings through gRPC, one at a time")
    with _server(work / "serving") as address, Client(address) as client:
        answers = [client.transcribe(resolve_audio(u, manifest)) for u in utterances]
    errors = [word_errors(u.transcript, a.text) for u, a in zip(utterances, answers)]

    print(f"{'reference':42} {'hypothesis':42} {'WER':>5} {'latency':>8}")
    step = max(1, len(utterances) // _ROWS)
    for utterance, answer, counts in list(zip(utterances, answers, errors))[::step][:_ROWS]:
        print(
            f"{utterance.transcript[:42]:42} {answer.text[:42]:42} {counts.rate:5.0%} "
            f"{1000 * answer.latency_seconds:5.0f} ms"
        )
    latencies = [1000 * answer.latency_seconds for answer in answers]
    seconds = statistics.mean(answer.duration_seconds for answer in answers)
    print(
        f"version {answers[0].model_version}; {len(answers)} recordings of {seconds:.1f} s on "
        f"average; latency median {statistics.median(latencies):.0f} ms, "
        f"longest {max(latencies):.0f} ms"
    )
    return total(errors).rate


@contextlib.contextmanager
def _server(models: pathlib.Path) -> Iterator[str]:
    """Runs `ds2 serve` on a free port and gives its address once it is ready."""
    command = [*_ds2_command(), "serve", str(models), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            for line in process.stdout:
                print(line, end="")
                if match := re.search(r"gRPC at \S*:(\d+)", line):
                    yield f"127.0.0.1:{match[1]}"
                    break
            else:
                raise subprocess.CalledProcessError(process.wait() or 1, command)
        finally:
            process.terminate()


def _ds2(*words: str) -> None:
    subprocess.run([*_ds2_command(), *words], check=True)


def _ds2_command() -> list[str]:
    return [sys.executable, "-m", "ds2_tf.cli"]


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
