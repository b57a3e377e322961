# SPDX-License-Identifier: Apache-2.0
"""The devices and machines that train together."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable

import tensorflow as tf

from ds2_tf.errors import UserError


def make_strategy() -> tf.distribute.Strategy:
    """The strategy for what is there.

    With TF_CONFIG in the environment, as TensorFlow defines it, the workers that it names
    (`tf.distribute.MultiWorkerMirroredStrategy`); this must be called before TensorFlow is used for
    anything else. Otherwise all visible GPUs, or else the CPU.

    Raises:
        UserError: TF_CONFIG cannot be understood, or TensorFlow is in use already.
    """
    cluster = _cluster()
    if len(cluster.get("worker", ())) + len(cluster.get("chief", ())) > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise UserError(
                f"TF_CONFIG names several workers, and they cannot be joined: {error} Call "
                "ds2_tf.training.strategy.make_strategy() before anything else of TensorFlow, and "
                "give train() what it returns."
            ) from error
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files and reports; of one process, it is."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


def value_of_chief(strategy: tf.distribute.Strategy, value: int) -> int:
    """The chief's value, for all workers: none goes on before all have come here."""
    return _sum_over_workers(strategy, value if is_chief(strategy) else 0)


def workers_agree(strategy: tf.distribute.Strategy, value: int) -> bool:
    """Whether the chief and all other workers have the same value, up to 2^31."""
    differs = int(value_of_chief(strategy, value) != value)
    return _sum_over_workers(strategy, differs) == 0


def _sum_over_workers(strategy: tf.distribute.Strategy, value: int) -> int:
    if strategy.cluster_resolver is None:
        return value
    # All workers have equally many devices.
    return int(_sum_over_devices(strategy)(tf.constant(value))) // len(
        strategy.extended.worker_devices
    )


@functools.cache
def _sum_over_devices(strategy: tf.distribute.Strategy) -> Callable:
    def total(value):
        mine = strategy.run(lambda: tf.identity(value))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, mine, axis=None)

    return tf.function(total, input_signature=[tf.TensorSpec([], tf.int32)], autograph=False)


def _cluster() -> dict:
    text = os.environ.get("TF_CONFIG", "")
    try:
        content = json.loads(text) if text else {}
        return dict(content.get("cluster", {}))
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"TF_CONFIG is not what TensorFlow expects, JSON with `cluster` and `task`: {text!r}."
        ) from error
