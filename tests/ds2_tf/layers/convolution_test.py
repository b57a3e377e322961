# SPDX-License-Identifier: Apache-2.0
"""SequenceConvolution against a loop over frames, bins and taps."""

import keras
import numpy as np
import pytest

from ds2_tf.layers import SequenceConvolution


def reference(x, kernel, strides, causal):
    """Convolution of one utterance in float64: [frames, bins, channels] -> [.., .., filters]."""
    taps, heights, _, filters = kernel.shape
    frequency_stride, time_stride = strides
    first_tap = time_stride - taps if causal else -((taps - 1) // 2)
    frames, bins, _ = x.shape
    output = np.zeros((-(-frames // time_stride), -(-bins // frequency_stride), filters))
    overhang = (output.shape[1] - 1) * frequency_stride + heights - bins
    first_height = -(max(overhang, 0) // 2)
    for t in range(output.shape[0]):
        for f in range(output.shape[1]):
            for i in range(taps):
                for j in range(heights):
                    frame = t * time_stride + first_tap + i
                    bin_ = f * frequency_stride + first_height + j
                    if 0 <= frame < frames and 0 <= bin_ < bins:
                        output[t, f] += x[frame, bin_] @ kernel[i, j]
    return output


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "kernel_size, strides",
    [
        ((3, 5), (1, 1)),
        ((5, 4), (2, 2)),
        ((4, 11), (2, 3)),
        ((7, 2), (7, 2)),
        ((1, 1), (1, 1)),
        ((15, 3), (2, 1)),  # turned on its side
    ],
)
def test_equals_a_loop(kernel_size, strides, causal):
    generator = np.random.default_rng(0)
    layer = SequenceConvolution(3, kernel_size, strides, causal=causal)
    lengths = np.array([13, 7, 1])
    x = generator.standard_normal((3, 13, 7, 2)).astype(np.float32)
    mask = np.arange(13) < lengths[:, None]
    output = layer(x, mask=mask).numpy()
    kernel = layer.kernel.numpy().astype(np.float64)
    assert output.shape == layer.compute_output_shape(x.shape)
    for row, length in enumerate(lengths):
        expected = reference(x[row, :length].astype(np.float64), kernel, strides, causal)
        np.testing.assert_allclose(output[row, : len(expected)], expected, atol=1e-5)
        assert not output[row, len(expected) :].any()


@pytest.mark.parametrize("height, stride", [(5, 2), (4, 3), (8, 8), (3, 1)])
def test_frequency_is_padded_as_by_keras(height, stride):
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 2)).astype(np.float32)
    layer = SequenceConvolution(3, (height, 1), (stride, 1))
    stock = keras.layers.Conv2D(3, (1, height), (1, stride), padding="same", use_bias=False)
    output, _ = layer(x), stock(x)
    stock.set_weights(layer.get_weights())
    np.testing.assert_allclose(output, stock(x), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_mask_has_the_length_of_the_output(stride):
    layer = SequenceConvolution(1, (1, 4), (1, stride))
    for frames in range(1, 14):
        mask = np.arange(frames) < np.arange(1, frames + 1)[:, None]
        new_mask = np.asarray(layer.compute_mask(None, mask))
        assert new_mask.sum(1).tolist() == [-(-length // stride) for length in mask.sum(1)]


def test_one_dimensional_convolution_covers_all_bins():
    """A 1-D convolution of the paper: a kernel as high as the spectrogram, used once."""
    layer = SequenceConvolution(4, (161, 3), (161, 2))
    x = np.random.default_rng(1).standard_normal((2, 9, 161, 1)).astype(np.float32)
    output = layer(x).numpy()
    assert output.shape == (2, 5, 1, 4)
    padded = np.pad(x[..., 0], ((0, 0), (1, 1), (0, 0)))
    expected = [
        np.einsum("btf,tfo->bo", padded[:, 2 * t : 2 * t + 3], layer.kernel.numpy()[:, :, 0])
        for t in range(5)
    ]
    np.testing.assert_allclose(output[:, :, 0], np.stack(expected, 1), atol=1e-4)


def test_a_stride_that_skips_input_is_refused():
    with pytest.raises(ValueError, match=r"kernel_size \(3, 2\) and strides \(1, 3\)"):
        SequenceConvolution(1, (3, 2), (1, 3))
