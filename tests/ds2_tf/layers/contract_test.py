# SPDX-License-Identifier: Apache-2.0
"""What every layer promises: no padding seen, masks passed on, configuration and precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ds2_tf import layers

FRAMES = 12
LENGTHS = np.array([12, 7, 1], np.int32)

LAYERS = {
    "convolution": (lambda **k: layers.SequenceConvolution(3, (3, 4), (2, 3), **k), (6, 2)),
    "causal convolution": (
        lambda **k: layers.SequenceConvolution(3, (3, 5), (1, 2), causal=True, **k),
        (6, 2),
    ),
    "normalization": (lambda **k: layers.SequenceBatchNormalization(0.9, 0.01, **k), (5,)),
    "rnn": (lambda **k: layers.Recurrent(4, "rnn", **k), (5,)),
    "gru": (lambda **k: layers.Recurrent(4, "gru", **k), (5,)),
    "lstm forward": (lambda **k: layers.Recurrent(4, "lstm", bidirectional=False, **k), (5,)),
    "row convolution": (lambda **k: layers.RowConvolution(3, **k), (5,)),
}
EVERY_LAYER = pytest.mark.parametrize("name", LAYERS)


def make(name, **kwargs):
    """A built layer with random weights, and an input with NaN and infinity in its padding."""
    generator = np.random.default_rng(0)
    make_layer, shape = LAYERS[name]
    layer = make_layer(**kwargs)
    layer.build((None, None, *shape))
    for weight in layer.weights:
        weight.assign(generator.uniform(0.2, 0.9, weight.shape))
    x = generator.standard_normal((3, FRAMES, *shape)).astype(np.float32)
    x[1, 7:], x[2, 1:] = np.nan, np.inf
    return layer, x


def mask_of(lengths, frames):
    return tf.sequence_mask(lengths, frames)


@EVERY_LAYER
def test_result_is_the_same_alone_and_in_a_batch(name):
    layer, x = make(name)
    mask = mask_of(LENGTHS, FRAMES)
    together = layer(x, mask=mask).numpy()
    new_mask = np.asarray(layer.compute_mask(x, mask))
    for row, length in enumerate(LENGTHS):
        alone = layer(x[row : row + 1, :length]).numpy()[0]
        np.testing.assert_allclose(together[row, new_mask[row]], alone, atol=1e-5)


@EVERY_LAYER
def test_padding_takes_no_part_in_training(name):
    layer, x = make(name)
    mask = mask_of(LENGTHS, FRAMES)
    clean = np.where(mask.numpy().reshape(3, FRAMES, *[1] * (x.ndim - 2)), x, 0.0)
    start = layer.get_weights()
    results = []
    for inputs in (clean.astype(np.float32), x):
        layer.set_weights(start)
        output = layer(inputs, training=True, mask=mask).numpy()
        valid = np.asarray(layer.compute_mask(x, mask))
        results.append([output[valid], *layer.get_weights()])
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


@EVERY_LAYER
def test_mask_is_passed_on(name):
    layer, x = make(name)
    masked = keras.layers.Masking(np.nan)(x)  # NaN equals nothing: all valid
    masked._keras_mask = mask_of(LENGTHS, FRAMES)
    output = layer(masked)
    stride = -(-FRAMES // output.shape[1])
    expected = mask_of(-(-LENGTHS // stride), output.shape[1])
    np.testing.assert_array_equal(output._keras_mask, expected)


@EVERY_LAYER
def test_survives_its_configuration(name):
    layer, x = make(name)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x[:1]), layer(x[:1]))


@EVERY_LAYER
@pytest.mark.parametrize("policy, tolerance", [("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)])
def test_half_precision_is_near_full_precision(name, policy, tolerance):
    layer, x = make(name)
    half, _ = make(name, dtype=policy)
    mask = mask_of(LENGTHS, FRAMES)
    x = np.where(np.isfinite(x), x, 0.0).astype(np.float32)
    output = half(x, training=True, mask=mask)
    assert output.dtype == policy.removeprefix("mixed_")
    assert all(weight.dtype == "float32" for weight in half.weights)
    exact = layer(x, training=True, mask=mask).numpy()
    valid = np.asarray(layer.compute_mask(x, mask))
    scale = np.abs(exact[valid]).max()
    error = np.abs(np.asarray(output, np.float32)[valid] - exact[valid]).max()
    assert error < tolerance * scale


@EVERY_LAYER
def test_says_the_shape_that_it_gives(name):
    layer, x = make(name)
    assert layer.compute_output_shape(x.shape) == tuple(layer(x).shape)
    symbolic = layer(keras.Input((None, *x.shape[2:])))
    assert symbolic.shape[1] is None and symbolic.shape[2:] == tuple(layer(x).shape[2:])
