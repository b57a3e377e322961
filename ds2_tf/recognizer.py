# SPDX-License-Identifier: Apache-2.0
"""Recognition with a model directory, in this process."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ds2_tf.audio.samples import as_float_samples
from ds2_tf.audio.segmentation import DEFAULT_LIMIT_SECONDS, Pieces
from ds2_tf.errors import UserError
from ds2_tf.streaming.results import Transcript

if TYPE_CHECKING:
    from ds2_tf.decoding.beam_search import BeamSearch
    from ds2_tf.decoding.decoder import Decoder

# Frames of one batch, padding included: about ten minutes of audio.
_BATCH_FRAMES = 60000
_MAX_BATCH_SIZE = 32
# Batches are padded to a multiple of this, so that few shapes are traced and allocated.
_FRAME_MULTIPLE = 64


@dataclasses.dataclass(frozen=True)
class Recognition:
    """What was heard in one recording.

    Attributes:
        text: the transcript.
        score: log probability (natural) of the best alignment.
        log_probs: float32 [frames, labels].
    """

    text: str
    score: float
    log_probs: np.ndarray


class Recognizer:
    """A trained network with everything around it, from samples to text.

    Args:
        network: a `ds2_tf.models.deep_speech_2.DeepSpeech2`.
        description: its `ds2_tf.models.model_directory.ModelDescription`.
    """

    def __init__(self, network, description):
        import tensorflow as tf

        from ds2_tf.audio.spectrogram import log_spectrogram
        from ds2_tf.models.model_directory import alphabet_of

        self.network = network
        self.description = description
        self.alphabet = alphabet_of(description)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.float32),
                tf.TensorSpec([None], tf.int32),
            ]
        )
        def log_probs(samples, num_samples):
            spectrogram, num_frames = log_spectrogram(samples, num_samples, description.features)
            logits = network({"spectrogram": spectrogram, "num_frames": num_frames}, training=False)
            return tf.nn.log_softmax(logits), description.model.output_frames(num_frames)

        # At the end of a script TensorFlow's modules may go before this, and the function could not
        # be freed without a traceback: so it goes first.
        self._graph = [log_probs]
        weakref.finalize(self, self._graph.clear)

    @classmethod
    def load(cls, directory: str | os.PathLike) -> Recognizer:
        """Loads a model directory.

        Raises:
            UserError: the directory holds no model, or one of another version.
        """
        from ds2_tf.models.model_directory import load_model

        return cls(*load_model(directory))

    @property
    def sample_rate(self) -> int:
        """Samples per second of the audio that it takes."""
        return self.description.features.sample_rate

    @property
    def frame_seconds(self) -> float:
        """Duration of an output frame."""
        stride = self.description.features.hop_samples * self.description.model.time_stride
        return stride / self.sample_rate

    def transcribe(
        self,
        recordings: Sequence[np.ndarray],
        *,
        limit_seconds: float | None = DEFAULT_LIMIT_SECONDS,
        decoder: Decoder | BeamSearch | None = None,
        num_best: int = 0,
        progress: Callable[[float], object] | None = None,
    ) -> list[Transcript]:
        """Transcribes recordings of any length, with the times of the words.

        Args:
            recordings: samples [N] each at `sample_rate`: float in [-1, 1], or int16.
            limit_seconds: longer recordings go through the network in pieces, cut where nobody
                speaks; None cuts nothing. Defaults to 20.
            decoder: such as `Decoder.load(path)`. Defaults to greedy decoding.
            num_best: most alternatives to give, with a decoder. Defaults to none.
            progress: called with the seconds of audio that went through the network since the last
                call.

        Returns:
            One transcript a recording, in their order.

        Raises:
            UserError: the recordings are no samples, the limit is under a second, the decoder is
                for another alphabet, or alternatives are asked for without one.
        """
        from ds2_tf.decoding.joining import decode_joined

        if isinstance(recordings, np.ndarray) and recordings.ndim == 1:
            raise UserError("Expected a list of recordings, got one: put it in a list.")
        recordings = [as_float_samples(samples) for samples in recordings]
        pieces = Pieces(recordings, self.sample_rate, limit_seconds=limit_seconds)
        log_probs = [r.log_probs for r in self._recognize(pieces, progress)]
        transcripts = decode_joined(
            pieces.grouped(log_probs),
            frame_seconds=self.frame_seconds,
            alphabet=self.alphabet,
            decoder=decoder,
            num_best=num_best,
        )
        return [
            dataclasses.replace(transcript, duration=len(samples) / self.sample_rate)
            for transcript, samples in zip(transcripts, recordings)
        ]

    def recognize(
        self,
        recordings: Sequence[np.ndarray],
        *,
        progress: Callable[[float], object] | None = None,
    ) -> list[Recognition]:
        """Puts recordings through the network, each as a whole, and reads them greedily.

        Args:
            recordings: samples [N] each at `sample_rate`: float in [-1, 1], or int16.
            progress: called with the seconds of audio done since the last call.

        Returns:
            One result a recording, in their order.

        Raises:
            UserError: the recordings are no samples.
        """
        return self._recognize([as_float_samples(samples) for samples in recordings], progress)

    def _recognize(
        self, recordings: Sequence[np.ndarray], progress: Callable[[float], object] | None
    ) -> list[Recognition]:
        """`recognize` for float32 samples."""
        from ds2_tf.decoding.greedy import greedy_decode

        results: list[Recognition | None] = [None] * len(recordings)
        for batch in self._batches([len(samples) for samples in recordings]):
            multiple = _FRAME_MULTIPLE * self.description.features.hop_samples
            longest = max(len(recordings[index]) for index in batch)
            width = -(-max(longest, 1) // multiple) * multiple
            padded = np.zeros((len(batch), width), np.float32)
            for row, index in enumerate(batch):
                padded[row, : len(recordings[index])] = recordings[index]
            lengths = np.array([len(recordings[index]) for index in batch], np.int32)
            scores, frames = (x.numpy() for x in self._graph[0](padded, lengths))
            texts = greedy_decode(scores, frames, self.alphabet)
            for row, index in enumerate(batch):
                valid = scores[row, : frames[row]]
                results[index] = Recognition(texts[row], float(valid.max(-1).sum()), valid)
            if progress:
                progress(float(lengths.sum()) / self.sample_rate)
        return results

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of recordings of like length, within the budget of frames."""
        hop = self.description.features.hop_samples
        batch: list[int] = []
        # From long to short: the first of a batch is its longest.
        for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
            frames = lengths[batch[0]] // hop if batch else 0
            full = (len(batch) + 1) * frames > _BATCH_FRAMES or len(batch) == _MAX_BATCH_SIZE
            if batch and full:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch
