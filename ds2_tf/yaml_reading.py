# SPDX-License-Identifier: Apache-2.0
"""Reading a YAML file that a person wrote."""

from __future__ import annotations

import os
import pathlib

from ds2_tf.errors import UserError


def read_yaml(path: str | os.PathLike, what: str):
    """The content of a YAML file, in plain types.

    Args:
        path: of the file, UTF-8.
        what: it is, such as "recipe", for messages.

    Raises:
        UserError: the file cannot be read, is not UTF-8 or not YAML.
    """
    import yaml

    try:
        return yaml.safe_load(pathlib.Path(path).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"The {what} {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"The {what} {path} is not UTF-8 (at byte {error.start}): save it as UTF-8."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        # A ValueError is of a date or number that only looks like one: 2026-13-45.
        raise UserError(f"The {what} {path} is not YAML: {error}") from error


def parse_yaml(text: str, what: str):
    """The value that a text stands for in YAML.

    Raises:
        UserError: it is not YAML.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{what}: {text!r} is not YAML: {error}") from error
