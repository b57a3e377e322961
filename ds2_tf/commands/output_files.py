# SPDX-License-Identifier: Apache-2.0
"""Places for what a command writes, made and tried before its work begins."""

from __future__ import annotations

import os
import pathlib
import tempfile

from ds2_tf.errors import UserError


def prepare_output_file(path: str | os.PathLike) -> None:
    """Makes the folder of a file that will be written; the file itself stays as it is.

    Raises:
        UserError: it cannot be written.
    """
    path = pathlib.Path(path)
    try:
        if path.is_dir():
            raise UserError(f"{path} cannot be written: it is a folder, name a file.")
        if path.is_file():
            # To append nothing changes nothing.
            with open(path, "ab"):
                return
        # A pipe or device has no folder to put another file in.
        if not path.exists():
            _prepare_directory(path.parent, wanted=path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error


def prepare_output_directory(path: str | os.PathLike) -> None:
    """Makes a folder into which files will be written.

    Raises:
        UserError: it cannot be made or written into.
    """
    try:
        _prepare_directory(pathlib.Path(path), wanted=path)
    except OSError as error:
        raise UserError(f"{path} cannot be written into: {error.strerror}.") from error


def _prepare_directory(path: pathlib.Path, wanted: str | os.PathLike) -> None:
    for place in (path, *path.parents):
        if place.exists():
            if not place.is_dir():
                raise UserError(f"{wanted} cannot be made: {place} is a file, and not a folder.")
            break
    path.mkdir(parents=True, exist_ok=True)
    # Permissions alone do not tell: the file system may be read-only.
    with tempfile.TemporaryFile(dir=path):
        pass
