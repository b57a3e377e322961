# SPDX-License-Identifier: Apache-2.0
"""Streaming recognition with a model directory, in this process.

Example:
    >>> recognizer = StreamingRecognizer.load("model")
    >>> stream = recognizer.stream()
    >>> for samples in pieces:
    ...     print(stream.feed(samples).stable)
    >>> print(stream.finish().text)
"""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from ds2_tf.decoding.beam_search import BeamSearch
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, load_model
from ds2_tf.streaming.network import StreamedNetwork
from ds2_tf.streaming.recognition_stream import RecognitionStream


class StreamingRecognizer:
    """A trained network that hears streams; safe to share between threads.

    Computes in float32, whatever the policy that the network was trained with.

    Args:
        network: runs forward alone, see `ModelConfig.can_stream`.
        description: its `ModelDescription`.

    Raises:
        UserError: the network needs the whole utterance.

    Attributes:
        info: see `StreamInfo`.
    """

    def __init__(self, network: DeepSpeech2, description: ModelDescription):
        streamed = StreamedNetwork(network.in_float32(), description)
        self.info = streamed.info
        size = self.info.state_size
        self._step = tf.function(
            streamed.step,
            input_signature=[
                tf.TensorSpec([None, None], tf.float32),
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([None, size], tf.float32),
            ],
        )
        self._finish = tf.function(
            streamed.finish, input_signature=[tf.TensorSpec([None, size], tf.float32)]
        )

    @classmethod
    def load(cls, directory: str | os.PathLike) -> StreamingRecognizer:
        """Loads a model directory.

        Raises:
            UserError: the directory holds no model, or one that needs whole utterances.
        """
        return cls(*load_model(directory))

    def stream(
        self,
        *,
        decoder: BeamSearch | None = None,
        chunk_seconds: float = 0.1,
        sample_rate: int | None = None,
    ) -> RecognitionStream:
        """Begins a stream; see `RecognitionStream` for the arguments."""
        return RecognitionStream(
            self, decoder=decoder, chunk_seconds=chunk_seconds, sample_rate=sample_rate
        )

    def step(
        self, samples: np.ndarray, num_samples: int, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `StreamingNetwork.step`."""
        log_probs, skip, num_frames, state = self._step(
            samples[np.newaxis], np.array([num_samples], np.int32), state[np.newaxis]
        )
        return log_probs.numpy()[0, int(skip[0]) : int(num_frames[0])], state.numpy()[0]

    def finish(self, state: np.ndarray) -> np.ndarray:
        """See `StreamingNetwork.finish`."""
        log_probs, skip = self._finish(state[np.newaxis])
        return log_probs.numpy()[0, int(skip[0]) :]
