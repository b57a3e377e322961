# SPDX-License-Identifier: Apache-2.0
"""Swapped bytes are recognized in speech-like signals of any level, and nowhere else."""

import numpy as np
import pytest
import soundfile

from ds2_tf.audio.byte_order import bytes_are_swapped
from ds2_tf.audio.reading import RawFormat, read_audio


def tone_in_noise(level, noise=0.01, seed=0):
    generator = np.random.default_rng(seed)
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 220 * time) + 0.3 * np.sin(2 * np.pi * 1900 * time)
    signal = level * (tone / 1.3 + noise * generator.standard_normal(len(time)))
    return np.clip(np.rint(signal * 32767), -32768, 32767).astype("<i2")


@pytest.mark.parametrize("level", [0.001, 0.01, 0.1, 0.5, 0.95])
def test_swapped_speech_is_recognized(level):
    samples = tone_in_noise(level)
    assert not bytes_are_swapped(samples)
    assert bytes_are_swapped(samples.byteswap())


@pytest.mark.parametrize("level", [1, 3, 30, 3000, 32767])
def test_noise_is_left_alone(level):
    noise = np.random.default_rng(0).standard_normal(16000) * level
    assert not bytes_are_swapped(np.clip(noise, -32768, 32767).astype("<i2"))


@pytest.mark.parametrize("samples", [np.zeros(16000), np.full(16000, 300), [], [1, -2] * 10])
def test_signals_that_tell_nothing_are_left_alone(samples):
    assert not bytes_are_swapped(np.asarray(samples, "<i2"))


def test_a_clicking_square_wave_is_left_alone():
    assert not bytes_are_swapped(np.tile([20000] * 40 + [-20000] * 40, 200).astype("<i2"))


@pytest.mark.parametrize("suffix", ["flac", "wav"])
def test_swapped_files_are_read_as_the_right_ones(tmp_path, suffix):
    samples = np.stack([tone_in_noise(0.2), tone_in_noise(0.1, seed=1)], axis=1)
    soundfile.write(tmp_path / f"right.{suffix}", samples, 16000)
    soundfile.write(tmp_path / f"swapped.{suffix}", samples.byteswap(), 16000)
    np.testing.assert_array_equal(
        read_audio(tmp_path / f"swapped.{suffix}"), read_audio(tmp_path / f"right.{suffix}")
    )


def test_a_wrong_byte_order_of_a_headerless_file_is_put_right(tmp_path):
    samples = tone_in_noise(0.2)
    path = tmp_path / "big.raw"
    path.write_bytes(samples.astype(">i2").tobytes())
    wanted = samples.astype(np.float32) / 32768
    for endian in ("LITTLE", "BIG"):
        raw = RawFormat(16000, endian=endian)
        np.testing.assert_array_equal(read_audio(path, raw=raw), wanted)
