# SPDX-License-Identifier: Apache-2.0
"""The training step beside the same network of stock Keras layers and in PyTorch.

    python -m benchmarks.training_step --torch-python TORCH/bin/python > training_step.json

The paper's front end of two 2-D convolutions, five bidirectional GRU layers of 800 with batch
normalization, and CTC, on 16 utterances of 4 s. A step is forward, loss, backward, clipping of the
gradient's norm, and AdamW's update. Each network lives in a process of its own, and they take their
steps in turns, so that whatever else the machine does meets all of them: the ratios are medians of
the rounds' ratios. Seconds of processors are given too: they say more on a machine that is busy
otherwise, but threads that wait for others may count in them.

The stock network has `keras.layers.GRU` and `keras.layers.BatchNormalization` on this project's
convolutions, for the gradients of `keras.layers.Conv2D` would take minutes: `--stock-convolutions`
adds the network that has them too.

PyTorch needs an environment of its own, and is left out without one:

    python -m venv TORCH
    TORCH/bin/pip install numpy torch --index-url https://download.pytorch.org/whl/cpu

Its interpreter may also be named by the environment variable DS2_TORCH_PYTHON.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

_HERE = pathlib.Path(__file__).parent
_WARM_UP = 2  # steps that trace graphs and allocate memory


class Contender:
    """A network in a process of its own, which takes a step when it is told to.

    Args:
        command: starts the process; see `training_step_keras.py`.
    """

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def step(self) -> tuple[float, float]:
        """Seconds of one training step by the clock, and of all processors together."""
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self._process.args)} ended: see above.")
        clock, processors = map(float, line.split())
        return clock, processors

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Runs all contenders and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--torch-python",
        metavar="FILE",
        default=os.environ.get("DS2_TORCH_PYTHON"),
        help="an interpreter that has torch (default: $DS2_TORCH_PYTHON)",
    )
    parser.add_argument("--stock-convolutions", action="store_true")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each utterance")
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--units", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each that count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()

    size = [args.batch_size, round(args.seconds * 100), args.layers, args.units, args.threads]
    keras = [sys.executable, _HERE / "training_step_keras.py"]
    commands = {
        "ds2_tf float32": [*keras, "ds2_tf", "float32", *size],
        "ds2_tf mixed_bfloat16": [*keras, "ds2_tf", "mixed_bfloat16", *size],
        "keras GRU float32": [*keras, "stock-gru", "float32", *size],
    }
    if args.stock_convolutions:
        commands["keras Conv2D and GRU float32"] = [*keras, "stock", "float32", *size]
    if args.torch_python:
        torch = [args.torch_python, _HERE / "training_step_torch.py"]
        commands["torch float32"] = [*torch, *size]
    contenders = {name: Contender([*map(str, command)]) for name, command in commands.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    processor_times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(_WARM_UP + args.rounds):
        for name, contender in contenders.items():
            clock, processors = contender.step()
            said = (
                f"round {round_ - _WARM_UP}: {name} {clock:.3f} s, of processors {processors:.3f} s"
            )
            print(said, file=sys.stderr, flush=True)
            if round_ >= _WARM_UP:
                times[name].append(clock)
                processor_times[name].append(processors)
    for contender in contenders.values():
        contender.close()

    def times_as_fast(name, other):
        return statistics.median(b / a for a, b in zip(times[name], times[other]))

    audio = args.batch_size * args.seconds
    medians = {name: statistics.median(values) for name, values in times.items()}
    report = {
        "network": f"2 convolutions, {args.layers} bidirectional GRU of {args.units}",
        "batch": f"{args.batch_size} x {args.seconds:g} s",
        "threads": args.threads,
        "machine": platform.processor() or platform.machine(),
        "load": os.getloadavg()[0],
        "step_seconds": times,
        "step_processor_seconds": processor_times,
        "audio_seconds_per_second": {name: audio / median for name, median in medians.items()},
        "times_as_fast_as": {
            name: {other: times_as_fast(name, other) for other in times if other != name}
            for name in times
            if name.startswith("ds2_tf")
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
