# SPDX-License-Identifier: Apache-2.0
"""Watching base paths for version directories.

A base path holds one directory per version, named by a number (leading zeros allowed). A missing
base path never unloads anything, as it may be a file system that is gone for a moment; one that
exists and is empty does. As in TensorFlow Serving, one base path that cannot be read ends that
poll for all models.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow_serving.config import file_system_storage_path_source_pb2 as source_pb2

from serving import errors

_LOG = logging.getLogger(__name__)

Policy = source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy
Versions = dict[int, str]


def find_versions(name: str, base_path: str, policy: Policy) -> Versions:
    """The versions of a model that should be served now.

    Args:
        name: model name, for messages.
        base_path: the directory whose numeric children are versions.
        policy: which of them to serve; unset is the latest one.

    Returns:
        Path of each version directory by version number.

    Raises:
        ServingError: INVALID_ARGUMENT if the base path does not exist.
    """
    try:
        # Object stores list directories with a trailing slash.
        children = sorted(child.rstrip("/") for child in tf.io.gfile.listdir(base_path))
    except tf.errors.OpError as error:
        raise errors.invalid_argument(
            f"Could not find base path {base_path} for servable {name} with error "
            f"{errors.from_tensorflow(error)}"
        ) from error
    found = {}
    for child in children:
        version = _version_number(child)
        if version is None:
            continue
        if version in found:
            _LOG.warning(
                "Duplicate version directories detected. Version %d will be loaded from %s, %s "
                "will be ignored.",
                version,
                child,
                os.path.basename(found[version]),
            )
        found[version] = os.path.join(base_path, child)
    chosen = _chosen_versions(name, sorted(found), policy)
    return {version: found[version] for version in chosen}


def _version_number(child: str) -> int | None:
    if not re.fullmatch(r"[+-]?[0-9]+", child):
        return None
    version = int(child)
    return version if -(2**63) <= version < 2**63 else None


def _chosen_versions(name: str, found: list[int], policy: Policy) -> list[int]:
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return found
    if choice == "specific":
        wanted = set(policy.specific.versions)
        for version in sorted(wanted - set(found)):
            _LOG.warning(
                "Version %d of servable %s, which was requested to be served as a 'specific' "
                "version in the servable's version policy, was not found in the file system",
                version,
                name,
            )
        return [version for version in found if version in wanted]
    return found[-max(policy.latest.num_versions, 1) :]


class FileSystemSource:
    """Tells which versions of which models should be served, now and after each poll.

    Args:
        set_aspired_versions: called with a model's name and its versions after each poll, and
            with no versions for a model that is no longer configured.
        poll_wait_seconds: seconds between polls; 0 polls only when the configuration changes,
            a negative number never polls.
        fail_if_no_versions: refuse a configuration in which a model has no version.
    """

    def __init__(
        self,
        set_aspired_versions: Callable[[str, Versions], None],
        *,
        poll_wait_seconds: float = 1.0,
        fail_if_no_versions: bool = False,
    ):
        self._set_aspired_versions = set_aspired_versions
        self._poll_wait_seconds = poll_wait_seconds
        self._fail_if_no_versions = fail_if_no_versions
        self._lock = threading.Lock()
        self._models: dict[str, tuple[str, Policy]] = {}
        self._last_problem = ""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def configure(self, models: Mapping[str, tuple[str, Policy]]) -> None:
        """Replaces what is watched, and polls once.

        Args:
            models: base path and version policy by model name.

        Raises:
            ServingError: a model has no version, and that was to fail.
        """
        if self._fail_if_no_versions:
            for name, (base_path, policy) in models.items():
                if not find_versions(name, base_path, policy):
                    raise errors.not_found(
                        f"Unable to find a numerical version path for servable {name} at: "
                        f"{base_path}"
                    )
        with self._lock:
            removed = [name for name in self._models if name not in models]
            self._models = dict(models)
            for name in removed:
                self._set_aspired_versions(name, {})
        if self._poll_wait_seconds >= 0:
            self._poll()
        with self._lock:
            wanted = self._poll_wait_seconds > 0 and not self._stopped.is_set()
            if wanted and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="file-system-source")
                self._thread.start()

    def stop(self) -> None:
        """Ends the polling; returns once no further call will be made."""
        with self._lock:
            self._stopped.set()
            thread = self._thread
        if thread:
            thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._poll_wait_seconds):
            self._poll()

    def _poll(self) -> None:
        with self._lock:
            try:
                versions = {
                    name: find_versions(name, base_path, policy)
                    for name, (base_path, policy) in self._models.items()
                }
            except errors.ServingError as error:
                self._report(
                    "FileSystemStoragePathSource encountered a filesystem access error: "
                    + error.message
                )
                return
            self._report(
                "; ".join(
                    f"No versions of servable {name} found under base path "
                    f"{self._models[name][0]}. Did you forget to name your leaf directory as a "
                    "number (eg. '/1/')?"
                    for name in versions
                    if not versions[name]
                )
            )
            for name, found in versions.items():
                self._set_aspired_versions(name, found)

    def _report(self, problem: str) -> None:
        """Logs a problem once, not at every poll while it lasts."""
        if problem and problem != self._last_problem:
            _LOG.warning(problem)
        self._last_problem = problem
