# SPDX-License-Identifier: Apache-2.0
"""Networks that hear streams."""

import pytest


@pytest.fixture(scope="session")
def describe():
    """The ModelDescription of a network."""
    from ds2_tf.audio.spectrogram import SpectrogramConfig
    from ds2_tf.models.model_directory import ModelDescription

    return lambda config: ModelDescription(
        config, " abcdefghijklmnopqrstuvwxyz'", SpectrogramConfig()
    )
