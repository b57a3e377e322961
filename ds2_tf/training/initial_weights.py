# SPDX-License-Identifier: Apache-2.0
"""Training that starts from another model's weights."""

from __future__ import annotations

import os

import keras
import numpy as np

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.errors import UserError
from ds2_tf.layers import Recurrent
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import load_model


def take_weights(
    network: DeepSpeech2, directory: str | os.PathLike, features: SpectrogramConfig
) -> list[str]:
    """Gives each layer the weights of the layer of the same name, where their shapes are the same.

    A recurrent layer that runs forward alone takes the forward half of one that runs both ways.
    Others keep their random weights, such as the output layer where the alphabets differ in size.
    The normalization of features is left alone: it belongs to the corpus.

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
    sources = {layer.name: layer for layer in source.stack}
    taken, kept = [], []
    for layer in network.stack:
        if not layer.weights or isinstance(layer, keras.layers.Dropout):
            continue
        weights = _weights_for(layer, sources.get(layer.name))
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


def _weights_for(layer: keras.layers.Layer, source: keras.layers.Layer | None) -> list[np.ndarray]:
    if source is None:
        return []
    weights = source.get_weights()
    if not isinstance(layer, Recurrent) or layer.bidirectional or not source.bidirectional:
        return weights
    # Both directions share one projection and its normalization, the forward one first.
    kernel, forward, _, *normalization = weights
    return [
        array if array is forward else np.split(array, 2, axis=-1)[0]
        for array in (kernel, forward, *normalization)
    ]
