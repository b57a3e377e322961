# SPDX-License-Identifier: Apache-2.0
"""Batch normalization whose statistics are those of all replicas."""

import subprocess
import sys

import pytest
import tensorflow as tf

from ds2_tf.layers.replicas import sum_over_replicas

# Devices must be split before TensorFlow is used, hence a process of its own.
_TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ds2_tf.layers import SequenceBatchNormalization
from ds2_tf.layers.replicas import sum_over_replicas

generator = np.random.default_rng(0)
x = generator.normal(2.0, 3.0, (4, 6, 5)).astype(np.float32)
x[2:] *= 4.0  # the replicas' halves differ
mask = np.arange(6) < np.array([6, 1, 4, 3])[:, None]
upstream = generator.standard_normal(x.shape).astype(np.float32) * mask[:, :, None]

def step(layer, x, mask, upstream):
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x, training=True, mask=mask)
        loss = tf.reduce_sum(output * upstream)
    return output, tape.gradient(loss, x)

whole = SequenceBatchNormalization(momentum=0.5)
whole.build(x.shape)
expected = step(whole, *map(tf.constant, (x, mask, upstream)))

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = SequenceBatchNormalization(momentum=0.5)
    layer.build(x.shape)

@tf.function
def run():
    def on_replica():
        rank = tf.distribute.get_replica_context().replica_id_in_sync_group
        part = [tf.constant(v)[2 * rank : 2 * rank + 2] for v in (x, mask, upstream)]
        return (*step(layer, *part), sum_over_replicas([tf.cast(rank + 1, tf.float32)])[0])
    return strategy.run(on_replica)

output, gradient, total = (strategy.experimental_local_results(v) for v in run())
assert [float(v) for v in total] == [3.0, 3.0]
for found, wanted in zip((output, gradient), expected):
    found = np.concatenate([v.numpy() for v in found])
    np.testing.assert_allclose(found[mask], wanted.numpy()[mask], rtol=1e-4, atol=1e-4)
for found, wanted in zip(layer.weights, whole.weights):
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5)
"""


def test_outside_a_strategy_nothing_changes():
    tensors = [tf.ones(2), tf.zeros(())]
    assert sum_over_replicas(tensors) is tensors


@pytest.mark.slow
def test_two_replicas_normalize_as_one():
    result = subprocess.run(
        [sys.executable, "-c", _TWO_REPLICAS], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
