# SPDX-License-Identifier: Apache-2.0
"""What training costs an hour of audio, and how much memory, on small and on large corpora.

    python -m benchmarks.corpus_size > corpus_size.json

For each size, in a process of its own: the corpus' fingerprint, its statistics, all batches of a
shuffled epoch, and a few training steps of a small network on its first batches. The records hold
a few frames over and over, so that 100 hours take little disk; reading, unpacking and batching them
are the real thing. Prints JSON: CPU and clock seconds an hour of audio, and the memory at its peak.
Utterances are 5 s on average and 2048 of them are shuffled at a time (`training.shuffle_buffer`):
from 3 hours on memory should not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

_HERE = pathlib.Path(__file__)
_STEPS = 5


def measure(directory: pathlib.Path, hours: float) -> dict:
    """Writes records and goes through them."""
    import keras

    from benchmarks.synthetic_records import write_records
    from ds2_tf.corpora.statistics import compute_record_statistics
    from ds2_tf.models.deep_speech_2 import DeepSpeech2
    from ds2_tf.recipes import load_recipe
    from ds2_tf.text.alphabet import Alphabet
    from ds2_tf.training.data import RecordData
    from ds2_tf.training.loss import CTCLoss
    from ds2_tf.training.optimizer import make_optimizer

    report: dict = {"hours": hours}

    def phase(name, function):
        clock, processor = time.perf_counter(), time.process_time()
        result = function()
        report[name] = {
            "seconds_per_hour": (time.perf_counter() - clock) / hours,
            "cpu_seconds_per_hour": (time.process_time() - processor) / hours,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(f"{hours:g} h, {name}: {report[name]}", file=sys.stderr, flush=True)
        return result

    files, statistics = phase("writing", lambda: write_records(directory, hours, compact=True))
    recipe = load_recipe(_HERE.parents[1] / "recipes" / "demo.yaml")
    data = RecordData(recipe, files, files, statistics)
    phase("fingerprint", lambda: data.fingerprint)
    phase("statistics", lambda: compute_record_statistics(files, recipe.features))

    def epoch():
        return sum(len(labels) for _, labels in data.epoch(1))

    report["utterances"] = phase("epoch", epoch)
    network = DeepSpeech2(recipe.model, Alphabet(recipe.alphabet).size)
    network.compile(make_optimizer(recipe.training), CTCLoss())
    keras.utils.set_random_seed(1)
    phase(
        "training_steps", lambda: [network.train_on_batch(*b) for b in data.epoch(1).take(_STEPS)]
    )
    # So many steps whatever the size of the corpus.
    for name in ("seconds_per_hour", "cpu_seconds_per_hour"):
        total = report["training_steps"].pop(name) * hours
        report["training_steps"][name.replace("_per_hour", "")] = total
    return report


def main() -> None:
    """Measures each size and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[1.0, 10.0, 100.0])
    parser.add_argument("--only", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.only, *args.hours)))
        return
    results = []
    for hours in args.hours:
        with tempfile.TemporaryDirectory() as directory:
            command = [sys.executable, "-m", "benchmarks.corpus_size"]
            output = subprocess.run(
                [*command, "--only", directory, "--hours", str(hours)],
                cwd=_HERE.parents[1],
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
        results.append(json.loads(output))
    first, last = results[0], results[-1]
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "sizes": results,
                "cpu_of_the_last_to_the_first": {
                    name: last[name]["cpu_seconds_per_hour"] / first[name]["cpu_seconds_per_hour"]
                    for name in ("fingerprint", "statistics", "epoch")
                },
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
