# SPDX-License-Identifier: Apache-2.0
"""The server without a transport: configuration, labels, and finding who answers a request."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading

import grpc
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2 as config_pb2

from serving import errors
from serving.errors import ServingError
from serving.manager import Manager
from serving.servable import Servable
from serving.source import FileSystemSource
from serving.states import State, StateMonitor, VersionState

_LOG = logging.getLogger(__name__)

PLATFORM = "tensorflow"


def single_model_config(name: str, base_path: str) -> config_pb2.ModelServerConfig:
    """The configuration that `--model_name` and `--model_base_path` stand for."""
    config = config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


class ServerCore:
    """Models as configured, versions as loaded.

    Args:
        manager: loads versions and hands them out.
        monitor: the states that `manager` reports.
        source: watches the base paths and feeds `manager`.
        allow_labels_for_unavailable: accept a new label for a version that is not available yet.
    """

    def __init__(
        self,
        manager: Manager,
        monitor: StateMonitor,
        source: FileSystemSource,
        *,
        allow_labels_for_unavailable: bool = False,
    ):
        self.manager = manager
        self.monitor = monitor
        self._source = source
        self._allow_labels_for_unavailable = allow_labels_for_unavailable
        self._config_lock = threading.Lock()
        self._config = config_pb2.ModelServerConfig()
        self._names: frozenset[str] = frozenset()
        self._labels: dict[str, dict[str, int]] = {}
        self._stopping = threading.Event()

    @property
    def model_names(self) -> list[str]:
        """The configured models, in the order of the configuration."""
        return [model.name for model in self._config.model_config_list.config]

    def is_configured(self, name: str) -> bool:
        """Whether a model of this name is configured."""
        return name in self._names

    def reload_config(self, config: config_pb2.ModelServerConfig) -> None:
        """Replaces the whole configuration and waits for the models that are new.

        Models that the new configuration omits are unloaded.

        Raises:
            ServingError: the configuration is not acceptable (then nothing changes), or a new
                model did not load.
        """
        with self._config_lock:
            kind = config.WhichOneof("config")
            old_kind = self._config.WhichOneof("config")
            if old_kind and kind != "model_config_list":
                raise errors.failed_precondition(
                    "Cannot transition to requested config. It is only legal to transition from "
                    "one ModelConfigList to another."
                )
            if kind is None:
                _LOG.info("Taking no action for empty config.")
                return
            if kind != "model_config_list":
                raise errors.invalid_argument(
                    "ModelServer does not yet support custom model config."
                )
            models = config.model_config_list.config
            _validate_models(models)
            _validate_platforms_kept(self._config.model_config_list.config, models)
            labels = self._new_labels(models)
            for model in models:
                if _platform(model) != PLATFORM:
                    raise errors.invalid_argument(
                        f"Model {model.name} requests unsupported platform {_platform(model)}"
                    )
            new = {model.name for model in models} - set(self.model_names)
            mark = self.monitor.now()
            self._source.configure(
                {model.name: (model.base_path, model.model_version_policy) for model in models}
            )
            self._config = config
            self._names = frozenset(model.name for model in models)
            self._labels = labels
            failed = self.monitor.wait_available(new, since=mark, stop=self._stopping)
            if failed:
                raise _unavailable(failed, "model" if old_kind else "servable")

    def servable(
        self, model_spec: model_pb2.ModelSpec
    ) -> contextlib.AbstractContextManager[Servable]:
        """The version that answers a request, held for the length of a `with` block.

        Raises:
            ServingError: INVALID_ARGUMENT for a spec without name or with an unknown label; on
                entering the block, NOT_FOUND.
        """
        if not model_spec.name:
            raise errors.invalid_argument("ModelSpec has no name specified.")
        return self.manager.servable(model_spec.name, self.requested_version(model_spec))

    def requested_version(self, model_spec: model_pb2.ModelSpec) -> int | None:
        """The version that a spec names by number or label; None for the latest.

        Raises:
            ServingError: INVALID_ARGUMENT for an unknown label.
        """
        choice = model_spec.WhichOneof("version_choice")
        if choice == "version":
            return model_spec.version.value
        if choice == "version_label":
            label = model_spec.version_label
            if label not in self._labels.get(model_spec.name, {}):
                raise errors.invalid_argument(f"Unrecognized servable version label: {label}")
            return self._labels[model_spec.name][label]
        return None

    def stop(self, timeout: float | None = None) -> bool:
        """Ends polling and waiting, answers what is in progress, and unloads all models.

        Args:
            timeout: seconds to wait for requests in progress; None waits without limit.

        Returns:
            Whether everything is unloaded.
        """
        self._stopping.set()
        self._source.stop()
        return self.manager.close(timeout)

    def _new_labels(self, models: list[config_pb2.ModelConfig]) -> dict[str, dict[str, int]]:
        labels: dict[str, dict[str, int]] = {}
        for model in models:
            for label, version in model.version_labels.items():
                state = self.monitor.version_state(model.name, version)
                available = state is not None and state.state == State.AVAILABLE
                moved = self._labels.get(model.name, {}).get(label, version) != version
                if not available and (moved or not self._allow_labels_for_unavailable):
                    raise errors.failed_precondition(
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference"
                    )
                labels.setdefault(model.name, {})[label] = version
        return labels


def _unavailable(failed: dict[str, dict[int, VersionState]], noun: str) -> ServingError:
    parts = []
    for name, states in sorted(failed.items()):
        version = max(states)
        error = states[version].error
        reason = f" due to error: {error}" if error else ""
        parts.append(f"{{{{name: {name} version: {version}}}{reason}}}, ")
    text = f"{len(failed)} {noun}(s) did not become available: {{{''.join(parts)}}}"
    return ServingError(grpc.StatusCode.UNKNOWN, text)


def _validate_models(models: list[config_pb2.ModelConfig]) -> None:
    seen = set()
    for model in models:
        if model.name in seen:
            raise errors.invalid_argument(
                f"Illegal to list model {model.name} multiple times in config list"
            )
        seen.add(model.name)
    for model in models:
        is_uri = re.match(r"[a-zA-Z][\w.]*://", model.base_path)
        if not is_uri and not os.path.isabs(model.base_path):
            raise errors.invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()="
                f"{model.base_path}"
            )


def _validate_platforms_kept(
    old: list[config_pb2.ModelConfig], new: list[config_pb2.ModelConfig]
) -> None:
    platforms = {model.name: _platform(model) for model in old}
    for model in new:
        if model.name in platforms and _platform(model) != platforms[model.name]:
            raise errors.invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{platforms[model.name]} and new platform requested is {_platform(model)}"
            )


def _platform(model: config_pb2.ModelConfig) -> str:
    if model.model_type:
        if model.model_platform:
            raise errors.invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                "ModelServerConfig::model_platform."
            )
        if model.model_type != config_pb2.TENSORFLOW:
            raise errors.invalid_argument(
                f"ModelServerConfig::model_type choice {model.model_type} not supported."
            )
        return PLATFORM
    if not model.model_platform:
        raise errors.invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform."
        )
    return model.model_platform
