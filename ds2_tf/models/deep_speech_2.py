# SPDX-License-Identifier: Apache-2.0
"""The Deep Speech 2 network."""

from __future__ import annotations

import keras

from ds2_tf import layers
from ds2_tf.config import ModelConfig, Recipe, from_dict, to_dict
from ds2_tf.text.alphabet import Alphabet


@keras.saving.register_keras_serializable(package="ds2_tf")
class DeepSpeech2(keras.Model):
    """Spectrogram -> convolutions -> recurrent layers -> one score per label and frame.

    Deep Speech 2, arXiv 1512.02595, Section 3: convolutions in time and frequency, recurrent layers
    with sequence-wise batch normalization, a row convolution where the recurrence runs forward
    only, and an output layer for CTC.

    Args:
        config: the network.
        num_labels: outputs, blank included. The blank is label 0.
        num_bins: frequency bins of the spectrogram. Defaults to 161.
        dtype: compute policy of the layers, such as "mixed_bfloat16". Defaults to the global
            policy. Normalization statistics and the logits are float32 under every policy. With
            "mixed_float16", `compile` wants a keras.optimizers.LossScaleOptimizer around the
            optimizer, as `ds2_tf.make_optimizer` gives: Keras adds none here.

    Call arguments:
        inputs: {"spectrogram": float32 [batch, frames, num_bins], "num_frames": int32 [batch]}.

    Returns:
        Logits, float32 [batch, ceil(frames / time stride), num_labels]. Frames past
        `config.output_frames(num_frames)` are certainly blank, so that neither the loss nor a
        decoder needs the lengths.

    Masking: what stands in the spectrogram's padding does not matter.
    """

    def __init__(
        self, config: ModelConfig, num_labels: int, num_bins: int = 161, dtype=None, **kwargs
    ):
        if not isinstance(config, ModelConfig):
            raise TypeError(
                f"config must be a ds2_tf.ModelConfig, such as ds2_tf.preset('tiny').model; got "
                f"{config!r}."
            )
        # The model itself must not cast its inputs: their mantissa is needed until normalized.
        super().__init__(dtype="float32", **kwargs)
        self.config = config
        self.num_labels = num_labels
        self.num_bins = num_bins
        self.policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        self.feature_normalization = layers.FeatureNormalization(
            name="feature_normalization", dtype=self.policy
        )
        self.stack = [*self._front_end(), *self._recurrent_layers(), *self._output_layers()]
        self.build({"spectrogram": (None, None, num_bins), "num_frames": (None,)})

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> DeepSpeech2:
        """The network of a recipe: its outputs, bins and precision, with random weights."""
        return cls(
            recipe.model,
            Alphabet(recipe.alphabet).size,
            recipe.features.num_bins,
            dtype=recipe.training.precision,
        )

    def _front_end(self):
        yield AddChannel(name="add_channel", dtype=self.policy)
        for index, convolution in enumerate(self.config.convolutions, start=1):
            name = f"convolution_{index}"
            yield layers.SequenceConvolution(
                convolution.filters,
                convolution.kernel,
                convolution.stride,
                causal=self.config.causal,
                name=name,
                dtype=self.policy,
            )
            yield layers.SequenceBatchNormalization(name=f"{name}_normalization", dtype=self.policy)
            yield keras.layers.Activation(
                layers.clipped_relu, name=f"{name}_relu", dtype=self.policy
            )
        yield MergeChannels(name="merge_channels", dtype=self.policy)

    def _recurrent_layers(self):
        for index in range(1, self.config.recurrent_layers + 1):
            yield from self._dropout(f"recurrent_{index}_dropout")
            yield layers.Recurrent(
                self.config.recurrent_units,
                self.config.cell,
                self.config.bidirectional,
                name=f"recurrent_{index}",
                dtype=self.policy,
            )
        if self.config.lookahead_frames:
            yield layers.RowConvolution(
                self.config.lookahead_frames, name="row_convolution", dtype=self.policy
            )

    def _output_layers(self):
        yield from self._dropout("output_dropout")
        yield keras.layers.Dense(self.num_labels, name="output", dtype=self.policy)
        yield layers.PaddingToBlank(name="padding_to_blank")

    def _dropout(self, name):
        if self.config.dropout:
            yield keras.layers.Dropout(self.config.dropout, name=name, dtype=self.policy)

    def build(self, input_shape):
        shapes = [input_shape["spectrogram"], input_shape["num_frames"]]
        self.feature_normalization.build(shapes)
        shape = shapes[0]
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, inputs, training=None):
        # Told to each layer: on JAX, the training step calls this without the context in which the
        # layers would find it.
        # The mask starts in the normalization and travels with x from layer to layer.
        x = self.feature_normalization([inputs["spectrogram"], inputs["num_frames"]])
        for layer in self.stack:
            x = layer(x, training=training)
        return x

    def in_float32(self) -> DeepSpeech2:
        """A copy with the same weights that computes in float32, to be used and not trained."""
        copy = DeepSpeech2(self.config, self.num_labels, self.num_bins, dtype="float32")
        copy.set_weights(self.get_weights())
        return copy

    def get_config(self):
        return {
            "config": to_dict(self.config),
            "num_labels": self.num_labels,
            "num_bins": self.num_bins,
            "dtype": self.policy.name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        model_config = from_dict(ModelConfig, config["config"], source="the saved model")
        return cls(**{**config, "config": model_config})


@keras.saving.register_keras_serializable(package="ds2_tf")
class AddChannel(keras.layers.Layer):
    """[batch, frames, bins] -> [batch, frames, bins, 1]. Passes the mask on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return keras.ops.expand_dims(inputs, -1)

    def compute_output_shape(self, input_shape):
        return (*input_shape, 1)


@keras.saving.register_keras_serializable(package="ds2_tf")
class MergeChannels(keras.layers.Layer):
    """[batch, frames, bins, channels] -> [batch, frames, bins * channels]. Passes the mask on."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        batch, frames, bins, channels = keras.ops.shape(inputs)
        return keras.ops.reshape(inputs, (batch, frames, bins * channels))

    def compute_output_shape(self, input_shape):
        batch, frames, bins, channels = input_shape
        return batch, frames, bins * channels
