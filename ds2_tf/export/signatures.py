# SPDX-License-Identifier: Apache-2.0
"""The functions of the served model."""

from __future__ import annotations

import tensorflow as tf

from ds2_tf.audio.spectrogram import log_spectrogram
from ds2_tf.export.wav import decode_wav, resample
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, alphabet_of
from ds2_tf.streaming.network import StreamedNetwork
from ds2_tf.text.alphabet import BLANK


class ServedRecognizer(tf.Module):
    """A network between audio and text, in stock TensorFlow ops.

    Holds the raw variables and no Keras object: TensorFlow Serving's loader does not find the
    variables of Keras layers.

    Args:
        network: of compute policy float32.
        description: what it was trained on.

    Attributes:
        functions: by signature; those for streams if the network can hear them.
        state_size: of the state of a stream, or None.
    """

    def __init__(self, network: DeepSpeech2, description: ModelDescription):
        super().__init__()
        self.network_variables = [variable.value for variable in network.variables]
        functions, self.state_size = _signatures(network, description), None
        if description.model.can_stream:
            streamed = StreamedNetwork(network, description)
            functions |= _streaming_signatures(streamed)
            self.state_size = streamed.info.state_size
        self.functions = functions


def _signatures(network: DeepSpeech2, description: ModelDescription) -> dict:
    features = description.features
    labels = tf.constant(alphabet_of(description).labels)

    @_for_any_batch
    def log_probs(spectrogram, num_frames):
        # A loop over no frames at all fails: an empty request gets one frame of padding.
        missing = tf.cast(tf.equal(tf.shape(spectrogram)[1], 0), tf.int32)
        spectrogram = tf.pad(spectrogram, [[0, 0], [0, missing], [0, 0]])
        logits = network({"spectrogram": spectrogram, "num_frames": num_frames}, training=False)
        return tf.nn.log_softmax(logits), description.model.output_frames(num_frames)

    def recognize(samples, num_samples):
        # A request may claim more samples than it carries, and no frame may come of those.
        num_samples = tf.clip_by_value(num_samples, 0, tf.shape(samples)[1])
        return log_probs(*log_spectrogram(samples, num_samples, features))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "samples"),
            tf.TensorSpec([None], tf.int32, "num_samples"),
        ]
    )
    def serving_default(samples, num_samples):
        scores, frames = recognize(samples, num_samples)
        return {"log_probs": scores, "num_frames": frames}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")])
    def transcribe(wav):
        def read(item):
            samples, sample_rate = decode_wav(item)
            return resample(samples, sample_rate, features.sample_rate), sample_rate

        samples, sample_rate = tf.map_fn(
            read,
            wav,
            fn_output_signature=(
                tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0),
                tf.TensorSpec([], tf.int32),
            ),
        )
        num_samples = tf.cast(samples.row_lengths(), tf.int32)
        scores, frames = recognize(samples.to_tensor(), num_samples)
        text, score = greedy_text(scores, frames, labels)
        return {"text": text, "score": score, "num_frames": frames, "sample_rate": sample_rate}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def eval_examples(examples):
        parsed = tf.io.parse_example(
            examples,
            {
                "spectrogram": tf.io.FixedLenFeature([], tf.string),
                "num_frames": tf.io.FixedLenFeature([], tf.int64),
            },
        )
        num_frames = tf.cast(parsed["num_frames"], tf.int32)
        # The maximum of a batch of none is the least of all numbers.
        longest = tf.maximum(tf.reduce_max(num_frames), 1)
        # The padding kernel knows 16-bit integers and not 16-bit floats.
        bits = tf.io.decode_raw(
            parsed["spectrogram"], tf.uint16, fixed_length=longest * features.num_bins * 2
        )
        half = tf.reshape(tf.bitcast(bits, tf.float16), [-1, longest, features.num_bins])
        spectrogram = tf.cast(half, tf.float32)
        scores, frames = log_probs(spectrogram, num_frames)
        text, _ = greedy_text(scores, frames, labels)
        # The scores are for decoding with a language model, which no graph can do.
        return {"hypothesis": text[:, tf.newaxis], "log_probs": scores, "num_frames": frames}

    # What it takes to make text of log probabilities.
    model_info = _told_in_each_row(
        labels=alphabet_of(description).labels,
        sample_rate=features.sample_rate,
        frame_samples=features.hop_samples * description.model.time_stride,
    )
    return {
        "serving_default": serving_default,
        "transcribe": transcribe,
        "eval_examples": eval_examples,
        "model_info": model_info,
    }


def _streaming_signatures(streamed: StreamedNetwork) -> dict:
    info = streamed.info
    state_spec = tf.TensorSpec([None, info.state_size], tf.float32, "state")
    step, finish = _for_any_batch(streamed.step), _for_any_batch(streamed.finish)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float32, "samples"),
            tf.TensorSpec([None], tf.int32, "num_samples"),
            state_spec,
        ]
    )
    def stream_step(samples, num_samples, state):
        log_probs, skip, num_frames, next_state = step(samples, num_samples, state)
        return {
            "log_probs": log_probs,
            "skip": skip,
            "num_frames": num_frames,
            "next_state": next_state,
        }

    @tf.function(input_signature=[state_spec])
    def stream_finish(state):
        log_probs, skip = finish(state)
        return {"log_probs": log_probs, "skip": skip}

    # What a client needs besides the log probabilities.
    stream_info = _told_in_each_row(
        labels=info.alphabet.labels,
        sample_rate=info.sample_rate,
        frame_samples=info.frame_samples,
        lookahead_frames=info.lookahead_frames,
    )
    return {
        "stream_step": stream_step,
        "stream_finish": stream_finish,
        "stream_info": stream_info,
    }


def _told_in_each_row(**values):
    """A signature that answers each row of a query, int32 [batch], with the same values."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "query")])
    def told(query):
        def in_each_row(value):
            value = tf.constant(value)
            return tf.tile(value[tf.newaxis], [tf.size(query)] + [1] * len(value.shape))

        return {name: in_each_row(value) for name, value in values.items()}

    return told


def _for_any_batch(function):
    """Gives a function of batched tensors a row of zeros where it is called with none.

    For an empty batch, TensorFlow 2.16's convolution on CPUs gives the shape of its input.
    """

    def call(*inputs):
        rows = tf.shape(inputs[0])[0]
        missing = tf.cast(tf.equal(rows, 0), tf.int32)
        inputs = [tf.pad(x, [[0, missing]] + [[0, 0]] * (len(x.shape) - 1)) for x in inputs]
        return [output[:rows] for output in function(*inputs)]

    return call


def greedy_text(log_probs, num_frames, labels):
    """Greedy decoding inside a graph.

    Args:
        log_probs: float32 [batch, frames, labels].
        num_frames: int32 [batch], valid frames.
        labels: string [labels], the blank first.

    Returns:
        A pair: string [batch], and the log probability (natural) of the best alignment, float32
        [batch].
    """
    best = tf.argmax(log_probs, axis=-1, output_type=tf.int32)
    valid = tf.sequence_mask(num_frames, tf.shape(best)[1])
    previous = tf.pad(best[:, :-1], [[0, 0], [1, 0]], constant_values=BLANK)
    emitted = tf.ragged.boolean_mask(best, valid & (best != BLANK) & (best != previous))
    text = tf.strings.reduce_join(tf.gather(labels, emitted), axis=1)
    score = tf.reduce_sum(tf.where(valid, tf.reduce_max(log_probs, axis=-1), 0.0), axis=1)
    return text, score
