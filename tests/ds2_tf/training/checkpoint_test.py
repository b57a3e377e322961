# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: everything is kept, and there is always a whole one."""

import keras
import numpy as np
import pytest

from ds2_tf.errors import UserError
from ds2_tf.training.checkpoint import STATE_NAME, Checkpoint, Place
from ds2_tf.training.totals import EpochTotals


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


def variables_of(model):
    return [*model.variables, *model.optimizer.variables]


def checkpoint_of(model, directory, fingerprint="fingerprint"):
    return Checkpoint(directory, fingerprint, variables_of(model))


def state_of(model):
    return [keras.ops.convert_to_numpy(variable) for variable in variables_of(model)]


def assert_equal(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others):
        np.testing.assert_array_equal(one, other)


def test_everything_is_restored(tmp_path):
    model = make_model(0)
    totals = EpochTotals(utterances=5, loss=0.1 + 0.2, frames=900, padded_frames=1000, overflows=1)
    checkpoint_of(model, tmp_path / "new").save(Place(3, 14, 159), totals)
    other = make_model(1)
    assert any((a != b).any() for a, b in zip(state_of(model), state_of(other)))
    assert checkpoint_of(other, tmp_path / "new").restore() == (Place(3, 14, 159), totals)
    assert_equal(state_of(other), state_of(model))
    x = np.ones((8, 3), np.float32)
    for network in (model, other):
        network.train_on_batch(x, np.ones((8, 4)))
    assert_equal(state_of(other), state_of(model))


def test_a_new_run_starts_at_the_beginning(tmp_path):
    model = make_model(0)
    before = state_of(model)
    assert checkpoint_of(model, tmp_path).restore() == (Place(0, 0, 0), EpochTotals())
    assert_equal(state_of(model), before)


def test_another_run_is_refused_and_nothing_changed(tmp_path):
    checkpoint_of(make_model(0), tmp_path, "theirs").save(Place(1, 0), EpochTotals())
    model = make_model(1)
    before = state_of(model)
    with pytest.raises(UserError, match=r"another configuration or corpus \(theirs.*is ours\)"):
        checkpoint_of(model, tmp_path, "ours").restore()
    assert_equal(state_of(model), before)


def test_a_save_that_fails_leaves_the_last_one(tmp_path, monkeypatch):
    checkpoint = checkpoint_of(make_model(0), tmp_path)
    checkpoint.save(Place(1, 2), EpochTotals())

    def full(path, **arrays):
        path.write_bytes(b"half a file")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError):
            checkpoint.save(Place(1, 3), EpochTotals())
    assert checkpoint.restore()[0] == Place(1, 2)
    checkpoint.save(Place(1, 4), EpochTotals())
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAME]


def test_age_starts_anew_with_every_save(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("ds2_tf.training.checkpoint.time.monotonic", lambda: now[0])
    checkpoint = checkpoint_of(make_model(0), tmp_path)
    now[0] = 130.0
    assert checkpoint.age == 30.0
    checkpoint.save(Place(), EpochTotals())
    now[0] = 131.0
    assert checkpoint.age == 1.0
