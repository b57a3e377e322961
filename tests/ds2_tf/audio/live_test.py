# SPDX-License-Identifier: Apache-2.0
"""Audio from a pipe."""

import io
import os
import threading

import numpy as np
import pytest

from ds2_tf.audio.live import pipe
from ds2_tf.audio.reading import AudioError, RawFormat
from ds2_tf.errors import UserError


def test_samples_come_as_they_are_written():
    reader, writer = os.pipe()
    heard = threading.Event()

    def write():
        with open(writer, "wb", buffering=0) as file:
            file.write(np.array([16384, -32768, 1], "<i2").tobytes()[:5])
            heard.wait(20)
            file.write(np.array([1, 2], "<i2").tobytes()[1:])

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb") as file:
        pieces = pipe(file, RawFormat(16000))
        # The second half of the third sample is still to come.
        np.testing.assert_array_equal(next(pieces), [0.5, -1.0])
        heard.set()
        rest = np.concatenate(list(pieces))
    thread.join()
    np.testing.assert_array_equal(rest * 2**15, [1, 2])


def test_channels_and_byte_order():
    data = np.array([[100, 300], [-4, 0]], ">i2").tobytes()
    (piece,) = pipe(io.BytesIO(data), RawFormat(8000, endian="BIG", channels=2))
    np.testing.assert_array_equal(piece * 2**15, [200, -2])
    assert piece.dtype == np.float32


def test_it_ends_within_a_sample():
    pieces = pipe(io.BytesIO(bytes(5)), RawFormat(16000))
    assert len(next(pieces)) == 2
    with pytest.raises(AudioError, match="1 bytes into a sample"):
        next(pieces)


def test_other_encodings():
    with pytest.raises(UserError, match="not ULAW"):
        next(pipe(io.BytesIO(), RawFormat(8000, "ULAW")))
