# SPDX-License-Identifier: Apache-2.0
"""Layers, network and loss on JAX, without TensorFlow, against the same on TensorFlow.

The interpreter is this one where it has JAX, or the one that DS2_JAX_PYTHON names: an environment
with keras, jax and ds2-tf's other requirements, for which TensorFlow is not needed.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.config import ConvolutionConfig, ModelConfig
from ds2_tf.training.loss import CTCLoss

PYTHON = os.environ.get("DS2_JAX_PYTHON") or (
    sys.executable if importlib.util.find_spec("jax") else None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        PYTHON is None, reason="JAX is not installed, and DS2_JAX_PYTHON names no environment"
    ),
]
ROOT = pathlib.Path(__file__).parents[3]
PROCESS = pathlib.Path(__file__).with_name("jax_process.py")
CONVOLUTIONS = (ConvolutionConfig(4, (11, 5), (4, 2)), ConvolutionConfig(3, (7, 3), (4, 1)))
CONFIGURATIONS = {
    "gru": ModelConfig(CONVOLUTIONS, 2, 8),
    "streaming lstm": ModelConfig(
        (ConvolutionConfig(8, (161, 5), (161, 2)),),
        1,
        8,
        "lstm",
        bidirectional=False,
        lookahead_frames=2,
        causal=True,
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_equals_tensorflow(name, make_network, tmp_path):
    network = make_network(CONFIGURATIONS[name], 6)
    generator = np.random.default_rng(0)
    inputs = {
        "spectrogram": generator.normal(-6.0, 2.0, (3, 30, 161)).astype(np.float32),
        "num_frames": np.array([30, 21, 12], np.int32),
    }
    inputs["spectrogram"][1, 21:] = np.nan
    labels = np.array([[1, 2, 5, 5], [3, -1, -1, -1], [4, 4, -1, -1]], np.int32)
    np.savez(tmp_path / "inputs.npz", labels=labels, **inputs)
    network.save(tmp_path / "network.keras")
    network.save_weights(tmp_path / "network.weights.h5")
    subprocess.run(
        [PYTHON, PROCESS, str(tmp_path)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    )

    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    expected = network(tensors).numpy()
    network.compile(optimizer=keras.optimizers.SGD(0.001), loss=CTCLoss())
    losses = [network.train_on_batch(tensors, tf.constant(labels)) for _ in range(3)]
    with np.load(tmp_path / "outputs.npz") as outputs:
        for key in ("of_whole", "of_weights"):
            np.testing.assert_allclose(outputs[key], expected, rtol=1e-4, atol=1e-4)
        # fit gives each step's loss, train_on_batch the mean of all so far.
        mean = np.cumsum(outputs["losses"]) / np.arange(1, 4)
        np.testing.assert_allclose(mean, losses, rtol=1e-4)
    weights = [np.array(w) for w in network.get_weights()]
    network.load_weights(tmp_path / "trained.weights.h5")
    for ours, theirs in zip(weights, network.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
