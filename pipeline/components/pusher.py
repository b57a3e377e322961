# SPDX-License-Identifier: Apache-2.0
"""Pushing a model to where servers look, once, and never half of it."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import time

from tfx import types
from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"
# Property of a PushedModel: 1 where the destination held this very model before.
PRESENT_BEFORE = "present_before"


def directory_digest(directory: str | os.PathLike) -> str:
    """A hash of the names and contents of all files under a directory."""
    directory = pathlib.Path(directory)
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(directory)}\0".encode())
        with path.open("rb") as file:
            digest.update(_file_digest(file))
    return digest.hexdigest()


def pushed_versions(base: str | os.PathLike) -> list[int]:
    """The versions under a base path, from old to new; none where it does not exist."""
    base = pathlib.Path(base)
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdigit())


def push_saved_model(saved_model: str | os.PathLike, base: str | os.PathLike) -> tuple[str, bool]:
    """Makes a SavedModel the latest version under a base path, unless it is.

    Args:
        saved_model: directory of the model.
        base: where servers look for numbered versions; made when missing.

    Returns:
        The directory of the version, and whether it was there before.
    """
    base = pathlib.Path(base)
    base.mkdir(parents=True, exist_ok=True)
    latest = max(pushed_versions(base), default=0)
    if latest and directory_digest(base / str(latest)) == directory_digest(saved_model):
        return str(base / str(latest)), True
    # A clock that was set back must not make the new version older than the last.
    version = max(int(time.time()), latest + 1)
    # Servers look at numbers only, so they never see half a version.
    temporary = base / f".{version}.{os.getpid()}.tmp"
    shutil.copytree(saved_model, temporary)
    temporary.rename(base / str(version))
    return str(base / str(version)), False


class ModelPusherExecutor(executor.Executor):
    """Pushes a blessed model, unless it is the latest version already."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, object],
    ) -> None:
        """Pushes, or notes that nothing was pushed.

        Args:
            input_dict: `model`, and `model_blessing` and `infra_blessing` where there are such.
            output_dict: `pushed_model`, which gets the properties `pushed`, `pushed_destination`,
                `pushed_version` and `present_before`.
            exec_properties: `push_destination`, a file system's base directory.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        if not self.CheckBlessing(input_dict):
            pushed.set_int_custom_property(PUSHED, 0)
            return
        destination = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY],
            pusher_pb2.PushDestination(),
        )
        path, present_before = push_saved_model(
            self.GetModelPath(input_dict), destination.filesystem.base_directory
        )
        pushed.set_int_custom_property(PUSHED, 1)
        pushed.set_string_custom_property(PUSHED_DESTINATION, path)
        pushed.set_string_custom_property(PUSHED_VERSION, os.path.basename(path))
        pushed.set_int_custom_property(PRESENT_BEFORE, int(present_before))


class ModelPusher(component.Pusher):
    """TFX's Pusher with `ModelPusherExecutor`; the arguments are the same."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ModelPusherExecutor)


def _file_digest(file) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()
