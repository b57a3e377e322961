# SPDX-License-Identifier: Apache-2.0
"""The loss scale falls at once and grows slowly."""

import keras
import numpy as np
import tensorflow as tf

from ds2_tf.training.loss_scale import LossScale


def test_dynamic():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(), initial_scale=4.0, dynamic_growth_steps=2
    )
    optimizer.build([keras.Variable(np.zeros(2, np.float32))])
    scale = LossScale(optimizer)
    found = []
    for finite in (1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1):
        scale.update(tf.constant(bool(finite)))
        found.append(float(scale.value))
    # The count begins anew after a change, and it never falls under 1.
    assert found == [4, 8, 8, 4, 4, 8, 4, 2, 1, 1, 1, 2]


def test_other_optimizers_have_none():
    optimizer = keras.optimizers.SGD()
    scale = LossScale(optimizer)
    scale.update(tf.constant(False))
    assert float(scale.value) == 1.0
