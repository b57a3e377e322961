# SPDX-License-Identifier: Apache-2.0
"""The file of `--model_config_file`: reading it, and following its changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2 as config_pb2

from serving import errors

_LOG = logging.getLogger(__name__)


def read_model_config(path: str) -> config_pb2.ModelServerConfig:
    """Reads a ModelServerConfig in text form.

    Raises:
        ServingError: INVALID_ARGUMENT, with the line that does not parse.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), config_pb2.ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise errors.invalid_argument(f"Invalid protobuf file: '{path}': {error}") from error


class ConfigFilePoller:
    """Applies a configuration file whenever its content changes.

    A file that does not parse, or that the server refuses, is logged and changes nothing.

    Args:
        path: the file.
        applied: the configuration that is in force already.
        apply: puts a configuration into force.
        wait_seconds: seconds between looks.
    """

    def __init__(
        self,
        path: str,
        applied: config_pb2.ModelServerConfig,
        apply: Callable[[config_pb2.ModelServerConfig], None],
        wait_seconds: float,
    ):
        self._path = path
        self._seen = applied
        self._apply = apply
        self._wait_seconds = wait_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="config-file", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the looking; a configuration that is being applied may still be waiting to load."""
        self._stopped.set()

    def _run(self) -> None:
        problem = ""
        while not self._stopped.wait(self._wait_seconds):
            try:
                config = read_model_config(self._path)
                if config != self._seen:
                    # Also if it is refused: the same file would be refused at every look.
                    self._seen = config
                    self._apply(config)
                    _LOG.info("Applied the changed %s", self._path)
                problem = ""
            except errors.ServingError as error:
                if str(error) != problem:
                    _LOG.error("Not applied: %s: %s", self._path, error)
                problem = str(error)
