# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that defines a recogniser and its training, as dataclasses <-> YAML."""

from __future__ import annotations

import dataclasses
import math

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.errors import UserError
from ds2_tf.plain_types import from_dict as from_dict
from ds2_tf.plain_types import to_dict as to_dict
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.value_checks import (
    InvalidValue,
    require,
    require_numbers,
    require_one_of,
    require_range,
    shown,
)

CELLS = ("gru", "lstm", "rnn")
OPTIMIZERS = ("adamw", "sgd")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# What NumPy, Keras and TensorFlow all take.
_MAX_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class ConvolutionConfig:
    """One convolution of the front end.

    Attributes:
        filters: number of output channels.
        kernel: size in [frequency bins, frames], the paper's order. A 1-D convolution, over time
            alone, covers every bin that there is, with that number as its stride too.
        stride: step in [frequency bins, frames].
    """

    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)

    def __post_init__(self):
        require_numbers(self, "filters", least=1)
        for size, step in zip(self.kernel, self.stride):
            if not size >= step >= 1:
                raise InvalidValue(
                    "kernel",
                    f"{list(self.kernel)} must be at least as large as the stride "
                    f"{list(self.stride)}, and that at least 1, in [frequency bins, frames].",
                )


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network (Section 3): convolutions, recurrent layers, one output layer.

    Attributes:
        convolutions: the front end, from the spectrogram upwards.
        cell: recurrent layer, "gru", "lstm" or "rnn" (clipped ReLU). Defaults to "gru".
        recurrent_layers: number of recurrent layers.
        recurrent_units: units of each recurrent layer and direction.
        bidirectional: also run backwards in time, the directions summed. Defaults to true.
        lookahead_frames: future frames seen by the row convolution above unidirectional layers,
            at the network's output rate; 0 leaves it out. Defaults to 0.
        dropout: share of the inputs of each recurrent layer and of the output layer that are
            dropped in training. Defaults to 0.
        causal: convolutions see only the past, for streaming. Defaults to false.
    """

    convolutions: tuple[ConvolutionConfig, ...]
    recurrent_layers: int
    recurrent_units: int
    cell: str = "gru"
    bidirectional: bool = True
    lookahead_frames: int = 0
    dropout: float = 0.0
    causal: bool = False

    def __post_init__(self):
        require_one_of(self, CELLS, "cell")
        require_numbers(self, "recurrent_layers", "lookahead_frames", least=0)
        require_numbers(self, "recurrent_units", least=1)
        require_numbers(self, "dropout", least=0, under=1)
        if self.bidirectional and (self.lookahead_frames or self.causal):
            raise UserError(
                "A bidirectional model sees the whole future: set bidirectional to false, or "
                f"lookahead_frames to 0 (got {self.lookahead_frames}) and causal to false "
                f"(got {str(self.causal).lower()})."
            )

    @property
    def can_stream(self) -> bool:
        """Whether an output frame is known a fixed time after its audio, whatever comes later."""
        return self.causal and not self.bidirectional

    @property
    def time_stride(self) -> int:
        """Spectrogram frames per output frame."""
        stride = 1
        for convolution in self.convolutions:
            stride *= convolution.stride[1]
        return stride

    def output_frames(self, num_frames):
        """Output frames of `num_frames` spectrogram frames (an integer, array or tensor)."""
        for convolution in self.convolutions:
            num_frames = -(-num_frames // convolution.stride[1])
        return num_frames


@dataclasses.dataclass(frozen=True)
class AudioAugmentationConfig:
    """Changes made to training recordings on the fly; see `ds2_tf.audio.augmentation`.

    Works on recordings, and so only where training reads them (`ds2 train --manifest`).

    Attributes:
        speed: range of the factor by which a recording is played faster. One that becomes too
            short for its transcript is left out of that epoch, and named. Defaults to [1, 1].
        volume_db: range of the gain. Defaults to [0, 0].
        shift_seconds: most by which a recording begins later or earlier. Defaults to 0.
        noise_share: share of utterances to which noise is added; the paper's is 0.4 (Section 5.3).
            Defaults to 0.
        noise_snr_db: range of the signal-to-noise ratio. Defaults to [10, 30].
        noise_directory: recordings of noise, in this directory and those in it; a recipe names it
            from its own folder. It takes a noise_share over 0. Defaults to none: noise from white
            to brown is made.
    """

    speed: tuple[float, float] = (1.0, 1.0)
    volume_db: tuple[float, float] = (0.0, 0.0)
    shift_seconds: float = 0.0
    noise_share: float = 0.0
    noise_snr_db: tuple[float, float] = (10.0, 30.0)
    noise_directory: str | None = None

    def __post_init__(self):
        require_range(self, "speed", over=0)
        require_range(self, "volume_db")
        require_numbers(self, "shift_seconds", least=0)
        require_numbers(self, "noise_share", least=0, most=1)
        require_range(self, "noise_snr_db")
        require(self.noise_directory != "", "noise_directory", "a path", self.noise_directory)
        if self.noise_directory is not None and not self.noise_share:
            raise InvalidValue(
                "noise_directory",
                f"is {self.noise_directory!r}, of which nothing would be used, since noise_share "
                "is 0 (the default): set noise_share (the paper's is 0.4), or leave out "
                "noise_directory.",
            )


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Changes made to training utterances on the fly, each off by default.

    Attributes:
        first_epoch: changes begin with this epoch, counted from 1. From utterances as they are, a
            network learns sooner to give anything but blanks. Defaults to 1.
        audio: changes of the recording.
        frequency_warp: range of the factor by which all frequencies rise, as from a shorter vocal
            tract (VTLP, Jaitly and Hinton 2013). Defaults to [1, 1].
        frequency_masks: number of bands set to the mean of the corpus (SpecAugment, arXiv
            1904.08779). Defaults to 0.
        frequency_mask_bins: largest width of a band, in bins. Defaults to 20, or all where the
            features have fewer.
        time_masks: number of stretches of time set to the mean. Defaults to 0.
        time_mask_share: largest length of a stretch, as a share of the utterance. Defaults to 0.05.
    """

    first_epoch: int = 1
    audio: AudioAugmentationConfig = AudioAugmentationConfig()
    frequency_warp: tuple[float, float] = (1.0, 1.0)
    frequency_masks: int = 0
    frequency_mask_bins: int = 20
    time_masks: int = 0
    time_mask_share: float = 0.05

    def __post_init__(self):
        require_numbers(self, "first_epoch", least=1)
        require_range(self, "frequency_warp", over=0)
        require_numbers(self, "frequency_masks", "frequency_mask_bins", "time_masks", least=0)
        require_numbers(self, "time_mask_share", least=0, most=1)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained (Section 3.7 of the paper, with Adam for small corpora).

    Attributes:
        epochs: passes over the training split.
        batch_frames: spectrogram frames in a batch, padding included; bounds the memory of a step.
        max_batch_size: most utterances in a batch. Defaults to 64.
        max_frames: longer utterances are left out of training and counted. Defaults to 3000.
        optimizer: "adamw" or "sgd" (Nesterov momentum 0.99). Defaults to "adamw".
        learning_rate: peak rate. Defaults to 1e-3.
        warmup_steps: steps over which the rate rises in equal parts: the first has 1/warmup_steps
            of it, the last all. Defaults to 100.
        annealing: the rate is divided by this after every epoch (the paper: 1.2); 0 chooses a
            cosine, sampled where an epoch begins: epoch n of N, counted from 0, has
            (1 + cos(pi n / N)) / 2 of the peak, so that the last is low but over 0. Within an epoch
            the rate is constant. Defaults to 0.
        weight_decay: AdamW's decoupled decay. Defaults to 1e-4.
        clip_norm: largest norm of the whole gradient. Defaults to 5.
        accumulate_batches: the weights change once for so many batches, as by one batch of all
            their utterances (normalization apart); the last of an epoch may be fewer. For large
            batches in little memory. Defaults to 1.
        average_decay: a moving average of the weights is kept, which retains this share of itself
            at each step (such as 0.999), validated too, and kept where it is better. Defaults to
            0: none.
        patience: training ends after so many epochs without a better dev word error rate. Defaults
            to 0: never before the last.
        keep_last: the weights of the last epoch are kept, whatever their dev word error rate: for a
            training on all there is, which leaves nothing to choose an epoch by. Defaults to false.
        sortagrad: the first epoch runs from short to long utterances. Defaults to true.
        shuffle_buffer: records held to shuffle from, in later epochs. Defaults to 2048.
        precision: "float32", "mixed_bfloat16" or "mixed_float16". Defaults to "float32".
        checkpoint_seconds: pause between checkpoints to resume from. Defaults to 60.
        seed: of weights, order, dropout and augmentation, from 0 to 2**32 - 1. Defaults to 1.
        augmentation: see `AugmentationConfig`. Defaults to none.
    """

    epochs: int
    batch_frames: int
    max_batch_size: int = 64
    max_frames: int = 3000
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    annealing: float = 0.0
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    accumulate_batches: int = 1
    average_decay: float = 0.0
    patience: int = 0
    keep_last: bool = False
    sortagrad: bool = True
    shuffle_buffer: int = 2048
    precision: str = "float32"
    checkpoint_seconds: float = 60.0
    seed: int = 1
    augmentation: AugmentationConfig = AugmentationConfig()

    def __post_init__(self):
        require_one_of(self, OPTIMIZERS, "optimizer")
        require_one_of(self, PRECISIONS, "precision")
        at_least_one = ("epochs", "batch_frames", "max_batch_size", "max_frames", "shuffle_buffer")
        require_numbers(self, *at_least_one, "accumulate_batches", least=1)
        require_numbers(self, "learning_rate", "clip_norm", over=0)
        require_numbers(self, "warmup_steps", "weight_decay", "patience", least=0)
        require_numbers(self, "checkpoint_seconds", least=0, finite=False)
        require_numbers(self, "average_decay", least=0, under=1)
        require_numbers(self, "seed", least=0, most=_MAX_SEED)
        require(
            self.annealing == 0 or 1 <= self.annealing < math.inf,
            "annealing",
            "0 (cosine) or a finite number of at least 1 (a divisor)",
            self.annealing,
        )
        if self.keep_last and self.patience:
            raise InvalidValue(
                "patience",
                f"({self.patience}) waits for a better dev word error rate, which keep_last does "
                "not go by: give one of them.",
            )
        if self.max_frames > self.batch_frames:
            default = ", the default" * (self.max_frames == TrainingConfig.max_frames)
            raise InvalidValue(
                "max_frames",
                f"({self.max_frames}{default}) must not exceed batch_frames ({self.batch_frames}): "
                "an utterance of that length would not fit into a batch. Set max_frames to at most "
                f"{self.batch_frames}, or raise batch_frames.",
            )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A whole recogniser: features, outputs, network and training.

    Attributes:
        model: the network.
        training: how it is trained.
        alphabet: the outputs, in order, without the blank: a string of characters, or a list of
            characters and bigrams. A recipe may name a file instead, `alphabet_file`, beside it,
            with one a line, such as `ds2 corpus alphabet` writes. Defaults to English.
        features: the spectrogram.
    """

    model: ModelConfig
    training: TrainingConfig
    alphabet: str | tuple[str, ...] = Alphabet.english().to_config()
    features: SpectrogramConfig = SpectrogramConfig()

    def __post_init__(self):
        try:
            Alphabet(self.alphabet)
        except UserError as error:
            raise InvalidValue(
                "alphabet", f"{shown(self.alphabet)} is impossible: {error}"
            ) from error
        widest = self.training.augmentation.frequency_mask_bins
        # The default is of the default features, and means all bins where there are fewer.
        if widest != AugmentationConfig.frequency_mask_bins:
            require(
                widest <= self.features.num_bins,
                "training.augmentation.frequency_mask_bins",
                f"at most {self.features.num_bins}, the bins that features gives",
                widest,
            )
