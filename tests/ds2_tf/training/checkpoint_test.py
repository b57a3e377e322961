# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: everything is kept, and there is always a whole one."""

import keras
import numpy as np
import pytest

from ds2_tf.errors import UserError
from ds2_tf.training.checkpoint import STATE_NAME, Checkpoint, Place


def make_model(seed):
    """A network with weights, running averages and a random generator, compiled and used."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
        ]
    )
    model.compile(keras.optimizers.AdamW(0.01), "mse")
    x = np.random.default_rng(seed).standard_normal((8, 3)).astype(np.float32)
    for _ in range(seed + 2):
        model.train_on_batch(x, np.ones((8, 4)))
    return model


def state_of(model):
    metrics = [variable for metric in model.metrics for variable in metric.variables]
    variables = [*model.variables, *model.optimizer.variables, *metrics]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assert_equal(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others):
        np.testing.assert_array_equal(one, other)


def test_everything_is_restored(tmp_path):
    model = make_model(0)
    Checkpoint(tmp_path / "new", "fingerprint").save(model, Place(3, 14))
    other = make_model(1)
    assert any((a != b).any() for a, b in zip(state_of(model), state_of(other)))
    assert Checkpoint(tmp_path / "new", "fingerprint").restore(other) == Place(3, 14)
    assert_equal(state_of(other), state_of(model))
    x = np.ones((8, 3), np.float32)
    losses = [network.train_on_batch(x, np.ones((8, 4))) for network in (model, other)]
    assert losses[0] == losses[1]
    assert_equal(state_of(other), state_of(model))


def test_a_new_run_starts_at_the_beginning(tmp_path):
    model = make_model(0)
    before = state_of(model)
    assert Checkpoint(tmp_path, "fingerprint").restore(model) == Place(0, 0)
    assert_equal(state_of(model), before)


def test_another_run_is_refused_and_nothing_changed(tmp_path):
    Checkpoint(tmp_path, "theirs").save(make_model(0), Place(1, 0))
    model = make_model(1)
    before = state_of(model)
    with pytest.raises(UserError, match=r"another configuration or corpus \(theirs.*is ours\)"):
        Checkpoint(tmp_path, "ours").restore(model)
    assert_equal(state_of(model), before)


def test_a_save_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    model = make_model(0)
    checkpoint = Checkpoint(tmp_path, "fingerprint")
    checkpoint.save(model, Place(1, 2))

    def full(path, **arrays):
        path.write_bytes(b"half a file")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError):
            checkpoint.save(model, Place(1, 3))
    assert checkpoint.restore(make_model(1)) == Place(1, 2)
    checkpoint.save(model, Place(1, 4))
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAME]


def test_age_starts_anew_with_every_save(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("ds2_tf.training.checkpoint.time.monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path, "fingerprint")
    now[0] = 130.0
    assert checkpoint.age == 30.0
    checkpoint.save(make_model(0), Place())
    now[0] = 131.0
    assert checkpoint.age == 1.0
