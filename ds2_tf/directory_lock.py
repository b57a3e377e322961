# SPDX-License-Identifier: Apache-2.0
"""One process at a time in a directory."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator

from ds2_tf.errors import UserError

_NAME = "lock"


class DirectoryInUse(UserError):
    """Another process works in the directory."""


@contextlib.contextmanager
def directory_lock(directory: str | os.PathLike, work: str) -> Iterator[None]:
    """Holds a directory for this process, for as long as the context lasts.

    The lock is the operating system's: it ends with the process, however that ends, and it counts
    on all machines that mount the directory with locks (NFS does by default).

    Args:
        directory: made when missing; gets a file `lock` that stays.
        work: what is done there, for the message, such as "ingestion".

    Raises:
        DirectoryInUse: another process has it; the message says which.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / _NAME, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(
                f"Another {work} works in {directory}: {_holder(directory)}. Wait until it is "
                "over, or choose another directory."
            ) from None
        file.truncate(0)
        json.dump(
            {
                "process": os.getpid(),
                "machine": socket.gethostname(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            },
            file,
        )
        file.flush()
        yield


def _holder(directory: pathlib.Path) -> str:
    try:
        holder = json.loads((directory / _NAME).read_text("utf-8"))
        return f"process {holder['process']} on {holder['machine']}, since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "it has just begun"
