# SPDX-License-Identifier: Apache-2.0
"""Training that starts from another model's weights."""

from __future__ import annotations

import os

import keras

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.errors import UserError
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import load_model


def take_weights(
    network: DeepSpeech2, directory: str | os.PathLike, features: SpectrogramConfig
) -> list[str]:
    """Gives each layer the weights of the layer of the same name, where their shapes are the same.

    Others keep their random ones, such as the output layer where the alphabets differ in size. The
    normalization of features is left alone: it belongs to the corpus.

    Args:
        network: built; its weights are changed.
        directory: the model to start from.
        features: the spectrogram that `network` is trained on.

    Returns:
        Names of the layers that have weights and kept their own.

    Raises:
        UserError: the directory holds no model, or one of other features, or one of which no layer
            fits.
    """
    source, description = load_model(directory)
    if description.features != features:
        raise UserError(
            f"{directory} was trained on {description.features}, and the recipe has {features}: "
            "start from a model of the same features, or give the recipe those."
        )
    given = {layer.name: layer.get_weights() for layer in source.stack}
    taken, kept = [], []
    for layer in network.stack:
        if not layer.weights or isinstance(layer, keras.layers.Dropout):
            continue
        weights = given.get(layer.name, [])
        if [w.shape for w in weights] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(weights)
            taken.append(layer.name)
        else:
            kept.append(layer.name)
    if not taken:
        raise UserError(
            f"No layer of {directory} has the shape of the recipe's layer of the same name: its "
            f"network is {description.model}."
        )
    return kept
