# SPDX-License-Identifier: Apache-2.0
"""Costs and reach against the network itself, hand counts, and changes of the input."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.config import ConvolutionConfig, ModelConfig
from ds2_tf.models.cost import heard_frames, network_cost
from ds2_tf.models.deep_speech_2 import DeepSpeech2

CENTERED = ModelConfig(
    convolutions=(ConvolutionConfig(3, (11, 5), (4, 2)), ConvolutionConfig(2, (7, 4), (4, 2))),
    recurrent_layers=2,
    recurrent_units=6,
)
STREAMING = dataclasses.replace(CENTERED, bidirectional=False, lookahead_frames=3, causal=True)
ONE_DIMENSIONAL = dataclasses.replace(
    CENTERED,
    convolutions=(ConvolutionConfig(5, (161, 3), (161, 1)), ConvolutionConfig(5, (1, 6), (1, 2))),
)
CONFIGURATIONS = {"centered": CENTERED, "streaming": STREAMING, "1-D": ONE_DIMENSIONAL}


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_parameters_and_shapes_are_those_of_the_network(name, cell):
    config = dataclasses.replace(CONFIGURATIONS[name], cell=cell)
    network = DeepSpeech2(config, 7)
    cost = network_cost(config, 7, batch_size=2, seconds=0.331)
    shapes, parameters = {}, {}
    x = network.feature_normalization([tf.zeros((2, 33, 161)), tf.constant([33, 20])])
    for layer in network.stack:
        x = layer(x)
        # The normalization of a convolution is counted with it.
        name = layer.name.removesuffix("_normalization")
        shapes[name] = tuple(x.shape)
        count = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        parameters[name] = parameters.get(name, 0) + count
    assert {layer.name: layer.output_shape for layer in cost.layers} == {
        layer.name: shapes[layer.name] for layer in cost.layers
    }
    assert {layer.name: layer.parameters for layer in cost.layers} == {
        name: count for name, count in parameters.items() if count
    }
    assert cost.parameters == sum(math.prod(w.shape) for w in network.trainable_weights)


def test_multiply_adds_and_activations_by_hand():
    """One second, batch of 2: 100 frames -> 50 -> 25; 161 bins -> 41 -> 11."""
    cost = {
        layer.name: layer for layer in network_cost(CENTERED, 7, batch_size=2, seconds=1).layers
    }
    assert cost["convolution_1"].multiply_adds == 2 * 50 * 41 * 3 * (11 * 5)
    assert cost["convolution_2"].multiply_adds == 2 * 25 * 11 * 2 * (7 * 4 * 3)
    assert cost["recurrent_1"].multiply_adds == 2 * 25 * 2 * (22 + 6) * 18
    assert cost["recurrent_2"].multiply_adds == 2 * 25 * 2 * (6 + 6) * 18
    assert cost["output"].multiply_adds == 2 * 25 * 6 * 7
    # Kernel's result, normalized, rectified.
    assert cost["convolution_1"].activation_bytes == 4 * 3 * (2 * 50 * 41 * 3)
    # Three tensors of 2 directions x 3 gates x 6 units, 2 states and the sum.
    assert cost["recurrent_1"].activation_bytes == 4 * 2 * 25 * (3 * 36 + 2 * 6 + 6)
    (row,) = [c for c in network_cost(STREAMING, 7, seconds=1).layers if "row" in c.name]
    assert row.multiply_adds == 25 * (3 + 1) * 6


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "convolutions",
    [
        [((11, 5), (8, 2))],
        [((11, 4), (8, 3)), ((7, 5), (7, 1))],
        [((161, 6), (161, 2)), ((1, 3), (1, 2)), ((1, 2), (1, 1))],
    ],
    ids=len,
)
def test_receptive_field_by_changing_the_input(convolutions, causal, make_network):
    """Without recurrence: every frame in it changes the output, and no other."""
    config = ModelConfig(
        tuple(ConvolutionConfig(3, kernel, stride) for kernel, stride in convolutions),
        recurrent_layers=0,
        recurrent_units=1,
        bidirectional=False,
        causal=causal,
    )
    network = make_network(config)
    for weight in network.trainable_weights:
        # Nothing cancels, and every rectifier stands in the middle of its range.
        if "convolution" in weight.path:
            fixed = {"beta": 10.0, "gamma": 1.0}.get(weight.name)
            value = np.abs(weight.numpy()) * 0.02
            weight.assign(value if fixed is None else np.full_like(value, fixed))
    changed = frames_that_change(network, 64, output := 9)
    first, last = heard_frames(config)
    start = output * config.time_stride
    assert changed == list(range(start + first, start + last + 1))
    cost = network_cost(config, 29)
    assert cost.receptive_field_milliseconds == pytest.approx(10 * (len(changed) - 1) + 20)
    stretch_end = start + config.time_stride - 1
    assert cost.lookahead_milliseconds == pytest.approx(10 * (changed[-1] - stretch_end))


@pytest.mark.parametrize("causal", [False, True])
def test_look_ahead_of_a_forward_network_by_changing_the_input(causal, make_network):
    config = dataclasses.replace(STREAMING, causal=causal)
    changed = frames_that_change(make_network(config), 60, output := 4)
    first, last = heard_frames(config)
    assert first == -math.inf and changed[0] == 0
    assert changed[-1] == output * 4 + last
    cost = network_cost(config, 29)
    assert cost.receptive_field_milliseconds is None
    assert cost.lookahead_milliseconds == pytest.approx(10 * (changed[-1] - (output * 4 + 3)))


def frames_that_change(network, frames, output):
    """The input frames on which an output frame depends, by changing one after the other."""
    generator = np.random.default_rng(0)
    x = generator.normal(-6.0, 2.0, (1, frames, 161)).astype(np.float32)
    batch = np.repeat(x, 2 * frames, axis=0)
    for frame in range(frames):
        # Up and down: the rectifiers may pass over one of them.
        batch[2 * frame, frame] += 6.0
        batch[2 * frame + 1, frame] -= 6.0

    def run(spectrogram):
        lengths = tf.fill([len(spectrogram)], frames)
        return network({"spectrogram": spectrogram, "num_frames": lengths}).numpy()[:, output]

    difference = np.abs(run(batch) - run(np.repeat(x, 2 * frames, axis=0))).max(-1)
    return np.flatnonzero(difference.reshape(frames, 2).max(1)).tolist()


def test_a_bidirectional_network_has_no_bounds():
    cost = network_cost(CENTERED, 29)
    assert cost.receptive_field_milliseconds is None and cost.lookahead_milliseconds is None


def test_features_set_frames_and_times():
    features = SpectrogramConfig(sample_rate=8000, window_seconds=0.032, hop_seconds=0.008)
    config = dataclasses.replace(STREAMING, recurrent_layers=0)
    cost = network_cost(config, 29, features, seconds=0.8)
    assert cost.layers[0].output_shape == (1, 50, 33, 3)
    assert cost.frame_milliseconds == pytest.approx(32.0)
    assert cost.lookahead_milliseconds == pytest.approx(3 * 32.0)


def test_text_and_dictionary_say_the_totals():
    cost = network_cost(STREAMING, 29, batch_size=2, seconds=1.5)
    content = cost.to_dict()
    assert content["parameters"] == sum(layer["parameters"] for layer in content["layers"])
    assert content["multiply_adds"] == sum(layer["multiply_adds"] for layer in content["layers"])
    assert content["activation_bytes"] == cost.activation_bytes
    text = cost.text()
    assert f"{cost.parameters:,}" in text and "2 x 1.5 s" in text
    assert "look-ahead       120 ms" in text
    assert "receptive field  the whole past" in text
    assert "receptive field  the whole utterance" in network_cost(CENTERED, 29).text()
