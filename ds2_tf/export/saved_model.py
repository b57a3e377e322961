# SPDX-License-Identifier: Apache-2.0
"""Writing, checking and publishing a SavedModel."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from ds2_tf.errors import UserError

ALPHABET_ASSET = "alphabet.txt"


def write_saved_model(model_directory: str | os.PathLike, path: str | os.PathLike) -> None:
    """Writes the SavedModel of a model directory.

    The network computes in float32, whatever the policy that it was trained with.

    Args:
        model_directory: see `ds2_tf.models.model_directory`.
        path: the SavedModel's directory.
    """
    import tensorflow as tf

    from ds2_tf.export.signatures import ServedRecognizer
    from ds2_tf.export.warmup import write_warmup_requests
    from ds2_tf.models.model_directory import alphabet_of, load_model

    network, description = load_model(model_directory)
    module = ServedRecognizer(network.in_float32(), description)
    tf.saved_model.save(module, str(path), signatures=module.functions)
    extra = pathlib.Path(path) / "assets.extra"
    extra.mkdir()
    alphabet_of(description).save(extra / ALPHABET_ASSET)
    write_warmup_requests(extra, description.features.sample_rate, module.state_size)


def check_saved_model(path: str | os.PathLike) -> None:
    """Loads a SavedModel as TensorFlow Serving does and calls its signatures, in a clean process.

    Raises:
        UserError: the model does not load, lacks a signature, or fails on an input.
    """
    process = subprocess.run(
        [sys.executable, "-m", "ds2_tf.export.check", os.fspath(path)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        # Standard error has the libraries' chatter, and what the process died of if it did.
        reasons = process.stdout.strip() or process.stderr.strip()
        raise UserError(f"The SavedModel in {path} cannot be served:\n{reasons}")


def export_saved_model(
    model_directory: str | os.PathLike, base_path: str | os.PathLike, *, version: int | None = None
) -> pathlib.Path:
    """Writes, checks and publishes a version of a served model.

    The version appears under its number in one rename, since a server may be polling.

    Args:
        model_directory: see `ds2_tf.models.model_directory`.
        base_path: holds the versions of one served model.
        version: its number. Defaults to one more than the highest there.

    Returns:
        The directory of the version.

    Raises:
        UserError: the version exists or is negative, or the model fails its check.
    """
    if version is not None and version < 0:
        raise UserError(f"A server sees no negative version, got {version}.")
    base = pathlib.Path(base_path)
    base.mkdir(parents=True, exist_ok=True)
    if version is None:
        version = max(published_versions(base), default=0) + 1
    target = base / str(version)
    if target.exists():
        raise UserError(f"{target} exists: choose another version, or leave --version out.")
    temporary = base / f"new-{version}-{os.getpid()}"
    try:
        write_saved_model(model_directory, temporary)
        check_saved_model(temporary)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def published_versions(base_path: str | os.PathLike) -> list[int]:
    """The version numbers under a base path, ascending."""
    return sorted(
        int(child.name)
        for child in pathlib.Path(base_path).iterdir()
        if child.is_dir() and child.name.isdecimal()
    )
