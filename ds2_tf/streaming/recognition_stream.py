# SPDX-License-Identifier: Apache-2.0
"""Text from audio that comes in pieces, wherever the network runs."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np

from ds2_tf.decoding.beam_search import BeamSearch, Partial
from ds2_tf.decoding.greedy_stream import GreedyStream
from ds2_tf.errors import UserError
from ds2_tf.streaming.results import StreamInfo, TimedWord, Transcript


class StreamingNetwork(Protocol):
    """A network that takes audio in steps: in this process, or on a server."""

    info: StreamInfo

    def step(
        self, samples: np.ndarray, num_samples: int, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Hears a chunk.

        Args:
            samples: float32 [chunk].
            num_samples: how many of them are valid, the first.
            state: float32 [info.state_size], of the step before; zeros at first.

        Returns:
            The log probabilities of the frames that are now known, float32 [frames, labels], and
            the next state.
        """

    def finish(self, state: np.ndarray) -> np.ndarray:
        """The log probabilities of the frames that were held back, float32 [frames, labels]."""


class RecognitionStream:
    """One utterance, or one hour, that comes in pieces; for one thread at a time.

    The audio goes through the network in chunks of one size, so that the last fraction of a chunk
    is heard with the next pieces or by `finish`. The result does not depend on how the audio was
    cut into pieces.

    Args:
        network: hears the chunks.
        decoder: a `BeamSearch`, such as `load_package(path).search()` makes. Defaults to greedy
            decoding.
        chunk_seconds: audio per step. Defaults to 0.1.
        sample_rate: samples per second of what is fed; resampled where it is not the network's.
            Defaults to the network's.

    Raises:
        UserError: the decoder is for another alphabet, or a number makes no sense.

    Attributes:
        info: the `StreamInfo` of the model.
        latency: seconds that the last step took, decoding included.
    """

    def __init__(
        self,
        network: StreamingNetwork,
        *,
        decoder: BeamSearch | None = None,
        chunk_seconds: float = 0.1,
        sample_rate: int | None = None,
    ):
        self.info = network.info
        self.latency = 0.0
        self._network = network
        if decoder is not None and decoder.alphabet != self.info.alphabet:
            raise UserError(
                f"The decoder is for {decoder.alphabet.describe_mismatch(self.info.alphabet)}: "
                "make a decoder package for this model with ds2 lm package."
            )
        self._decoding = decoder.stream() if decoder else GreedyStream(self.info.alphabet)
        self._chunk = round(chunk_seconds * self.info.sample_rate)
        if self._chunk < 1:
            raise UserError(f"A chunk must be at least a sample, got {chunk_seconds} s.")
        self._rate = sample_rate or self.info.sample_rate
        self._resampler = self._make_resampler()
        self._pending = np.zeros(0, np.float32)
        self._state = np.zeros(self.info.state_size, np.float32)
        self._num_samples = 0
        self._partial = Partial("", "")
        self._transcript: Transcript | None = None

    def __enter__(self) -> RecognitionStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives back what the stream holds; nothing can be fed afterwards."""

    @property
    def duration(self) -> float:
        """Seconds of audio that were fed."""
        return self._num_samples / self._rate

    def feed(self, samples: np.ndarray) -> Partial:
        """Hears the next samples.

        Args:
            samples: any number of them, float [samples] in [-1, 1] or int16 [samples].

        Returns:
            The text so far: `stable`, which never changes but for what is added, and `unstable`,
            the rest of what is the best guess now. Join them with a space where the alphabet has
            one.

        Raises:
            UserError: the samples are something else, the stream is finished, or the network
                cannot be reached.
        """
        if self._transcript is not None:
            raise UserError("This stream is finished: start another one for more audio.")
        samples = _as_float(samples)
        self._num_samples += len(samples)
        if self._resampler:
            samples = self._resampler.resample_chunk(samples)
        self._pending = np.concatenate([self._pending, samples])
        while len(self._pending) >= self._chunk:
            # What a failed step has not heard can be fed again by calling once more.
            self._step(self._pending[: self._chunk], self._chunk)
            self._pending = self._pending[self._chunk :]
        return self._partial

    def finish(self) -> Transcript:
        """Ends the audio.

        Returns:
            The text of all of it, the same again if called again.

        Raises:
            UserError: the network cannot be reached.
        """
        if self._transcript is None:
            if self._resampler:
                rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
                self._resampler = None
                self._pending = np.concatenate([self._pending, rest])
            while len(self._pending):
                # Of the same size as all the others, for a server to batch it with them.
                taken = min(len(self._pending), self._chunk)
                chunk = np.zeros(self._chunk, np.float32)
                chunk[:taken] = self._pending[:taken]
                self._step(chunk, taken)
                self._pending = self._pending[taken:]
            self._decoding.push(self._network.finish(self._state))
            best, *_ = self._decoding.finish()
            seconds = self.info.frame_seconds
            words = tuple(
                TimedWord(word.text, word.start * seconds, word.end * seconds)
                for word in best.words
            )
            self._transcript = Transcript(best.text, words, best.total, self.duration)
            self._partial = Partial(best.text, "")
        return self._transcript

    def _step(self, samples: np.ndarray, num_samples: int) -> None:
        start = time.monotonic()
        log_probs, self._state = self._network.step(samples, num_samples, self._state)
        if len(log_probs):
            self._decoding.push(log_probs)
            self._partial = self._decoding.partial()
        self.latency = time.monotonic() - start

    def _make_resampler(self):
        if self._rate == self.info.sample_rate:
            return None
        if self._rate < 1:
            raise UserError(f"The sample rate must be positive, got {self._rate}.")
        import soxr

        return soxr.ResampleStream(self._rate, self.info.sample_rate, 1, dtype="float32")


def _as_float(samples: np.ndarray) -> np.ndarray:
    samples = np.asarray(samples)
    if samples.ndim == 1 and samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768.0)
    if samples.ndim == 1 and samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise UserError("Some of the samples are infinite or not a number.")
        return samples.astype(np.float32, copy=False)
    raise UserError(
        "Expected float samples in [-1, 1] or 16-bit integers, of shape [samples], got "
        f"{samples.dtype} of shape {list(samples.shape)}."
    )
