# SPDX-License-Identifier: Apache-2.0
"""How many bytes of samples a header promises.

libsndfile shortens an uncompressed file to what is there without a word, so that half a recording
would train against its whole transcript. WAV, AIFF and NIST SPHERE state the length in the header.
"""

from __future__ import annotations

from typing import NamedTuple

# Written by programs that stream a WAV and do not know its length beforehand.
_UNKNOWN_SIZES = (0, 0x7FFFFFFF, 0xFFFFFFFF)


class DataBytes(NamedTuple):
    """Bytes of samples promised by a header, and those that follow it."""

    promised: int
    present: int


def declared_data_bytes(data: bytes) -> DataBytes | None:
    """Reads the promise of a WAV, AIFF or uncompressed SPHERE header; None where there is none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _chunk_bytes(data, b"data", "little")
    if data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC"):
        return _chunk_bytes(data, b"SSND", "big")
    if data[:7] == b"NIST_1A":
        return _sphere_data_bytes(data)
    return None


def _chunk_bytes(data: bytes, name: bytes, byte_order: str) -> DataBytes | None:
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], byte_order)
        if data[position : position + 4] == name:
            if size in _UNKNOWN_SIZES:
                return None
            return DataBytes(size, min(size, len(data) - position - 8))
        position += 8 + size + size % 2
    return None


def _sphere_data_bytes(data: bytes) -> DataBytes | None:
    try:
        header_size = int(data[8:16])
        lines = data[16:header_size].decode("ascii", "replace").splitlines()
        fields = dict(line.split(" ", 2)[::2] for line in lines if line.count(" ") >= 2)
        if not fields.get("sample_coding", "pcm").startswith("pcm,embedded"):
            size = (
                int(fields["sample_count"])
                * int(fields["sample_n_bytes"])
                * int(fields["channel_count"])
            )
            return DataBytes(size, min(size, len(data) - header_size))
    except (ValueError, KeyError):
        pass  # not a header we understand: libsndfile will say what it thinks of it
    return None
