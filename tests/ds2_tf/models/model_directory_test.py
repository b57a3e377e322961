# SPDX-License-Identifier: Apache-2.0
"""Model directories: what is written is read back, and what cannot be used says why."""

import shutil

import keras
import numpy as np
import pytest
import yaml

from ds2_tf.errors import UserError
from ds2_tf.models.model_directory import (
    ModelDescription,
    alphabet_of,
    load_description,
    load_model,
    save_model,
)
from ds2_tf.text.alphabet import Alphabet


@pytest.fixture
def directory(tiny_model_directory, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(tiny_model_directory, tmp_path / "model")


def edit(directory, **changes):
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_round_trip(tiny_model_directory, tiny_config, make_network):
    network, description = load_model(tiny_model_directory)
    assert description.model == tiny_config
    assert alphabet_of(description) == Alphabet.english()
    for value, expected in zip(network.get_weights(), make_network(tiny_config).get_weights()):
        np.testing.assert_array_equal(value, expected)
    files = sorted(path.name for path in tiny_model_directory.iterdir())
    assert files == ["README.md", "config.yaml", "model.keras"]


def test_the_optimizer_is_left_out(tmp_path, tiny_config, make_network, directory):
    network = make_network(tiny_config)
    network.compile(optimizer="adam", loss="mse")
    network.optimizer.build(network.trainable_variables)
    save_model(tmp_path / "compiled", network, load_description(directory), "card")
    sizes = [(d / "model.keras").stat().st_size for d in (tmp_path / "compiled", directory)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)
    assert network.optimizer is not None


def test_alphabet_beyond_ascii(directory, tiny_config, make_network):
    alphabet = "".join(Alphabet(" aäß'\"#:漢").characters)
    description = ModelDescription(tiny_config, alphabet, load_description(directory).features)
    save_model(directory, make_network(tiny_config, num_labels=10), description, "card")
    assert load_description(directory) == description


def test_missing_directory(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a model directory.*No such file"):
        load_model(tmp_path / "nowhere")


def test_empty_directory(tmp_path):
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        load_model(tmp_path)


def test_missing_network(directory):
    (directory / "model.keras").unlink()
    with pytest.raises(UserError, match=r"model\.keras is missing"):
        load_model(directory)


@pytest.mark.parametrize("content", ["", "[1, 2]", "text", "{model: {}}"])
def test_config_that_describes_no_model(directory, content):
    (directory / "config.yaml").write_text(content)
    with pytest.raises(UserError, match="has format version None, this release reads version 1"):
        load_description(directory)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\xff"])
def test_config_that_is_not_yaml(directory, content):
    (directory / "config.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.yaml is damaged, it is not YAML"):
        load_description(directory)


def test_another_format_version(directory):
    edit(directory, format_version=2)
    with pytest.raises(UserError, match="format version 2, this release reads version 1"):
        load_description(directory)


def test_another_feature_version(directory):
    edit(directory, feature_version=99)
    with pytest.raises(UserError, match=r"features of version 99.*computes version \d+: train"):
        load_description(directory)


def test_unknown_key(directory):
    edit(directory, flavour="sweet")
    with pytest.raises(UserError, match=r"config\.yaml: unknown key flavour"):
        load_description(directory)


@pytest.mark.parametrize("kept", [0, 1000, 5000])
def test_damaged_network(directory, kept):
    path = directory / "model.keras"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"model\.keras is damaged"):
        load_model(directory)


def test_an_interrupted_save_leaves_no_model(directory, tiny_config, make_network, monkeypatch):
    def fail(self, path):
        raise OSError("No space left on device")

    description, network = load_description(directory), make_network(tiny_config)
    monkeypatch.setattr(keras.Model, "save", fail)
    with pytest.raises(OSError):
        save_model(directory, network, description, "card")
    with pytest.raises(UserError, match="is not a model directory"):
        load_description(directory)


def test_a_description_of_another_network_is_refused(directory, tmp_path):
    network, description = load_model(directory)
    other = ModelDescription(description.model, "abc", description.features)
    with pytest.raises(UserError, match="of a network with 4 labels, and this one has 29"):
        save_model(tmp_path / "new", network, other)
    assert not (tmp_path / "new").exists()
    edit(directory, alphabet="abc")
    with pytest.raises(UserError, match="of a network with 4 labels, and this one has 29"):
        load_model(directory)


def test_a_model_that_was_edited_is_noticed(directory):
    config = yaml.safe_load((directory / "config.yaml").read_text())["model"]
    edit(directory, model={**config, "recurrent_units": config["recurrent_units"] + 1})
    with pytest.raises(UserError, match="`model` is not that of this network"):
        load_model(directory)
