# SPDX-License-Identifier: Apache-2.0
"""What callers give a client: recordings and tensors; and what to say of anything else."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import soxr

from ds2_tf.audio.reading import read_audio
from ds2_tf.audio.samples import as_float_samples
from ds2_tf.errors import UserError

SAMPLE_RATE = 16000

Audio = str | os.PathLike | bytes | np.ndarray


def load_samples(audio: Audio, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Reads what `Client.transcribe` accepts as float32 [samples].

    Args:
        audio: files have their own sample rate, arrays 16 kHz.
        sample_rate: of the result, in Hz. Defaults to 16 kHz.

    Raises:
        AudioError: a file that cannot be read.
        UserError: no recording at all, or an array that is empty or no vector of finite floats or
            of int16.
    """
    if isinstance(audio, (str, os.PathLike, bytes)):
        return read_audio(audio, sample_rate=sample_rate)
    if not isinstance(audio, np.ndarray):
        raise UserError(
            "Expected the path of an audio file, the bytes of one, or a NumPy array of float "
            f"samples at {SAMPLE_RATE} Hz, got {_kind(audio)}."
        )
    if not audio.size:
        raise UserError("The recording has no samples.")
    samples = as_float_samples(audio)
    if sample_rate == SAMPLE_RATE:
        return samples
    return soxr.resample(samples, SAMPLE_RATE, sample_rate)


def check_recordings(audios: object, method: str, method_for_one: str) -> None:
    """Tells many recordings from one, whose characters or samples are no recordings.

    Raises:
        UserError: it is one recording, or nothing that holds several.
    """
    one = isinstance(audios, (str, os.PathLike, bytes))
    one = one or isinstance(audios, np.ndarray) and audios.ndim < 2
    if one or not isinstance(audios, Iterable):
        raise UserError(
            f"{method} takes a list of recordings, got {_kind(audios)}: {method_for_one} takes one."
        )


def check_batch_size(batch_size: int) -> None:
    """Checks the number of recordings per request.

    Raises:
        UserError: it is under 1.
    """
    if batch_size < 1:
        raise UserError(f"The batch size must be at least 1, got {batch_size}.")


def as_tensor(name: str, value: object) -> np.ndarray:
    """An input of a signature as an array; strings become objects of bytes.

    Args:
        name: of the input, for messages.
        value: an array, or numbers, bytes or texts in lists.

    Raises:
        UserError: lists of different lengths.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
            # NumPy's own strings lose the zeros at their end.
            array = np.asarray(value, dtype=object)
    except ValueError as error:
        raise UserError(f"The input {name!r} is no tensor: {error}.") from error
    if array.dtype.kind in "UO":
        texts = [x.encode("utf-8") if isinstance(x, str) else x for x in array.ravel().tolist()]
        array = np.array([*texts, None], object)[:-1].reshape(array.shape)
    return array


def _kind(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{name} {value!r}" if isinstance(value, (str, os.PathLike)) else f"an object of {name}"
