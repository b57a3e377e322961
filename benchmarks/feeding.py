# SPDX-License-Identifier: Apache-2.0
"""Feeding alone beside the training steps that it feeds, in seconds of audio per second.

    python -m benchmarks.feeding > feeding.json

Feeding is a whole shuffled epoch, read, unpacked, changed as the recipe of AN4 says and batched:
from record files (spectrograms masked), and from WAV files (speed, volume, moment and noise changed
too, and the spectrogram computed). The steps are those of the recipe of AN4, and of the paper's
front end under five bidirectional GRU layers of 800 in bfloat16. All take turns, and the ratios are
medians of the rounds' ratios. The audio is noise; utterances last 2.6 s on average, as in AN4.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
import soundfile
import tensorflow as tf

from benchmarks.synthetic_records import BINS, FRAMES_PER_SECOND, write_records
from ds2_tf.config import (
    AudioAugmentationConfig,
    ModelConfig,
    Recipe,
    TrainingConfig,
)
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.presets import FRONT_ENDS
from ds2_tf.recipes import load_recipe
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.training.data import AudioData, RecordData, TrainingData
from ds2_tf.training.loss import CTCLoss
from ds2_tf.training.optimizer import make_optimizer

_RECIPE = pathlib.Path(__file__).parents[1] / "recipes" / "an4.yaml"
_MEAN_SECONDS = 2.6
_SAMPLE_RATE = 16000


def records(directory: pathlib.Path, recipe: Recipe, seconds: float) -> RecordData:
    """So many seconds of audio as record files."""
    augmentation = dataclasses.replace(
        recipe.training.augmentation, audio=AudioAugmentationConfig()
    )
    training = dataclasses.replace(recipe.training, augmentation=augmentation)
    files, found = write_records(directory, seconds / 3600, mean_seconds=_MEAN_SECONDS)
    return RecordData(dataclasses.replace(recipe, training=training), files, files, found)


def recordings(directory: pathlib.Path, recipe: Recipe, seconds: float) -> AudioData:
    """So many seconds of audio as WAV files."""
    generator = np.random.default_rng(0)
    utterances = []
    while seconds > 0:
        duration = generator.uniform(0.5 * _MEAN_SECONDS, 1.5 * _MEAN_SECONDS)
        samples = generator.normal(scale=0.1, size=round(duration * _SAMPLE_RATE))
        name = f"{len(utterances)}.wav"
        soundfile.write(directory / name, samples, _SAMPLE_RATE, subtype="PCM_16")
        split = "train" if utterances else "dev"
        utterances.append(Utterance(name, name, "nine one one", duration, split=split))
        seconds -= duration
    write_manifest(directory / "manifest.jsonl", utterances)
    return AudioData(recipe, directory / "manifest.jsonl")


def feeder(data: TrainingData) -> Callable[[], float]:
    """A function that goes through another epoch and gives its audio seconds per second."""
    epoch = 0

    def feed() -> float:
        nonlocal epoch
        epoch += 1
        started, frames = time.perf_counter(), 0
        for inputs, _ in data.epoch(epoch):
            frames += int(tf.reduce_sum(inputs["num_frames"]))
        return frames / FRAMES_PER_SECOND / (time.perf_counter() - started)

    return feed


def trainer(model: ModelConfig, training: TrainingConfig, batch) -> Callable[[], float]:
    """A function that takes a step on a batch and gives its audio seconds per second."""
    network = DeepSpeech2(model, Alphabet.english().size, dtype=training.precision)
    network.compile(make_optimizer(training), CTCLoss())
    seconds = float(tf.reduce_sum(batch[0]["num_frames"])) / FRAMES_PER_SECOND

    def step() -> float:
        started = time.perf_counter()
        network.train_on_batch(*batch)
        return seconds / (time.perf_counter() - started)

    return step


def noise_batch(size: int, frames: int):
    """A batch of noise with random labels."""
    generator = np.random.default_rng(0)
    spectrogram = tf.constant(generator.normal(size=(size, frames, BINS)), tf.float32)
    labels = tf.constant(generator.integers(1, 29, (size, frames // 8)), tf.int32)
    return {"spectrogram": spectrogram, "num_frames": tf.fill([size], frames)}, labels


def main() -> None:
    """Runs all of it and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record-seconds", type=float, default=7200.0, help="audio in records")
    parser.add_argument("--recording-seconds", type=float, default=900.0, help="audio in WAV files")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each that count")
    parser.add_argument("--units", type=int, default=800, help="of the large network")
    args = parser.parse_args()

    keras.utils.set_random_seed(1)
    recipe = load_recipe(_RECIPE)
    large = ModelConfig(FRONT_ENDS["2-layer-2d"], 5, args.units)
    large_training = dataclasses.replace(recipe.training, precision="mixed_bfloat16")
    with tempfile.TemporaryDirectory() as of_records, tempfile.TemporaryDirectory() as of_wav:
        contenders = {
            "records": feeder(records(pathlib.Path(of_records), recipe, args.record_seconds)),
            "recordings": feeder(recordings(pathlib.Path(of_wav), recipe, args.recording_seconds)),
            "an4 step": trainer(recipe.model, recipe.training, noise_batch(16, 260)),
            "large step": trainer(large, large_training, noise_batch(16, 400)),
        }
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for round_ in range(-2, args.rounds):
            for name, contender in contenders.items():
                rate = contender()
                print(f"round {round_}: {name} {rate:.1f}", file=sys.stderr, flush=True)
                # The first steps trace graphs and allocate memory.
                if round_ >= 0:
                    rates[name].append(rate)
    report = {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "audio_seconds_per_second": {n: statistics.median(values) for n, values in rates.items()},
        "times_as_fast_as": {
            feeding: {
                step: statistics.median(a / b for a, b in zip(rates[feeding], rates[step]))
                for step in ("an4 step", "large step")
            }
            for feeding in ("records", "recordings")
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
