# SPDX-License-Identifier: Apache-2.0
"""The optimizer and its schedule against the formulas."""

import math

import keras
import numpy as np
import pytest

from ds2_tf.config import TrainingConfig
from ds2_tf.training.optimizer import learning_rate_at, make_optimizer


def config(**changes):
    values = {"epochs": 8, "batch_frames": 4000, "learning_rate": 0.1, "warmup_steps": 0}
    return TrainingConfig(**{**values, **changes})


@pytest.mark.parametrize("epoch", range(8))
def test_cosine_runs_from_the_peak_to_nothing(epoch):
    expected = 0.1 * (1 + math.cos(math.pi * epoch / 8)) / 2
    assert learning_rate_at(config(), epoch, 1000) == pytest.approx(expected)


def test_cosine_starts_at_the_peak_and_falls():
    rates = [learning_rate_at(config(), epoch, 0) for epoch in range(8)]
    assert rates[0] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True) and 0 < rates[-1] < 0.01


@pytest.mark.parametrize("epoch", [0, 1, 7])
def test_annealing_divides_after_every_epoch(epoch):
    rate = learning_rate_at(config(annealing=1.2), epoch, 0)
    assert rate == pytest.approx(0.1 / 1.2**epoch)


def test_warm_up_is_linear_and_counts_steps_over_epochs():
    warm = config(warmup_steps=10)
    assert learning_rate_at(warm, 0, 0) == pytest.approx(0.01)
    assert learning_rate_at(warm, 0, 4) == pytest.approx(0.05)
    assert learning_rate_at(warm, 0, 9) == learning_rate_at(warm, 0, 10) == pytest.approx(0.1)
    in_epoch_one = learning_rate_at(warm, 1, 4) / learning_rate_at(warm, 1, 100)
    assert in_epoch_one == pytest.approx(0.5)


def test_sgd_is_that_of_the_paper():
    optimizer = make_optimizer(config(optimizer="sgd", clip_norm=400.0))
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.nesterov) == (0.99, True)
    assert optimizer.global_clipnorm == 400.0
    weight = keras.Variable([1.0, 2.0])
    optimizer.build([weight])
    gradient = np.array([300.0, 400.0], np.float32)  # norm 500, clipped to 400
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    # Nesterov: velocity v = -rate g; step m v - rate g.
    step = 0.1 * gradient * 0.8 * (1 + 0.99)
    np.testing.assert_allclose(weight.numpy(), [1.0, 2.0] - step, rtol=1e-5)


def test_adamw_decays_weights():
    optimizer = make_optimizer(config(weight_decay=0.5))
    assert isinstance(optimizer, keras.optimizers.AdamW)
    weight = keras.Variable([1.0])
    optimizer.build([weight])
    optimizer.apply([keras.ops.zeros(1)])
    np.testing.assert_allclose(weight.numpy(), [1.0 - 0.1 * 0.5], rtol=1e-5)


def test_float16_scales_the_loss():
    optimizer = make_optimizer(config(precision="mixed_float16"))
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert not isinstance(make_optimizer(config()), keras.optimizers.LossScaleOptimizer)
