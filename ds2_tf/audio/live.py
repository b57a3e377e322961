# SPDX-License-Identifier: Apache-2.0
"""Audio while it comes: from a pipe, or from a microphone."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from ds2_tf.audio.reading import AudioError, RawFormat
from ds2_tf.errors import UserError

_PIECE_SECONDS = 0.05


def pipe(file: BinaryIO, raw: RawFormat) -> Iterator[np.ndarray]:
    """Samples of a pipe of 16-bit samples, as soon as they are there.

    Args:
        file: such as `sys.stdin.buffer`.
        raw: what comes out of it; several channels are averaged.

    Yields:
        float32 [samples] in [-1, 1], until the pipe ends.

    Raises:
        AudioError: it is a WAV file, or ends within a sample.
        UserError: the samples are not of 16 bits.
    """
    if raw.encoding != "PCM_16":
        raise UserError(f"A pipe must hold 16-bit samples (PCM_16), not {raw.encoding}.")
    dtype = np.dtype("<i2" if raw.endian == "LITTLE" else ">i2")
    frame = 2 * raw.channels
    most = frame * max(int(_PIECE_SECONDS * raw.sample_rate), 1)
    rest = b""
    first = True
    while data := file.read1(most) if hasattr(file, "read1") else file.read(most):
        if first and data.startswith(b"RIFF"):
            raise AudioError(
                "not-audio",
                "the pipe holds a WAV file: send samples without a header, such as those of "
                "arecord -t raw or ffmpeg -f s16le",
            )
        first, rest = False, rest + data
        whole = len(rest) // frame * frame
        values = np.frombuffer(rest[:whole], dtype).reshape(-1, raw.channels)
        rest = rest[whole:]
        if len(values):
            yield values.astype(np.float32).mean(axis=1) / np.float32(32768.0)
    if rest:
        raise AudioError("truncated-audio", f"the pipe ends {len(rest)} bytes into a sample")


def microphone(sample_rate: int) -> Iterator[np.ndarray]:
    """Samples of the default microphone, until interrupted (Ctrl-C).

    Args:
        sample_rate: samples per second.

    Yields:
        float32 [samples] in [-1, 1].

    Raises:
        UserError: sounddevice is not installed, or there is no microphone.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise UserError(
            "A microphone needs the package sounddevice (pip install sounddevice). Without it, "
            "pipe samples in: arecord -f S16_LE -r 16000 -t raw | ds2 transcribe --stream -"
        ) from error
    except OSError as error:
        raise UserError(
            f"sounddevice does not work here: {error}. On Linux it needs the library PortAudio "
            "(apt install libportaudio2)."
        ) from error
    pieces: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()

    def hear(samples, *_):
        pieces.put(samples[:, 0].copy())

    try:
        stream = sounddevice.InputStream(
            samplerate=sample_rate,
            channels=1,
            dtype="float32",
            blocksize=int(_PIECE_SECONDS * sample_rate),
            callback=hear,
        )
    except sounddevice.PortAudioError as error:
        raise UserError(f"No microphone can be opened: {error}.") from error
    with stream:
        while True:
            try:
                yield pieces.get()
            except KeyboardInterrupt:
                return
