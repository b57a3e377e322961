# SPDX-License-Identifier: Apache-2.0
"""What `replicas_test` runs in processes of their own, which divide the CPU into devices.

    python replicas_process.py LOGICAL_DEVICES DIRECTORY DEVICES [DEVICES]

Trains the same networks on each number of DEVICES, on the same batches of 4, 3, 4 and 1 utterances,
and writes the results and the weights after every batch to DIRECTORY/<case>-<devices>.npz.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from ds2_tf.config import ConvolutionConfig, ModelConfig
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.training.loss import CTCLoss
from ds2_tf.training.step import TrainingStep

MODEL = ModelConfig((ConvolutionConfig(3, (11, 5), (8, 2)),), 1, 6)
ROWS = (4, 3, 4, 1)
OVERFLOWING = 1
# Name, precision, batches accumulated. The norm of a gradient is about 30, and clipped to 2.
CASES = (("single", "float32", 1), ("accumulated", "mixed_float16", 2))


def batch(rows: int):
    """Utterances and texts, the first ones of always the same four."""
    generator = np.random.default_rng(0)
    inputs = {
        "spectrogram": generator.normal(-6.0, 2.0, (4, 24, 161)).astype(np.float32)[:rows],
        "num_frames": np.array([24, 17, 20, 9], np.int32)[:rows],
    }
    labels = np.array([[1, 2, 2], [3, -1, -1], [4, 1, -1], [2, -1, -1]], np.int32)
    return inputs, labels[:rows]


def train(devices: int, precision: str, accumulate_batches: int) -> dict[str, np.ndarray]:
    """Results and weights, by name and batch."""
    keras.utils.set_random_seed(1)
    strategy = tf.distribute.get_strategy()
    if devices > 1:
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(devices)])
    start = DeepSpeech2(MODEL, 5, dtype=precision).get_weights()
    with strategy.scope():
        network = DeepSpeech2(MODEL, 5, dtype=precision)
        # Under the scope random numbers are others.
        network.set_weights(start)
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9, global_clipnorm=2.0)
        if precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=16.0)
        optimizer.build(network.trainable_variables)
    step = TrainingStep(network, optimizer, CTCLoss(), strategy, accumulate_batches)
    values = {}
    for index, rows in enumerate(ROWS):
        if precision == "mixed_float16" and index == OVERFLOWING:
            optimizer.dynamic_scale.assign(2.0**40)
        result = step(*batch(rows), index)
        values[f"result_{index}"] = np.array(result[:3], np.float32)
        for number, weight in enumerate(network.weights):
            name = weight.path.split("/", 1)[1]
            values[f"{name}_{number}_{index}"] = weight.numpy()
        if precision == "mixed_float16":
            values[f"scale_{index}"] = optimizer.dynamic_scale.numpy()
            optimizer.dynamic_scale.assign(16.0)
    for number, weight in enumerate(network.weights):
        replicas = strategy.experimental_local_results(weight.value)
        values[f"spread_{number}"] = np.max([np.abs(r.numpy() - weight.numpy()) for r in replicas])
    return values


def main(logical_devices: int, directory: pathlib.Path, numbers: list[int]) -> None:
    """See the module's docstring."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(logical_devices)]
    )
    for devices in numbers:
        for name, *options in CASES:
            np.savez(directory / f"{name}-{devices}.npz", **train(devices, *options))


if __name__ == "__main__":
    main(int(sys.argv[1]), pathlib.Path(sys.argv[2]), [int(n) for n in sys.argv[3:]])
