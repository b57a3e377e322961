# SPDX-License-Identifier: Apache-2.0
"""A contender of `training_step.py`: our network, or the same with stock Keras layers.

    python training_step_keras.py KIND POLICY BATCH_SIZE FRAMES LAYERS UNITS THREADS

KIND is ds2_tf, stock-gru (our convolutions) or stock. Takes a training step for every line on
standard input, and prints its seconds by the clock and of all processors.
"""

from __future__ import annotations

import sys
import time

import keras
import numpy as np
import tensorflow as tf

from ds2_tf.config import ModelConfig, TrainingConfig
from ds2_tf.layers import SequenceConvolution, clipped_relu
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.presets import FRONT_ENDS
from ds2_tf.training.loss import CTCLoss
from ds2_tf.training.optimizer import make_optimizer

LABELS, BINS = 29, 161
FRONT_END = FRONT_ENDS["2-layer-2d"]


def stock_network(layers: int, units: int, own_convolutions: bool) -> keras.Model:
    """The network as one would write it in Keras: utterances of one length, no masks."""
    inputs = keras.Input((None, BINS))
    x = keras.ops.expand_dims(inputs, -1)
    for one in FRONT_END:
        if own_convolutions:
            x = SequenceConvolution(one.filters, one.kernel, one.stride)(x)
        else:
            kernel, stride = one.kernel[::-1], one.stride[::-1]
            x = keras.layers.Conv2D(one.filters, kernel, stride, "same", use_bias=False)(x)
        x = clipped_relu(keras.layers.BatchNormalization()(x))
    x = keras.layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    for _ in range(layers):
        x = keras.layers.BatchNormalization()(x)
        gru = keras.layers.GRU(units, return_sequences=True)
        x = keras.layers.Bidirectional(gru, merge_mode="sum")(x)
    return keras.Model(inputs, keras.layers.Dense(LABELS)(x))


def main() -> None:
    """Builds the network and takes steps as long as there is standard input."""
    kind, policy, *numbers = sys.argv[1:]
    batch_size, frames, layers, units, threads = map(int, numbers)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    keras.config.set_dtype_policy(policy)
    generator = np.random.default_rng(0)
    spectrogram = tf.constant(generator.normal(size=(batch_size, frames, BINS)), tf.float32)
    labels = tf.constant(generator.integers(1, LABELS, (batch_size, frames // 8)), tf.int32)
    if kind == "ds2_tf":
        network = DeepSpeech2(ModelConfig(FRONT_END, layers, units), LABELS)
        inputs = {"spectrogram": spectrogram, "num_frames": tf.fill([batch_size], frames)}
    else:
        network = stock_network(layers, units, own_convolutions=kind == "stock-gru")
        inputs = spectrogram
    optimizer = make_optimizer(TrainingConfig(epochs=1, batch_frames=3000))
    network.compile(optimizer, CTCLoss(), jit_compile=False)
    for _ in sys.stdin:
        started, processors = time.perf_counter(), time.process_time()
        network.train_on_batch(inputs, labels)
        clock = time.perf_counter() - started
        print(clock, time.process_time() - processors, flush=True)


if __name__ == "__main__":
    main()
