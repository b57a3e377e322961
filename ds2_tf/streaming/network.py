# SPDX-License-Identifier: Apache-2.0
"""The network in steps: audio and a state in, log probabilities and the next state out.

The state of a stream is one vector, so that a server, which keeps nothing of a stream, can batch
steps of different streams: it comes with each chunk and goes back with the answer.
"""

from __future__ import annotations

import math

import tensorflow as tf

from ds2_tf import layers
from ds2_tf.config import ModelConfig
from ds2_tf.errors import UserError
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, alphabet_of
from ds2_tf.streaming.layers import (
    StreamedConvolution,
    StreamedRecurrence,
    StreamedRowConvolution,
    StreamedSpectrogram,
)
from ds2_tf.streaming.results import StreamInfo


class StreamedNetwork:
    """A forward, causal network from samples to log probabilities, chunk by chunk.

    What comes out, frame by frame, is what the network gives for the whole utterance, to rounding:
    for chunks of any length, also of none, and whatever the other rows of a batch are.

    Args:
        network: of compute policy float32.
        description: what it was trained on.

    Raises:
        UserError: the network does not run forward alone.

    Attributes:
        info: see `StreamInfo`.
    """

    def __init__(self, network: DeepSpeech2, description: ModelDescription):
        require_streaming(description.model)
        self._normalization = network.feature_normalization
        self._spectrogram = StreamedSpectrogram(description.features)
        self._stack = list(_in_steps(network))
        self._state_shapes = [self._spectrogram.state_shapes] + [
            layer.state_shapes for layer in self._stack if hasattr(layer, "state_shapes")
        ]
        self._num_bins = network.num_bins
        self.info = StreamInfo(
            alphabet_of(description),
            description.features.sample_rate,
            description.features.hop_samples * description.model.time_stride,
            description.model.lookahead_frames,
            sum(math.prod(shape) for shapes in self._state_shapes for shape in shapes),
        )

    def step(self, samples, num_samples, state):
        """Hears a chunk.

        Args:
            samples: float32 [batch, chunk].
            num_samples: int32 [batch], the valid samples of each row, the first.
            state: float32 [batch, info.state_size]; zeros for a row whose stream begins.

        Returns:
            A quadruple: log probabilities, float32 [batch, frames, labels]; `skip` and
            `num_frames`, int32 [batch], where the frames from `skip` to `num_frames` of a row are
            the next of its stream; and the next state.
        """
        # A loop over no frames at all fails: a chunk of nothing gets a sample of padding.
        num_samples = tf.clip_by_value(num_samples, 0, tf.shape(samples)[1])
        samples = tf.where(tf.sequence_mask(num_samples, tf.shape(samples)[1]), samples, 0.0)
        samples = tf.pad(samples, [[0, 0], [0, tf.cast(tf.shape(samples)[1] == 0, tf.int32)]])
        own, *states = self._unpack(state)
        x, _, count, own = self._spectrogram.push(samples, num_samples, own)
        log_probs, skip, count, states = self._hear(x, count, states, last=False)
        return log_probs, skip, count, _pack([own, *states])

    def finish(self, state):
        """Ends streams.

        Args:
            state: float32 [batch, info.state_size].

        Returns:
            A pair: log probabilities, float32 [batch, frames, labels], and `skip`, int32 [batch]:
            the frames from there to the end of a row are the last of its stream.
        """
        _, *states = self._unpack(state)
        batch = tf.shape(state)[0]
        nothing = tf.zeros([batch, 1, self._num_bins])
        log_probs, skip, count, _ = self._hear(
            nothing, tf.zeros([batch], tf.int32), states, last=True
        )
        return log_probs, tf.where(skip < count, skip, tf.shape(log_probs)[1])

    def _hear(self, x, count, states, last: bool):
        """From spectrogram to log probabilities, and the next states."""
        x = self._normalization([x, count])
        states, next_states = iter(states), []
        skip = tf.zeros_like(count)
        for layer in self._stack:
            if hasattr(layer, "state_shapes"):
                x, skip, count, state = layer.push(x, count, next(states), last)
                next_states.append(state)
            else:
                x = layer(x)
        return tf.nn.log_softmax(x), skip, count, next_states

    def _unpack(self, state):
        """The states of the layers, a list of tensors [batch, ...] each."""
        batch, start, unpacked = tf.shape(state)[0], 0, []
        for shapes in self._state_shapes:
            parts = []
            for shape in shapes:
                size = math.prod(shape)
                parts.append(tf.reshape(state[:, start : start + size], [batch, *shape]))
                start += size
            unpacked.append(parts)
        return unpacked


def _pack(states):
    parts = [part for state in states for part in state]
    batch = tf.shape(parts[0])[0]
    return tf.concat([tf.reshape(x, [batch, math.prod(x.shape[1:])]) for x in parts], axis=1)


def _in_steps(network: DeepSpeech2):
    """The layers above the normalization: those that remember, in steps, and all others."""
    shape = (None, None, network.num_bins)
    for layer in network.stack:
        if isinstance(layer, layers.SequenceConvolution):
            yield StreamedConvolution(layer, shape[2:])
        elif isinstance(layer, layers.Recurrent):
            yield StreamedRecurrence(layer)
        elif isinstance(layer, layers.RowConvolution):
            yield StreamedRowConvolution(layer, shape[-1])
        elif not isinstance(layer, layers.PaddingToBlank):
            yield layer
        shape = layer.compute_output_shape(shape)


def require_streaming(config: ModelConfig) -> None:
    """Checks that a network can hear streams.

    Raises:
        UserError: it sees the whole future.
    """
    if not config.can_stream:
        raise UserError(
            "This network needs the whole utterance: only one that runs forward with causal "
            f"convolutions can hear streams (bidirectional is {str(config.bidirectional).lower()}, "
            f"causal is {str(config.causal).lower()}). Train one, such as small-streaming."
        )
