# SPDX-License-Identifier: Apache-2.0
"""Recipe files: the project's own, their encoding, and what their paths count from."""

import dataclasses
import pathlib

import pytest

from ds2_tf.config import Recipe
from ds2_tf.errors import UserError
from ds2_tf.models.presets import preset
from ds2_tf.recipes import load_recipe

RECIPES = sorted((pathlib.Path(__file__).parents[2] / "recipes").glob("*.yaml"))
NOISY = """
model: tiny
training:
  epochs: 1
  batch_frames: 4000
  augmentation: {audio: {noise_share: 0.4, noise_directory: %s}}
"""


def noise_directory(path):
    return load_recipe(path).training.augmentation.audio.noise_directory


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_of_the_project_load(path):
    assert isinstance(load_recipe(path), Recipe)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_than_utf_8(tmp_path, encoding):
    path = tmp_path / "recipe.yaml"
    path.write_bytes("# Größe\nmodel: tiny\n".encode(encoding))
    with pytest.raises(UserError, match=r"recipe\.yaml is not UTF-8 .*: save it as UTF-8"):
        load_recipe(path)


def test_a_date_that_is_none(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("model: 2026-13-45\n")
    with pytest.raises(UserError, match=r"recipe\.yaml is not YAML: month"):
        load_recipe(path)


def test_noise_is_looked_for_from_the_recipe(tmp_path, monkeypatch):
    """Wherever the command runs; and an absolute path stays what it is."""
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes" / "noisy.yaml"
    path.write_text(NOISY % "../noise")
    assert noise_directory(path) == str(tmp_path / "noise")
    monkeypatch.chdir(tmp_path)
    assert noise_directory("recipes/noisy.yaml") == "noise"
    monkeypatch.chdir(tmp_path / "recipes")
    assert noise_directory("noisy.yaml") == "../noise"
    path.write_text(NOISY % "/noises")
    assert noise_directory(path) == "/noises"


@pytest.mark.parametrize("name", ["", "5", "[a]"])
def test_an_alphabet_file_that_is_no_path(tmp_path, name):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"model: tiny\nalphabet_file: {name}\n")
    with pytest.raises(UserError, match=r"recipe\.yaml: alphabet_file must be the path of a file"):
        load_recipe(path)


def test_an_alphabet_file_without_an_alphabet(tmp_path):
    (tmp_path / "alphabet.txt").write_text("a\na\n")
    path = tmp_path / "recipe.yaml"
    path.write_text("model: tiny\nalphabet_file: alphabet.txt\n")
    with pytest.raises(UserError, match=r"recipe\.yaml: alphabet_file alphabet.txt: .*twice"):
        load_recipe(path)


def test_values_in_place_of_the_recipes(tmp_path):
    (tmp_path / "abc.txt").write_text("a\nb\nc\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(NOISY % "noise")
    changes = [
        "model.dropout=0.25",
        "training.epochs=35",
        "training.augmentation.audio.speed=[0.9, 1.1]",
        "training.learning_rate=1e-3",
        "training.epochs=36",
        "features.window_seconds=0.025",
        "alphabet_file=abc.txt",
    ]
    changed, recipe = load_recipe(path, changes), load_recipe(path)
    assert changed.model == dataclasses.replace(recipe.model, dropout=0.25)
    assert (changed.training.epochs, changed.training.learning_rate) == (36, 1e-3)
    assert changed.training.augmentation.audio.speed == (0.9, 1.1)
    assert changed.training.augmentation.audio.noise_share == 0.4
    assert changed.features.window_seconds == 0.025
    assert list(changed.alphabet) == ["a", "b", "c"]
    paper = load_recipe(path, ["model=english-70m", "model.recurrent_layers=5"]).model
    assert paper == dataclasses.replace(preset("english-70m").model, recurrent_layers=5)


@pytest.mark.parametrize(
    "change, message",
    [
        ("epochs", "'epochs' is no change: expected KEY=VALUE"),
        ("training.=3", "'training.=3' is no change"),
        ("training.epoch=3", "epoch"),
        ("training.epochs.first=3", "epochs must be a section; got 1"),
        ("training.epochs=many", "training.epochs must be .*got 'many'"),
        ("training.epochs=[", r"training.epochs: '\[' is not YAML"),
        ("model=large", "model: .*large"),
    ],
)
def test_changes_that_make_no_sense(tmp_path, change, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(NOISY % "noise")
    with pytest.raises(UserError, match=message) as caught:
        load_recipe(path, [change])
    assert "recipe.yaml" in str(caught.value)
