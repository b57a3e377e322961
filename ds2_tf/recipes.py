# SPDX-License-Identifier: Apache-2.0
"""Reading recipes."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Sequence

from ds2_tf.config import Recipe, from_dict, to_dict
from ds2_tf.errors import UserError
from ds2_tf.models.presets import preset
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.value_checks import require
from ds2_tf.yaml_reading import parse_yaml, read_yaml


def load_recipe(path: str | os.PathLike, changes: Iterable[str] = ()) -> Recipe:
    """Reads a recipe from YAML.

    In place of a network, `model` may be the name of a preset (`ds2_tf.models.presets`), and in
    place of `alphabet`, `alphabet_file` the path of a file. Relative paths, this and
    `noise_directory`, count from the recipe's folder.

    Args:
        path: of the recipe.
        changes: values in place of the recipe's, such as "training.epochs=35", in YAML.

    Raises:
        UserError: the file cannot be read, a key is unknown or missing, or a value of the wrong
            type or impossible; the message names file and key.
    """
    content = read_yaml(path, "recipe")
    folder = pathlib.Path(path).parent
    if isinstance(content, dict):
        try:
            content = _expanded(content, folder, changes)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    recipe = from_dict(Recipe, content, source=str(path), further_keys=("alphabet_file",))
    return _with_noise_from(recipe, folder)


def _expanded(content: dict, folder: pathlib.Path, changes: Iterable[str]) -> dict:
    """With a preset's network, and the alphabet of a file, in place of their names."""
    content = _with_network(content)
    for change in changes:
        # Of one preset to another, or of a value in a preset's network.
        content = _with_network(_changed(content, change))
    return _with_alphabet(content, folder)


def _with_network(content: dict) -> dict:
    model = content.get("model", {})
    require(isinstance(model, (dict, str)), "model", "a network, or the name of a preset", model)
    if isinstance(model, dict):
        return content
    try:
        return {**content, "model": to_dict(preset(model).model)}
    except UserError as error:
        raise UserError(f"model: {error}") from error


def _changed(content: dict, change: str) -> dict:
    key, equals, text = change.partition("=")
    if not equals or not all(key.split(".")):
        raise UserError(f"{change!r} is no change: expected KEY=VALUE, as training.epochs=35.")
    return _with_value(content, key.split("."), parse_yaml(text, key))


def _with_value(section: dict, names: Sequence[str], value: object) -> dict:
    name, *rest = names
    if rest:
        inner = section.get(name, {})
        require(isinstance(inner, dict), name, "a section", inner)
        value = _with_value(inner, rest, value)
    return {**section, name: value}


def _with_alphabet(content: dict, folder: pathlib.Path) -> dict:
    if "alphabet_file" not in content:
        return content
    if "alphabet" in content:
        raise UserError("both alphabet and alphabet_file are given: keep one of them.")
    content = dict(content)
    name = content.pop("alphabet_file")
    require(isinstance(name, str) and name != "", "alphabet_file", "the path of a file", name)
    try:
        content["alphabet"] = Alphabet.load(folder / name).to_config()
    except UserError as error:
        raise UserError(f"alphabet_file {name}: {error}") from error
    return content


def _with_noise_from(recipe: Recipe, folder: pathlib.Path) -> Recipe:
    training = recipe.training
    augmentation = training.augmentation
    if augmentation.audio.noise_directory is None:
        return recipe
    directory = os.path.normpath(folder / augmentation.audio.noise_directory)
    audio = dataclasses.replace(augmentation.audio, noise_directory=directory)
    augmentation = dataclasses.replace(augmentation, audio=audio)
    return dataclasses.replace(
        recipe, training=dataclasses.replace(training, augmentation=augmentation)
    )
