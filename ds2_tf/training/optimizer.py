# SPDX-License-Identifier: Apache-2.0
"""The optimizer and its learning rate."""

from __future__ import annotations

import math

import keras

from ds2_tf.config import TrainingConfig

NESTEROV_MOMENTUM = 0.99


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """AdamW, or SGD with Nesterov momentum 0.99 as in the paper; the whole gradient is clipped.

    With "mixed_float16" the loss is scaled, as much as the gradients allow: float16 would lose the
    small ones.
    """
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            config.learning_rate,
            momentum=NESTEROV_MOMENTUM,
            nesterov=True,
            global_clipnorm=config.clip_norm,
        )
    else:
        optimizer = keras.optimizers.AdamW(
            config.learning_rate,
            weight_decay=config.weight_decay,
            beta_2=0.98,
            global_clipnorm=config.clip_norm,
        )
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def learning_rate_at(config: TrainingConfig, epoch: int, iteration: int) -> float:
    """The rate of a step.

    Args:
        config: peak, warm-up and annealing.
        epoch: counted from 0.
        iteration: steps made before, over all epochs.
    """
    if config.annealing:
        rate = config.learning_rate / config.annealing**epoch
    else:
        rate = config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / config.epochs))
    if iteration < config.warmup_steps:
        rate *= (iteration + 1) / config.warmup_steps
    return rate
