# SPDX-License-Identifier: Apache-2.0
"""16-bit PCM WAV files in memory, the one audio format that the served graph decodes."""

from __future__ import annotations

import io
import wave

import numpy as np


def wav_bytes(samples: np.ndarray, sample_rate: int) -> bytes:
    """Encodes mono samples as a 16-bit PCM WAV file.

    Args:
        samples: float32 [samples] in [-1, 1]; values beyond are clipped.
        sample_rate: samples per second.
    """
    # 32768 is the factor that decoders divide by, so that 16-bit recordings survive unchanged.
    scaled = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(scaled.tobytes())
    return buffer.getvalue()
