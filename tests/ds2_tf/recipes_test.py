# SPDX-License-Identifier: Apache-2.0
"""Recipe files: the project's own, their encoding, and what their paths count from."""

import pathlib

import pytest

from ds2_tf.config import Recipe
from ds2_tf.errors import UserError
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
