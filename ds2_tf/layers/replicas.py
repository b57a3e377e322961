# SPDX-License-Identifier: Apache-2.0
"""Sums over the replicas of a distribution strategy."""

import keras


def sum_over_replicas(tensors: list) -> list:
    """Adds up tensors over all replicas of the surrounding tf.distribute strategy.

    Differentiable. Outside a replica, and on other backends, where a batch is one array however
    many devices hold it, the tensors come back unchanged.
    """
    if keras.config.backend() != "tensorflow":
        return tensors
    import tensorflow as tf

    if not tf.distribute.has_strategy():
        return tensors
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
