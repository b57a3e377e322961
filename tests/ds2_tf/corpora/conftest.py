# SPDX-License-Identifier: Apache-2.0
"""Recordings for the tests of this folder, written with the standard library alone."""

import wave

import numpy as np
import pytest


@pytest.fixture(scope="session")
def write_wav():
    """Writes int16 [N] samples, or a second of noise of which every path has its own."""

    def write(path, samples=None, rate=16000):
        if samples is None:
            generator = np.random.default_rng(list(str(path).encode()))
            samples = generator.integers(-8000, 8000, rate, dtype=np.int16)
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.asarray(samples, "<i2").tobytes())
        return path

    return write
