# SPDX-License-Identifier: Apache-2.0
"""Reading recipes."""

from __future__ import annotations

import os
import pathlib

from ds2_tf.config import Recipe, from_dict, to_dict
from ds2_tf.errors import UserError
from ds2_tf.models.presets import preset
from ds2_tf.text.alphabet import Alphabet


def load_recipe(path: str | os.PathLike) -> Recipe:
    """Reads a recipe from YAML.

    In place of a network, `model` may be the name of a preset (`ds2_tf.models.presets`), and in
    place of `alphabet`, `alphabet_file` the path of a file, from the recipe's folder.

    Raises:
        UserError: the file cannot be read, or a key is unknown, missing or of the wrong type; the
            message names it.
    """
    import yaml

    try:
        content = yaml.safe_load(pathlib.Path(path).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"The recipe {path} is not YAML: {error}") from error
    if isinstance(content, dict) and isinstance(content.get("model"), str):
        content["model"] = to_dict(preset(content["model"]).model)
    if isinstance(content, dict) and "alphabet_file" in content:
        if "alphabet" in content:
            raise UserError(f"{path} has both alphabet and alphabet_file: keep one of them.")
        file = pathlib.Path(path).parent / str(content.pop("alphabet_file"))
        content["alphabet"] = Alphabet.load(file).to_config()
    return from_dict(Recipe, content, source=str(path))
