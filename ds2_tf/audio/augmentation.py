# SPDX-License-Identifier: Apache-2.0
"""Changes made to training recordings on the fly: speed, volume, shifts and noise."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from ds2_tf.audio.reading import read_audio
from ds2_tf.config import AudioAugmentationConfig
from ds2_tf.errors import UserError

_AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".sph")


class AudioAugmentation:
    """Applies what a recipe asks for, in the order in which a recording comes about.

    The speaker talks faster or slower, at another moment, nearer or farther; then there is noise.

    Args:
        config: which changes, and how strong.
        sample_rate: samples per second of the recordings. Defaults to 16000.

    Raises:
        UserError: the directory of noises does not exist, or holds no recording.
    """

    def __init__(self, config: AudioAugmentationConfig, sample_rate: int = 16000):
        self._config = config
        self._sample_rate = sample_rate
        self._noises = _read_noises(config.noise_directory, sample_rate)

    def __call__(self, samples: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        """Changes one recording.

        Args:
            samples: float32 [N] in [-1, 1].
            seed: non-negative integers, such as the run's seed, the epoch and the utterance; equal
                seeds give equal changes.

        Returns:
            float32 [M] in [-1, 1].
        """
        config = self._config
        generator = np.random.default_rng(seed)
        # Drawn whether used or not: switching one change off leaves the others as they were.
        speed = generator.uniform(*config.speed)
        shift = generator.uniform(-config.shift_seconds, config.shift_seconds)
        gain = 10.0 ** (generator.uniform(*config.volume_db) / 20.0)
        noisy = generator.random() < config.noise_share
        if speed != 1.0:
            samples = change_speed(samples, speed)
        if shift:
            samples = shift_in_time(samples, round(shift * self._sample_rate))
        if noisy:
            noise = self._draw_noise(len(samples), generator)
            samples = add_noise(samples, noise, generator.uniform(*config.noise_snr_db))
        return np.clip(samples * gain, -1.0, 1.0).astype(np.float32)

    def _draw_noise(self, size: int, generator: np.random.Generator) -> np.ndarray:
        if not self._noises:
            return colored_noise(size, generator.uniform(0.0, 2.0), generator)
        noise = self._noises[generator.integers(len(self._noises))]
        start = generator.integers(len(noise))
        return np.resize(np.roll(noise, -start), size)


def change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Plays a recording faster (speed over 1) or slower, pitch included."""
    import soxr

    return soxr.resample(samples, speed, 1.0, quality="MQ").astype(np.float32)


def shift_in_time(samples: np.ndarray, shift: int) -> np.ndarray:
    """Begins later (with silence before) or earlier (the beginning is lost).

    Args:
        samples: float32 [N].
        shift: samples of silence; negative to cut. At least one sample is left.
    """
    if shift >= 0:
        return np.pad(samples, (shift, 0))
    return samples[min(-shift, len(samples) - 1) :]


def add_noise(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Adds noise at a ratio of mean powers.

    Args:
        samples: float32 [N]; silence is left as it is, since no ratio to it exists.
        noise: float [N].
        snr_db: power of the recording over that of the noise, in decibels.
    """
    signal_power, noise_power = np.mean(np.square(samples)), np.mean(np.square(noise))
    if not signal_power or not noise_power:
        return samples
    scale = np.sqrt(signal_power / noise_power / 10.0 ** (snr_db / 10.0))
    return (samples + scale * noise).astype(np.float32)


def colored_noise(size: int, exponent: float, generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose power falls with frequency to the `exponent`.

    0 is white noise, 1 pink, 2 brown: from a hiss to the rumble of traffic.
    """
    spectrum = np.fft.rfft(generator.standard_normal(size))
    # Level below 20 Hz of 16 kHz audio: nobody hears what is under it.
    frequency = np.maximum(np.fft.rfftfreq(size), 20 / 16000)
    return np.fft.irfft(spectrum * frequency ** (-exponent / 2.0), size).astype(np.float32)


def noise_files(directory: str | os.PathLike) -> list[pathlib.Path]:
    """The recordings of noise in a directory and those in it, in the order of their names.

    Raises:
        UserError: there is no such directory, or no recording in it.
    """
    directory = pathlib.Path(directory)
    if not directory.is_dir():
        problem = "is not a directory" if directory.exists() else "does not exist"
        raise UserError(f"noise_directory {directory} {problem}.")
    files = sorted(path for path in directory.rglob("*") if path.suffix.lower() in _AUDIO_SUFFIXES)
    if not files:
        raise UserError(
            f"noise_directory {directory} holds no recording ({', '.join(_AUDIO_SUFFIXES)})."
        )
    return files


def _read_noises(directory: str | os.PathLike | None, sample_rate: int) -> list[np.ndarray]:
    if directory is None:
        return []
    return [read_audio(path, sample_rate=sample_rate) for path in noise_files(directory)]
