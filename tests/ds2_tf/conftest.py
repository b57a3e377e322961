# SPDX-License-Identifier: Apache-2.0
"""Settings and tiny models for the core's tests."""

import io
import os
import wave

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Set before TensorFlow is imported anywhere: a tiny network gains nothing from more threads.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny_config():
    """Two convolutions and a bidirectional layer; one output frame for two of the spectrogram."""
    from ds2_tf.config import ConvolutionConfig, ModelConfig

    return ModelConfig(
        convolutions=(
            ConvolutionConfig(4, (11, 5), (4, 2)),
            ConvolutionConfig(4, (7, 3), (4, 1)),
        ),
        recurrent_layers=1,
        recurrent_units=8,
    )


@pytest.fixture(scope="session")
def tiny_streaming_config():
    """Forward only, causal convolutions of total stride 4, two frames of look-ahead."""
    from ds2_tf.config import ConvolutionConfig, ModelConfig

    return ModelConfig(
        convolutions=(
            ConvolutionConfig(3, (11, 5), (8, 2)),
            ConvolutionConfig(4, (9, 4), (8, 2)),
        ),
        recurrent_layers=2,
        recurrent_units=6,
        bidirectional=False,
        lookahead_frames=2,
        causal=True,
    )


@pytest.fixture(scope="session")
def make_network():
    """Builds a network of random weights, running averages included, that says a lot."""
    from ds2_tf.models.deep_speech_2 import DeepSpeech2

    def make(config, num_labels=29, dtype="float32"):
        network = DeepSpeech2(config, num_labels, dtype=dtype)
        generator = np.random.default_rng(7)
        for variable in network.weights:
            if "seed" in variable.path:
                continue
            if variable.path.endswith(("variance", "deviation", "gamma")):
                value = generator.uniform(0.5, 1.5, variable.shape)
            elif variable.path.endswith("feature_normalization/mean"):
                value = np.full(variable.shape, -6.0)
            else:
                value = generator.normal(scale=0.4, size=variable.shape)
            variable.assign(value)
        # No two labels are nearly as likely, so that rounding decides nothing.
        output = next(layer for layer in network.stack if layer.name == "output")
        output.kernel.assign(4.0 * output.kernel)
        return network

    return make


@pytest.fixture(scope="session")
def tiny_model_directory(tmp_path_factory, tiny_config, make_network):
    """A model directory of random weights; not to be written to."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.models.model_directory import ModelDescription, save_model
    from ds2_tf.text.alphabet import Alphabet

    directory = tmp_path_factory.mktemp("tiny") / "model"
    alphabet = "".join(Alphabet.english().characters)
    description = ModelDescription(tiny_config, alphabet, SpectrogramConfig())
    save_model(directory, make_network(tiny_config), description, "# A model of random weights\n")
    return directory


@pytest.fixture(scope="session")
def streaming_model_directory(tmp_path_factory, tiny_streaming_config, make_network):
    """A model directory of random weights that hears streams; not to be written to."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.models.model_directory import ModelDescription, save_model

    directory = tmp_path_factory.mktemp("streaming") / "model"
    alphabet = " abcdefghijklmnopqrstuvwxyz'"
    description = ModelDescription(tiny_streaming_config, alphabet, SpectrogramConfig())
    save_model(directory, make_network(tiny_streaming_config), description, "# Random weights\n")
    return directory


@pytest.fixture(scope="session")
def streaming_export(tmp_path_factory, streaming_model_directory):
    """The SavedModel of `streaming_model_directory`; not to be written to."""
    from ds2_tf.export.saved_model import write_saved_model

    path = tmp_path_factory.mktemp("streaming") / "export"
    write_saved_model(streaming_model_directory, path)
    return path


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory, tiny_model_directory):
    """The SavedModel of `tiny_model_directory`; not to be written to."""
    from ds2_tf.export.saved_model import write_saved_model

    path = tmp_path_factory.mktemp("tiny") / "export"
    write_saved_model(tiny_model_directory, path)
    return path


@pytest.fixture(scope="session")
def wav_file():
    """Makes the bytes of a 16-bit WAV file of int16 samples, [samples] or [samples, channels]."""

    def make(samples, sample_rate=16000):
        samples = np.asarray(samples, "<i2")
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(samples.shape[1] if samples.ndim == 2 else 1)
            file.setsampwidth(2)
            file.setframerate(sample_rate)
            file.writeframes(samples.tobytes())
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def noise():
    """Makes int16 noise of a given number of samples, always the same."""

    def make(num_samples, seed=0):
        return np.random.default_rng(seed).integers(-6000, 6000, num_samples).astype(np.int16)

    return make


@pytest.fixture(scope="session")
def build_model():
    """Builds a KenLM binary of sentences; skips where KenLM's programs are missing."""
    from ds2_tf.errors import UserError
    from ds2_tf.lm.building import build_lm
    from ds2_tf.lm.tools import kenlm_program
    from ds2_tf.text.alphabet import Alphabet

    try:
        kenlm_program("lmplz")
    except UserError as error:
        pytest.skip(str(error))

    def build(directory, sentences, characters, **options):
        text = directory / "text.txt"
        text.write_text("".join(sentence + "\n" for sentence in sentences), "utf-8")
        path = directory / "model.binary"
        options = {"order": 3, "held_out_share": 0.0, **options}
        build_lm([text], path, Alphabet(characters), **options)
        return path

    return build
