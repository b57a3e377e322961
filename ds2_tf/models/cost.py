# SPDX-License-Identifier: Apache-2.0
"""What a network costs and how far it hears, from its configuration alone.

Nothing is built, so that the largest network is described in no time and without TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.config import ConvolutionConfig, ModelConfig

# Blocks of units that are computed at every step, and tensors of state, of each cell.
_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
_STATES = {"rnn": 1, "gru": 1, "lstm": 2}
_FLOAT32_BYTES = 4


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One layer, for a batch.

    Attributes:
        name: as in the network.
        output_shape: [batch, frames, ...].
        parameters: trainable ones.
        multiply_adds: of the forward pass over the batch; a training step takes three times that.
        activation_bytes: what the forward pass of a training step keeps for its gradients, every
            intermediate result in float32.
    """

    name: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclasses.dataclass(frozen=True)
class NetworkCost:
    """A network on a batch of audio.

    An output frame stands for a stretch of `frame_milliseconds` of audio.

    Attributes:
        layers: from the spectrogram upwards, each with the normalization that belongs to it.
        batch_size: utterances.
        seconds: length of each.
        frame_milliseconds: audio between neighboring output frames.
        receptive_field_milliseconds: audio that an output frame hears; None for all of the past.
        lookahead_milliseconds: audio after the stretch of an output frame that must be known for
            it; None for all of the future.
    """

    layers: tuple[LayerCost, ...]
    batch_size: int
    seconds: float
    frame_milliseconds: float
    receptive_field_milliseconds: float | None
    lookahead_milliseconds: float | None

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of the forward pass over the batch."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Kept by the forward pass of a training step."""
        return sum(layer.activation_bytes for layer in self.layers)

    def to_dict(self) -> dict:
        """Plain types, with the totals."""
        return {
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "activation_bytes": self.activation_bytes,
            **dataclasses.asdict(self),
        }

    def text(self) -> str:
        """A table and what is to be said of the whole."""
        head = ("layer", "output shape", "parameters", "multiply-adds", "activations")
        rows = [
            (
                layer.name,
                " x ".join(map(str, layer.output_shape)),
                f"{layer.parameters:,}",
                f"{layer.multiply_adds / 1e9:,.3f} G",
                f"{layer.activation_bytes / 1e6:,.1f} MB",
            )
            for layer in self.layers
        ]
        total = (
            "total",
            "",
            f"{self.parameters:,}",
            f"{self.multiply_adds / 1e9:,.3f} G",
            f"{self.activation_bytes / 1e6:,.1f} MB",
        )
        table = [head, *rows, total]
        widths = [max(len(row[column]) for row in table) for column in range(len(head))]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 2 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths))
            ).rstrip()
            for row in table
        ]
        return "\n".join(
            [
                *lines,
                "",
                f"batch            {self.batch_size} x {self.seconds:g} s; multiply-adds of the "
                "forward pass, activations that training keeps, in float32",
                f"output frame     {self.frame_milliseconds:g} ms",
                f"receptive field  {self._reach(self.receptive_field_milliseconds)}",
                f"look-ahead       {self._reach(self.lookahead_milliseconds)}",
            ]
        )

    def _reach(self, milliseconds: float | None) -> str:
        if milliseconds is not None:
            return f"{milliseconds:g} ms"
        return "the whole utterance" if self.lookahead_milliseconds is None else "the whole past"


def network_cost(
    config: ModelConfig,
    num_labels: int,
    features: SpectrogramConfig = SpectrogramConfig(),
    *,
    batch_size: int = 1,
    seconds: float = 10.0,
) -> NetworkCost:
    """Computes what a network costs.

    Args:
        config: the network.
        num_labels: outputs, blank included.
        features: the spectrogram.
        batch_size: utterances in the batch. Defaults to 1.
        seconds: length of each. Defaults to 10.
    """
    frames = int(seconds * features.sample_rate) // features.hop_samples
    shape = (batch_size, frames, features.num_bins, 1)
    layers = []
    for index, convolution in enumerate(config.convolutions, start=1):
        layers.append(_convolution(f"convolution_{index}", convolution, shape))
        shape = layers[-1].output_shape
    shape = (*shape[:2], shape[2] * shape[3])
    for index in range(1, config.recurrent_layers + 1):
        layers.append(_recurrent(f"recurrent_{index}", config, shape))
        shape = layers[-1].output_shape
    if config.lookahead_frames:
        kernel = (config.lookahead_frames + 1) * shape[-1]
        layers.append(_layer("row_convolution", shape, kernel, kernel, shape[-1]))
    kernel = shape[-1] * num_labels
    shape = (*shape[:2], num_labels)
    layers.append(_layer("output", shape, kernel + num_labels, kernel, num_labels))

    hop, window = features.hop_seconds * 1000, features.window_seconds * 1000
    first, last = heard_frames(config)
    bounded = math.isfinite(first) and math.isfinite(last)
    lookahead = (last - (config.time_stride - 1)) * hop
    return NetworkCost(
        tuple(layers),
        batch_size,
        seconds,
        frame_milliseconds=config.time_stride * hop,
        receptive_field_milliseconds=(last - first) * hop + window if bounded else None,
        lookahead_milliseconds=lookahead if math.isfinite(last) else None,
    )


def heard_frames(config: ModelConfig) -> tuple[float, float]:
    """The spectrogram frames that take part in an output frame.

    Returns:
        First and last frame that output frame j hears, counted from frame j * time_stride, the
        first of the frames that it stands for; infinite where there is no limit.
    """
    first = last = 0
    stride = 1
    for convolution in config.convolutions:
        taps, step = convolution.kernel[1], convolution.stride[1]
        before = taps - step if config.causal else (taps - 1) // 2
        first -= before * stride
        last += (taps - 1 - before) * stride
        stride *= step
    last += config.lookahead_frames * stride
    if config.recurrent_layers:
        first = -math.inf
        if config.bidirectional:
            last = math.inf
    return first, last


def _layer(name, output_shape, parameters, frame_multiply_adds, frame_elements) -> LayerCost:
    frames = output_shape[0] * output_shape[1]
    return LayerCost(
        name,
        output_shape,
        parameters,
        frames * frame_multiply_adds,
        frames * frame_elements * _FLOAT32_BYTES,
    )


def _convolution(name, convolution: ConvolutionConfig, shape) -> LayerCost:
    batch, frames, bins, channels = shape
    height, taps = convolution.kernel
    kernel = taps * height * channels * convolution.filters
    bins = -(-bins // convolution.stride[0])
    frames = -(-frames // convolution.stride[1])
    elements = bins * convolution.filters
    return _layer(
        name,
        (batch, frames, bins, convolution.filters),
        kernel + 2 * convolution.filters,
        bins * kernel,
        # What the kernel gives, what the normalization makes of it, and the rectifier of that.
        3 * elements,
    )


def _recurrent(name, config: ModelConfig, shape) -> LayerCost:
    batch, frames, inputs = shape
    units = config.recurrent_units
    directions = 2 if config.bidirectional else 1
    width = directions * _GATES[config.cell] * units
    kernels = inputs * width + units * width
    return _layer(
        name,
        (batch, frames, units),
        kernels + 2 * width,
        kernels,
        # Input term, the same normalized, recurrent term; states; and the output.
        3 * width + directions * _STATES[config.cell] * units + units,
    )
