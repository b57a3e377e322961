# SPDX-License-Identifier: Apache-2.0
"""Measuring every recording of a corpus."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from typing import NamedTuple

import numpy as np

from ds2_tf.audio.reading import AudioError, RawFormat, audio_format, read_audio
from ds2_tf.corpora.manifest import Utterance, read_manifest, resolve_audio
from ds2_tf.corpora.parallel import map_in_processes

_SAMPLE_RATE = 16000
# A recording is clipped where so many samples in a row lie at full scale.
_CLIPPED_RUN = 3
_FULL_SCALE = 0.999
# A stretch of 20 ms is silent this far under the loudest of its recording.
_SILENCE_SAMPLES = 320
STRETCH_SECONDS = _SILENCE_SAMPLES / _SAMPLE_RATE
_SILENCE_DECIBELS = 40.0
# Of a recording without any sound: less than the smallest step of 16-bit samples.
_LOWEST_DECIBELS = -100.0


class RecordingMeasurements(NamedTuple):
    """What is kept of a recording after reading it.

    Attributes:
        digest: a hash of the samples.
        seconds: its length.
        clipped: whether three samples in a row lie at full scale.
        silent_seconds: length of the stretches of 20 ms that are 40 dB or more below the loudest.
        leading_seconds: of these, those before the first that is not; all where there is no sound.
        trailing_seconds: of these, those after the last that is not; all where there is no sound.
        peak_decibels: the loudest sample, in decibels of full scale; -100 where there is no sound.
        format: as it is stored, such as "16000 Hz, 1 channel".
    """

    digest: bytes
    seconds: float
    clipped: bool
    silent_seconds: float
    leading_seconds: float
    trailing_seconds: float
    peak_decibels: float
    format: str


class CorpusMeasurements(NamedTuple):
    """A corpus and its recordings.

    Attributes:
        utterances: the manifest.
        recordings: one for each utterance, None where it cannot be read; None if none was read.
    """

    utterances: list[Utterance]
    recordings: list[RecordingMeasurements | None] | None

    @property
    def seconds(self) -> list[float | None]:
        """The lengths: as measured, or else as the manifest has them."""
        if self.recordings is None:
            return [utterance.duration for utterance in self.utterances]
        return [
            recording.seconds if recording else utterance.duration
            for utterance, recording in zip(self.utterances, self.recordings)
        ]


def measure_corpus(
    manifest_path: str | os.PathLike,
    *,
    read_recordings: bool = True,
    raw: RawFormat | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> CorpusMeasurements:
    """Reads a manifest and measures its recordings.

    Args:
        manifest_path: the manifest.
        read_recordings: also measure the recordings. Defaults to true.
        raw: the format of headerless recordings, where the corpus has them.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Raises:
        ManifestError: a line of the manifest is not an utterance.
    """
    utterances = list(read_manifest(manifest_path))
    if not read_recordings:
        return CorpusMeasurements(utterances, None)
    measure = functools.partial(_measure, manifest_path=os.fspath(manifest_path), raw=raw)
    recordings = map_in_processes(
        measure, utterances, description="Measuring", jobs=jobs, progress=progress
    )
    return CorpusMeasurements(utterances, list(recordings))


def _measure(
    utterance: Utterance, manifest_path: str, raw: RawFormat | None
) -> RecordingMeasurements | None:
    path = resolve_audio(utterance, manifest_path)
    try:
        samples = read_audio(path, sample_rate=_SAMPLE_RATE, raw=raw)
        sample_rate, channels = audio_format(path, raw=raw)
    except AudioError:
        return None
    silent = _silent_stretches(samples)
    sounding = np.flatnonzero(~silent)
    leading, trailing = (
        (sounding[0], len(silent) - 1 - sounding[-1])
        if len(sounding)
        else (len(silent), len(silent))
    )
    peak = float(np.abs(samples).max(initial=0.0))
    return RecordingMeasurements(
        digest=hashlib.sha256(samples.tobytes()).digest(),
        seconds=len(samples) / _SAMPLE_RATE,
        clipped=_is_clipped(samples),
        silent_seconds=float(silent.sum() * STRETCH_SECONDS),
        leading_seconds=float(leading * STRETCH_SECONDS),
        trailing_seconds=float(trailing * STRETCH_SECONDS),
        peak_decibels=max(_LOWEST_DECIBELS, 20 * math.log10(peak)) if peak else _LOWEST_DECIBELS,
        format=f"{sample_rate} Hz, {channels} channel{'s' if channels > 1 else ''}",
    )


def _is_clipped(samples: np.ndarray) -> bool:
    full = np.abs(samples) >= _FULL_SCALE
    run = full[: len(full) - _CLIPPED_RUN + 1]
    for shift in range(1, _CLIPPED_RUN):
        run = run & full[shift : len(run) + shift]
    return bool(run.any())


def _silent_stretches(samples: np.ndarray) -> np.ndarray:
    """Which stretches are silent, bool [stretches]."""
    whole = samples[: len(samples) // _SILENCE_SAMPLES * _SILENCE_SAMPLES]
    power = np.square(whole.reshape(-1, _SILENCE_SAMPLES)).mean(axis=1)
    return power <= power.max(initial=0.0) * 10 ** (-_SILENCE_DECIBELS / 10)
