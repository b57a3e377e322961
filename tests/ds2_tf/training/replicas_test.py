# SPDX-License-Identifier: Apache-2.0
"""Several devices that share a batch do what one does."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.training.step import share_of

ROOT = pathlib.Path(__file__).parents[3]
PROCESS = pathlib.Path(__file__).with_name("replicas_process.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Results and weights by case and number of devices."""
    directory = tmp_path_factory.mktemp("replicas")
    # Replicas wait for one another: each needs a thread.
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "16", "PYTHONPATH": str(ROOT)}
    processes = [
        # Several, for a process takes part in groups of one size only.
        subprocess.Popen([sys.executable, PROCESS, *arguments], env=environment)
        for arguments in (("2", directory, "1", "2"), ("4", directory, "4"))
    ]
    assert [process.wait() for process in processes] == [0, 0]
    return {path.stem: dict(np.load(path)) for path in directory.glob("*.npz")}


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
def test_equal_one_device(devices, trained):
    """Losses, weights (and so gradients) and running averages, with uneven batches too."""
    one, several = trained["single-1"], trained[f"single-{devices}"]
    assert one.keys() == several.keys()
    for key, expected in one.items():
        np.testing.assert_allclose(several[key], expected, rtol=2e-4, atol=2e-6, err_msg=key)
    changed = [key for key in one if key.endswith("_3") and ("moving" in key or "kernel" in key)]
    moved = [np.abs(one[key] - one[key[:-1] + "0"]).max() for key in changed]
    assert len(moved) == 9 and min(moved) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2, 4])
def test_an_overflow_is_left_out_by_all(devices, trained):
    """In float16, two batches for a change: the first change is by one batch alone."""
    one, several = trained["accumulated-1"], trained[f"accumulated-{devices}"]
    assert several["result_1"].tolist()[2] == 0.0 and several["scale_1"] == 2.0**39
    assert all(several[f"result_{index}"][2] == 1.0 for index in (0, 2, 3))
    for key, expected in one.items():
        if key == "result_1":
            continue
        np.testing.assert_allclose(several[key], expected, rtol=3e-2, atol=2e-3, err_msg=key)
        assert np.isfinite(several[key]).all(), key
    kernels = [several[key] for key in several if "output/kernel" in key]
    changes = [np.abs(b - a).max() for a, b in zip(kernels, kernels[1:])]
    # After batches 2 and 4.
    assert changes[0] > 1e-3 and changes[1] == 0.0 and changes[2] > 1e-3
    # Nor have the running averages taken the batch up.
    for key in [key for key in several if "moving" in key and key.endswith("_0")]:
        np.testing.assert_array_equal(several[key[:-1] + "1"], several[key], err_msg=key)
        assert (several[key[:-1] + "2"] != several[key]).any()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])
@pytest.mark.parametrize("case", ["single", "accumulated"])
def test_replicas_stay_the_same(case, devices, trained):
    values = trained[f"{case}-{devices}"]
    assert max(v for key, v in values.items() if key.startswith("spread")) == 0.0


def test_shares_of_an_uneven_batch():
    inputs = {
        "spectrogram": tf.random.normal((5, 7, 3)),
        "num_frames": tf.constant([3, 4, 5, 6, 7]),
    }
    labels = tf.reshape(tf.range(10), (5, 2))
    shares = [share_of(inputs, labels, rank, 4) for rank in range(4)]
    assert [s["num_frames"].numpy().tolist() for s, _ in shares] == [[3, 4], [5, 6], [7, 0], [0, 0]]
    spectrograms = np.concatenate([s["spectrogram"] for s, _ in shares])
    np.testing.assert_array_equal(spectrograms[:5], inputs["spectrogram"])
    assert not spectrograms[5:].any()
    all_labels = np.concatenate([share_labels for _, share_labels in shares])
    assert all_labels.tolist() == labels.numpy().tolist() + [[-1, -1]] * 3
