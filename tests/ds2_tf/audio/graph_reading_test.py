# SPDX-License-Identifier: Apache-2.0
"""Recordings read inside a graph have the samples that soundfile gives."""

import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from ds2_tf.audio.graph_reading import read_in_graph, readable_in_graph, require_tensorflow_io
from ds2_tf.audio.reading import read_audio
from ds2_tf.errors import UserError


@pytest.fixture
def recording(tmp_path):
    def write(name, channels=1, rate=16000, subtype="PCM_16", swapped=False):
        # A slow swing under noise: swapped bytes can be told.
        time = np.arange(3 * 1600)[:, None] / 16000 + np.arange(channels) / 7
        samples = 8000 * np.sin(2 * np.pi * 130 * time)
        samples = (samples + np.random.default_rng(1).normal(size=samples.shape) * 9).astype("<i2")
        path = tmp_path / name
        soundfile.write(path, samples.byteswap() if swapped else samples, rate, subtype=subtype)
        return str(path)

    return write


@pytest.fixture(scope="module", autouse=True)
def tensorflow_io():
    pytest.importorskip("tensorflow_io")


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("swapped", [False, True])
def test_equals_soundfile(recording, name, channels, swapped):
    path = recording(name, channels, swapped=swapped)
    assert readable_in_graph(path, 16000)
    samples = tf.function(read_in_graph)(tf.constant(path)).numpy()
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, read_audio(path))
    assert np.abs(samples).max() < 0.5  # right, whether swapped or not


def test_what_is_left_to_soundfile(recording, tmp_path):
    assert not readable_in_graph(recording("b.wav", rate=8000), 16000)
    assert not readable_in_graph(recording("c.wav", subtype="PCM_24"), 16000)
    (tmp_path / "d.wav").write_bytes(b"nothing")
    assert not readable_in_graph(tmp_path / "d.wav", 16000)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    with pytest.raises(UserError, match=r"ds2-tf\[tfio\]"):
        require_tensorflow_io()
