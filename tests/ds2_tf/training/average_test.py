# SPDX-License-Identifier: Apache-2.0
"""The moving average of the weights against its definition."""

import keras
import numpy as np

from ds2_tf.training.average import WeightAverage


def network():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    network.layers[0].bias.trainable = False
    return network


def test_average_of_numbers():
    """What is not trained is copied."""
    trained = network()
    average = WeightAverage(trained, network(), 0.5)
    kernel, bias = trained.layers[0].kernel, trained.layers[0].bias
    kept = average.network.layers[0]
    expected = kernel.numpy()
    np.testing.assert_array_equal(kept.kernel, expected)
    for step in range(12):
        kernel.assign(np.full((2, 2), step, np.float32))
        bias.assign(np.full(2, step, np.float32))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        np.testing.assert_allclose(kept.kernel, expected, rtol=1e-5)
        np.testing.assert_array_equal(kept.bias, bias)
