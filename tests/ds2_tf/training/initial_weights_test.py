# SPDX-License-Identifier: Apache-2.0
"""Training that starts from another model."""

import dataclasses

import numpy as np
import pytest

from ds2_tf.audio.spectrogram import SpectrogramConfig
from ds2_tf.config import ConvolutionConfig, ModelConfig, Recipe, TrainingConfig
from ds2_tf.errors import UserError
from ds2_tf.models.deep_speech_2 import DeepSpeech2
from ds2_tf.models.model_directory import ModelDescription, load_model, save_model
from ds2_tf.training.data import RecordData, run_fingerprint
from ds2_tf.training.initial_weights import take_weights
from ds2_tf.training.trainer import train

FEATURES = SpectrogramConfig()
MODEL = ModelConfig((ConvolutionConfig(4, (11, 5), (10, 2)),), 1, 8)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A model of five labels whose weights are all random, the normalization's too."""
    path = tmp_path_factory.mktemp("model")
    network = DeepSpeech2(MODEL, 5)
    generator = np.random.default_rng(3)
    network.set_weights([generator.uniform(0.1, 1.0, w.shape) for w in network.get_weights()])
    save_model(path, network, ModelDescription(MODEL, "abcd", FEATURES), "A model.")
    return path


@pytest.fixture
def noise_features():
    """Spectrograms of two utterances."""
    spectrogram = np.random.default_rng(2).standard_normal((2, 20, 161)).astype(np.float32)
    return {"spectrogram": spectrogram, "num_frames": np.array([20, 13], np.int32)}


def weights_by_layer(network):
    return {layer.name: layer.get_weights() for layer in network.stack if layer.weights}


def test_layers_that_fit_are_taken_and_others_kept(directory):
    network = DeepSpeech2(dataclasses.replace(MODEL, dropout=0.5), 6)
    before = weights_by_layer(network)
    statistics = network.feature_normalization.get_weights()
    assert take_weights(network, directory, FEATURES) == ["output"]
    source = weights_by_layer(load_model(directory)[0])
    for name, weights in weights_by_layer(network).items():
        expected = before if name == "output" or "dropout" in name else source
        for weight, wanted in zip(weights, expected[name], strict=True):
            np.testing.assert_array_equal(weight, wanted)
    for weight, wanted in zip(network.feature_normalization.get_weights(), statistics):
        np.testing.assert_array_equal(weight, wanted)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_forward_network_takes_the_forward_half(cell, tmp_path, noise_features):
    """Alone, with the backward half of the source silenced, both compute the same."""
    both = DeepSpeech2(dataclasses.replace(MODEL, cell=cell), 5)
    recurrent = next(layer for layer in both.stack if layer.name == "recurrent_1")
    kernel, forward, backward, gamma, beta, mean, variance = recurrent.get_weights()
    half = gamma.size // 2
    generator = np.random.default_rng(1)
    gamma[:half], beta[:half], mean[:half] = generator.uniform(-1, 1, (3, half))
    # Without input a state stays 0.
    gamma[half:] = beta[half:] = 0
    recurrent.set_weights([kernel, forward, backward, gamma, beta, mean, variance])
    save_model(tmp_path, both, ModelDescription(both.config, "abcd", FEATURES), "A model.")
    alone = DeepSpeech2(dataclasses.replace(both.config, bidirectional=False), 5)
    assert take_weights(alone, tmp_path, FEATURES) == []
    np.testing.assert_allclose(alone(noise_features), both(noise_features), atol=1e-5)


def test_other_features_are_refused(directory):
    features = SpectrogramConfig(hop_seconds=0.0125)
    with pytest.raises(UserError, match=r"hop_seconds=0\.01,.*the recipe has .*0\.0125"):
        take_weights(DeepSpeech2(MODEL, 5), directory, features)


def test_a_model_of_which_nothing_fits_is_refused(directory):
    other = ModelConfig((ConvolutionConfig(3, (11, 5), (10, 2)),), 1, 9)
    with pytest.raises(UserError, match="No layer of .* has the shape"):
        take_weights(DeepSpeech2(other, 6), directory, FEATURES)


def test_training_starts_from_it(directory, tmp_path, write_tones, random_texts, capfd):
    files = write_tones(tmp_path, random_texts(4), num_files=1).files
    training = TrainingConfig(1, batch_frames=400, max_frames=400, learning_rate=1e-9)
    recipe = Recipe(MODEL, training, alphabet="abcd ")
    data = RecordData(recipe, files, files)
    output = {"output_directory": tmp_path / "tuned", "state_directory": tmp_path / "state"}
    train(recipe, data, **output, initial_model=directory)
    assert f"starts from the weights of {directory} but for output" in capfd.readouterr().err
    source, tuned = (
        weights_by_layer(load_model(path)[0]) for path in (directory, tmp_path / "tuned")
    )
    for weight, wanted in zip(tuned["recurrent_1"][:3], source["recurrent_1"][:3], strict=True):
        np.testing.assert_allclose(weight, wanted, atol=1e-6)
    assert f"| started from | {directory.name} |" in (tmp_path / "tuned/README.md").read_text()
    # Without it, or from another, it would be another run.
    fingerprints = {
        run_fingerprint(recipe, data, start) for start in (None, directory, tmp_path / "tuned")
    }
    assert len(fingerprints) == 3
    with pytest.raises(UserError, match="another configuration or corpus"):
        train(recipe, data, **output)
