# SPDX-License-Identifier: Apache-2.0
"""Reading a recording of any common format to mono float32 samples at one sample rate."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from ds2_tf.audio.byte_order import bytes_are_swapped
from ds2_tf.audio.declared_length import declared_data_bytes
from ds2_tf.errors import UserError

if TYPE_CHECKING:
    import soundfile

_LOGGER = logging.getLogger(__name__)
_told_of_swapped_bytes = False

RAW_SUFFIXES = (".raw", ".pcm")


class AudioError(UserError):
    """A recording that cannot be read.

    Attributes:
        reason: one of "missing-audio", "empty-audio", "truncated-audio", "not-audio".
        detail: what was found and what was expected.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class RawFormat:
    """What a headerless recording cannot say of itself.

    Attributes:
        sample_rate: samples per second.
        encoding: a libsndfile subtype, such as "PCM_16", "ULAW" or "FLOAT". Defaults to "PCM_16".
        endian: "LITTLE" or "BIG". Defaults to "LITTLE".
        channels: number of interleaved channels. Defaults to 1.
    """

    sample_rate: int
    encoding: str = "PCM_16"
    endian: str = "LITTLE"
    channels: int = 1

    def __post_init__(self):
        import soundfile

        if self.sample_rate < 1 or self.channels < 1:
            raise UserError(
                "Headerless audio needs a sample rate and a number of channels of at least 1, got "
                f"{self.sample_rate} and {self.channels}."
            )
        if not soundfile.check_format("RAW", self.encoding, self.endian):
            known = ", ".join(soundfile.available_subtypes("RAW"))
            raise UserError(
                f"Headerless audio cannot have the encoding {self.encoding!r} and the byte order "
                f"{self.endian!r}. Encodings are {known}; byte orders are LITTLE and BIG."
            )

    def soundfile_arguments(self) -> dict:
        """The keyword arguments with which soundfile opens such a file."""
        return {
            "format": "RAW",
            "samplerate": self.sample_rate,
            "subtype": self.encoding,
            "endian": self.endian,
            "channels": self.channels,
        }


def read_audio(
    source: str | os.PathLike | bytes, *, sample_rate: int = 16000, raw: RawFormat | None = None
) -> np.ndarray:
    """Reads a recording: WAV, FLAC, Ogg, MP3, NIST SPHERE, AIFF, or headerless samples.

    Several channels are averaged, and another sample rate is resampled (soxr, high quality). Where
    the bytes of 16-bit samples were swapped by a conversion before, they are put right, and the log
    says so once (`ds2_tf.audio.byte_order`).

    Args:
        source: a path, or the bytes of a whole file.
        sample_rate: samples per second of the result. Defaults to 16000.
        raw: the format of a headerless file (`.raw`, `.pcm`, or any bytes); ignored for paths with
            another suffix.

    Returns:
        float32 array of shape [samples], in [-1, 1].

    Raises:
        AudioError: the recording is missing, empty, truncated or not audio.
    """
    import soundfile
    import soxr

    data, name, arguments = _open_arguments(source, raw)
    with _open(data, name, arguments) as file:
        declared_frames, native_rate = file.frames, file.samplerate
        # Integers are a quarter of the work where the order of their bytes is to be looked at.
        dtype = "int16" if file.subtype == "PCM_16" else "float32"
        try:
            samples = file.read(dtype=dtype, always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                "truncated-audio",
                f"{name} declares {declared_frames} samples and cannot be decoded to its end: "
                f"{error.error_string}",
            ) from error
    if not len(samples):
        raise AudioError("empty-audio", f"{name} has a header and no samples")
    # Compressed formats of unknown length declare a huge count; only a plausible one can accuse.
    if len(samples) < declared_frames < 2**40:
        raise AudioError(
            "truncated-audio",
            f"{name} declares {declared_frames} samples, {len(samples)} could be decoded",
        )
    if dtype == "int16":
        samples = _in_right_byte_order(samples, name).astype(np.float32) / np.float32(2.0**15)
    elif not np.isfinite(samples).all():
        raise AudioError("not-audio", f"{name} has samples that are infinite or not a number")
    mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
    if native_rate != sample_rate:
        mono = soxr.resample(mono, native_rate, sample_rate, quality="HQ")
        if not len(mono):
            raise AudioError("empty-audio", f"{name} gives no sample at {sample_rate} Hz")
    return np.clip(mono, -1.0, 1.0).astype(np.float32, copy=False)


def audio_duration(source: str | os.PathLike, *, raw: RawFormat | None = None) -> float:
    """The length of a recording in seconds, from its header where it has one.

    Raises:
        AudioError: as `read_audio`, but for damage that only decoding shows.
    """
    with _open(*_open_arguments(source, raw)) as file:
        return file.frames / file.samplerate


def audio_format(
    source: str | os.PathLike | bytes, *, raw: RawFormat | None = None
) -> tuple[int, int]:
    """Samples per second and channels of a recording, as it is stored.

    Raises:
        AudioError: as `read_audio`, but for damage that only decoding shows.
    """
    with _open(*_open_arguments(source, raw)) as file:
        return file.samplerate, file.channels


def _in_right_byte_order(samples: np.ndarray, name: str) -> np.ndarray:
    if not bytes_are_swapped(samples[:, 0]):
        return samples
    _tell_once_of_swapped_bytes(name)
    return samples.byteswap()


def _tell_once_of_swapped_bytes(name: str) -> None:
    global _told_of_swapped_bytes
    if not _told_of_swapped_bytes:
        _told_of_swapped_bytes = True
        _LOGGER.warning(
            "%s has the bytes of its samples swapped; it is read in the right order, and so is "
            "every other such recording.",
            name,
        )


def _open(data: bytes, name: str, arguments: dict) -> soundfile.SoundFile:
    import soundfile

    try:
        return soundfile.SoundFile(io.BytesIO(data), **arguments)
    except soundfile.LibsndfileError as error:
        raise AudioError("not-audio", f"{name}: {error.error_string}") from error


def _open_arguments(
    source: str | os.PathLike | bytes, raw: RawFormat | None
) -> tuple[bytes, str, dict]:
    """The bytes of a recording, its name for messages, and how soundfile is to open it."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name, headerless = bytes(source), "the recording", raw is not None
    else:
        path = pathlib.Path(source)
        name, headerless = str(path), path.suffix.lower() in RAW_SUFFIXES
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise AudioError("missing-audio", f"{name} does not exist") from None
        except (OSError, ValueError) as error:  # ValueError: a name that no file can have
            raise AudioError("missing-audio", f"{name!r} cannot be read: {error}") from error
    if not data:
        raise AudioError("empty-audio", f"{name} has 0 bytes")
    if headerless:
        if raw is None:
            raise AudioError(
                "not-audio", f"{name} has no header: state its sample rate (--raw-sample-rate)"
            )
        return data, name, raw.soundfile_arguments()
    declared = declared_data_bytes(data)
    if declared is not None and declared.promised > declared.present:
        if not declared.present:
            raise AudioError("empty-audio", f"{name} has a header and no samples")
        raise AudioError(
            "truncated-audio",
            f"{name} declares {declared.promised} bytes of samples and holds {declared.present}",
        )
    return data, name, {}
