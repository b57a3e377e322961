# SPDX-License-Identifier: Apache-2.0
"""Networks by name: the paper's, and small ones for a CPU.

The paper states the size of a network in parameters and not its width. The widths here are the
multiples of ten that come nearest to the size that a name or description states.
"""

from __future__ import annotations

import dataclasses

from ds2_tf.config import ConvolutionConfig, ModelConfig
from ds2_tf.errors import UserError

_ENGLISH_LABELS = 29
_MANDARIN_LABELS = 6001
_BINS = 161


@dataclasses.dataclass(frozen=True)
class Preset:
    """A network, and how many outputs it is meant to have.

    Attributes:
        summary: what it is, in a line.
        model: the network.
        num_labels: outputs, blank included.
    """

    summary: str
    model: ModelConfig
    num_labels: int = _ENGLISH_LABELS


def _one_dimensional(filters: int, kernels: tuple[int, ...], strides: tuple[int, ...]):
    """Convolutions over time alone: the first covers every bin, those above see channels only."""
    bins = (_BINS, *(1 for _ in kernels[1:]))
    return tuple(
        ConvolutionConfig(filters, (height, kernel), (height, stride))
        for height, kernel, stride in zip(bins, kernels, strides)
    )


def _two_dimensional(*filters: int):
    """Convolutions over time and frequency; the first alone reduces the rate in time."""
    return tuple(
        ConvolutionConfig(channels, (21 if index else 41, 11), (2, 1 if index else 2))
        for index, channels in enumerate(filters)
    )


# The front ends that the paper compares (Table 3), by number of layers and of dimensions.
FRONT_ENDS: dict[str, tuple[ConvolutionConfig, ...]] = {
    "1-layer-1d": _one_dimensional(1280, (11,), (2,)),
    "2-layer-1d": _one_dimensional(640, (5, 5), (1, 2)),
    "3-layer-1d": _one_dimensional(512, (5, 5, 5), (1, 1, 2)),
    "1-layer-2d": _two_dimensional(32),
    "2-layer-2d": _two_dimensional(32, 32),
    "3-layer-2d": _two_dimensional(32, 32, 96),
}

_SMALL_FRONT_END = (
    ConvolutionConfig(32, (21, 11), (2, 2)),
    ConvolutionConfig(32, (11, 7), (2, 2)),
)


def _paper(units: int, cell: str = "rnn", front_end: str = "2-layer-2d") -> ModelConfig:
    return ModelConfig(FRONT_ENDS[front_end], 7, units, cell)


_DEPLOYMENT = ModelConfig(
    FRONT_ENDS["2-layer-2d"], 5, 2560, bidirectional=False, lookahead_frames=19, causal=True
)

PRESETS: dict[str, Preset] = {
    "english-18m": Preset("English, 7 simple recurrent layers, 18 M parameters", _paper(780)),
    "english-38m": Preset("English, 7 simple recurrent layers, 38 M parameters", _paper(1150)),
    "english-70m": Preset("English, 7 simple recurrent layers, 70 M parameters", _paper(1590)),
    "english-100m": Preset("English, 7 simple recurrent layers, 100 M parameters", _paper(1910)),
    "english-gru-100m": Preset("English, 7 GRU layers, 100 M parameters", _paper(1080, "gru")),
    **{
        f"english-{name}": Preset(
            f"english-38m's recurrent layers on the {name} front end",
            _paper(1150, front_end=name),
        )
        for name in FRONT_ENDS
    },
    "mandarin": Preset(
        "Mandarin, 7 simple recurrent layers, 80 M parameters", _paper(1590), _MANDARIN_LABELS
    ),
    "english-deployment": Preset(
        "streaming: 5 forward GRU layers of 2560 and a row convolution", _DEPLOYMENT
    ),
    "mandarin-deployment": Preset(
        "streaming: 5 forward GRU layers of 2560 and a row convolution",
        _DEPLOYMENT,
        _MANDARIN_LABELS,
    ),
    "small": Preset(
        "for a CPU and a few hours of speech, such as AN4; an output every 40 ms",
        ModelConfig(_SMALL_FRONT_END, 3, 256, dropout=0.3),
    ),
    "small-streaming": Preset(
        "small, forward only, with 0.4 s of look-ahead",
        ModelConfig(
            _SMALL_FRONT_END,
            3,
            320,
            bidirectional=False,
            lookahead_frames=10,
            dropout=0.3,
            causal=True,
        ),
    ),
    "tiny": Preset(
        "for trying things out: minutes of training on a CPU",
        ModelConfig(
            tuple(dataclasses.replace(layer, filters=16) for layer in _SMALL_FRONT_END),
            2,
            192,
            dropout=0.2,
        ),
    ),
}


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        UserError: there is none of that name; the message lists those there are.
    """
    if name not in PRESETS:
        raise UserError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
