# SPDX-License-Identifier: Apache-2.0
"""Pushing a model to where servers look, once, and never half of it."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import time
from collections.abc import Mapping

from tfx import types
from tfx.components.pusher import executor
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter
from tfx.utils import proto_utils

from pipeline.components.artifacts import DecoderPackageArtifact, decoder_path

# Where the decoder of a pushed model lies, within its version.
DECODER_NAME = "assets.extra/ds2.decoder"

SERVER_BLESSING = "server_blessing"
PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"
# Property of a PushedModel: 1 where the destination held this very model before.
PRESENT_BEFORE = "present_before"


def files_under(directory: str | os.PathLike) -> dict[str, pathlib.Path]:
    """All files under a directory, by their names relative to it."""
    directory = pathlib.Path(directory)
    return {str(p.relative_to(directory)): p for p in directory.rglob("*") if p.is_file()}


def content_digest(files: Mapping[str, pathlib.Path]) -> str:
    """A hash of names and contents of files."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        digest.update(f"{name}\0".encode())
        with path.open("rb") as file:
            digest.update(_file_digest(file))
    return digest.hexdigest()


def pushed_versions(base: str | os.PathLike) -> list[int]:
    """The versions under a base path, from old to new; none where it does not exist."""
    base = pathlib.Path(base)
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdigit())


def push_saved_model(
    saved_model: str | os.PathLike,
    base: str | os.PathLike,
    decoder: str | os.PathLike | None = None,
) -> tuple[str, bool]:
    """Makes a SavedModel the latest version under a base path, unless it is.

    Args:
        saved_model: directory of the model.
        base: where servers look for numbered versions; made when missing.
        decoder: a decoder package, which is put into the version's `assets.extra`. Servers pay no
            heed to it: it is for their clients. Defaults to none.

    Returns:
        The directory of the version, and whether it was there before.
    """
    base = pathlib.Path(base)
    base.mkdir(parents=True, exist_ok=True)
    files = files_under(saved_model)
    if decoder is not None:
        files[DECODER_NAME] = pathlib.Path(decoder)
    latest = max(pushed_versions(base), default=0)
    digest = content_digest(files)
    if latest and content_digest(files_under(base / str(latest))) == digest:
        return str(base / str(latest)), True
    # A clock that was set back must not make the new version older than the last.
    version = max(int(time.time()), latest + 1)
    # Servers look at numbers only, so they never see half a version. The name is that of the
    # content, so that a push after one that was killed clears away what that left.
    temporary = base / f".{digest[:16]}.tmp"
    if temporary.exists():
        shutil.rmtree(temporary)
    # Empty directories, too.
    shutil.copytree(saved_model, temporary)
    if decoder is not None:
        (temporary / DECODER_NAME).parent.mkdir(exist_ok=True)
        shutil.copy(decoder, temporary / DECODER_NAME)
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
            input_dict: `model`, and `model_blessing`, `infra_blessing`, `server_blessing` and
                `decoder` where there are such.
            output_dict: `pushed_model`, which gets the properties `pushed`, `pushed_destination`,
                `pushed_version` and `present_before`.
            exec_properties: `push_destination`, a file system's base directory.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        servers = input_dict.get(SERVER_BLESSING) or []
        if not (
            self.CheckBlessing(input_dict) and all(map(model_utils.is_infra_validated, servers))
        ):
            pushed.set_int_custom_property(PUSHED, 0)
            return
        destination = proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY],
            pusher_pb2.PushDestination(),
        )
        decoders = input_dict.get("decoder") or []
        path, present_before = push_saved_model(
            self.GetModelPath(input_dict),
            destination.filesystem.base_directory,
            *(decoder_path(decoder) for decoder in decoders),
        )
        pushed.set_int_custom_property(PUSHED, 1)
        pushed.set_string_custom_property(PUSHED_DESTINATION, path)
        pushed.set_string_custom_property(PUSHED_VERSION, os.path.basename(path))
        pushed.set_int_custom_property(PRESENT_BEFORE, int(present_before))


class ModelPusherSpec(standard_component_specs.PusherSpec):
    """TFX's specification of a pusher, with a second infra blessing and a decoder."""

    INPUTS = {
        **standard_component_specs.PusherSpec.INPUTS,
        SERVER_BLESSING: ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
        "decoder": ChannelParameter(type=DecoderPackageArtifact, optional=True),
    }


class ModelPusher(base_component.BaseComponent):
    """TFX's Pusher with `ModelPusherExecutor`, and the decoder beside the model.

    Args:
        model: of the Trainer.
        model_blessing: of the Evaluator.
        push_destination: a file system's base directory.
        infra_blessing: of SavedModelCheck.
        server_blessing: of InfraValidator.
        decoder: of DecoderTuner.

    Output `pushed_model`: see `ModelPusherExecutor`.
    """

    SPEC_CLASS = ModelPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ModelPusherExecutor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        push_destination: pusher_pb2.PushDestination,
        infra_blessing: types.BaseChannel | None = None,
        server_blessing: types.BaseChannel | None = None,
        decoder: types.BaseChannel | None = None,
    ):
        super().__init__(
            ModelPusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                server_blessing=server_blessing,
                decoder=decoder,
                push_destination=push_destination,
                custom_config="null",
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )


def _file_digest(file) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()
