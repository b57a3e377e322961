# SPDX-License-Identifier: Apache-2.0
"""Speech from text with eSpeak NG, one process a voice.

eSpeak NG carries state from one text to the next (the phase of its oscillators, its random
numbers), so what a text sounds like depends on everything said before it. Each voice therefore
speaks in a process of its own, from the first text to the last: the same request gives the same
samples wherever and whenever it is made. The process runs this file as a script and imports nothing
outside the standard library, so that it starts in some 50 ms.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# From eSpeak NG's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT_ON_ERROR = 0x8000
_POSITION_CHARACTER = 1
_CHARACTERS_UTF8 = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4

_SynthesisCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclasses.dataclass(frozen=True)
class Voice:
    """A speaker of eSpeak NG.

    Attributes:
        name: a language, and a variant after a plus sign, such as "en-us+m3".
        rate: words a minute. Defaults to 175.
        pitch: from 0 to 99. Defaults to 50.
        pitch_range: from 0 (monotone) to 99. Defaults to 50.
        volume: from 0 to 200; some variants clip at 100. Defaults to 60.
    """

    name: str
    rate: int = 175
    pitch: int = 50
    pitch_range: int = 50
    volume: int = 60


def speak(voice: Voice, texts: Sequence[str]) -> tuple[list[np.ndarray], int]:
    """Says texts one after the other.

    Args:
        voice: who speaks.
        texts: what is said. A letter with a comma after it is spoken as the letter's name.

    Returns:
        The int16 samples [N] of each text, and the sample rate.

    Raises:
        UserError: eSpeak NG is not installed, or does not know the voice.
    """
    import numpy as np

    from ds2_tf.errors import UserError

    try:
        import espeakng_loader
    except ImportError as error:
        raise UserError(
            'Synthetic speech needs eSpeak NG: pip install "ds2-tf[demo]" (espeakng-loader).'
        ) from error
    data_parent = os.path.dirname(espeakng_loader.get_data_path())
    request = {
        "library": espeakng_loader.get_library_path(),
        "voice": dataclasses.asdict(voice),
        "texts": list(texts),
    }
    process = subprocess.run(
        # Isolated, so that the modules beside this file cannot stand in for the standard ones.
        [sys.executable, "-I", "-S", os.path.abspath(__file__)],
        input=json.dumps(request).encode(),
        capture_output=True,
        # eSpeak NG cuts a data path of more than 160 characters off, hence a relative one.
        cwd=data_parent,
    )
    if process.returncode:
        problem = process.stderr.decode("utf-8", "replace").strip()
        raise UserError(f"eSpeak NG could not speak as {voice.name!r}: {problem}")
    (sample_rate,) = struct.unpack_from("<I", process.stdout)
    position, recordings = 4, []
    for _ in texts:
        (size,) = struct.unpack_from("<I", process.stdout, position)
        recordings.append(np.frombuffer(process.stdout, "<i2", size // 2, position + 4))
        position += 4 + size
    return recordings, sample_rate


def _serve_one_request() -> None:
    """Reads a request from standard input and writes the samples to standard output.

    The answer is the sample rate, then for each text its size in bytes and 16-bit samples; all
    little endian, numbers as 4 bytes.
    """
    request = json.load(sys.stdin)
    library, voice = ctypes.CDLL(request["library"]), request["voice"]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    chunks: list[bytes] = []

    @_SynthesisCallback
    def collect(samples, count, events):
        if samples and count:
            chunks.append(struct.pack(f"<{count}h", *samples[:count]))
        return 0

    sample_rate = library.espeak_Initialize(
        _AUDIO_OUTPUT_SYNCHRONOUS, 0, b".", _DO_NOT_EXIT_ON_ERROR
    )
    if sample_rate <= 0:
        sys.exit(f"its data were not found in {os.getcwd()}")
    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(voice["name"].encode()):
        sys.exit("there is no such voice")
    for parameter, value in (
        (_RATE, voice["rate"]),
        (_VOLUME, voice["volume"]),
        (_PITCH, voice["pitch"]),
        (_RANGE, voice["pitch_range"]),
    ):
        library.espeak_SetParameter(parameter, value, 0)
    answer = sys.stdout.buffer
    answer.write(struct.pack("<I", sample_rate))
    for text in request["texts"]:
        chunks.clear()
        data = text.encode() + b"\0"
        library.espeak_Synth(
            data, len(data), 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None
        )
        samples = b"".join(chunks)
        answer.write(struct.pack("<I", len(samples)) + samples)


if __name__ == "__main__":
    _serve_one_request()
