# SPDX-License-Identifier: Apache-2.0
"""Hashes of files' contents, remembered from run to run."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import pathlib
import time
from collections.abc import Iterable
from typing import NamedTuple

MISSING = "missing"
_BLOCK = 1 << 20
# A file that changed this short a while ago may change again within the same tick of the file
# system's clock, and so unseen.
_SETTLED_NS = 2 * 10**9


class _Identity(NamedTuple):
    """What tells that a file is still the one that was read.

    `changed_ns` is the time of change of the inode. Programs can set a file's time of modification
    back, as `cp -p`, `rsync -t` and `touch -d` do, but not this one.
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


class ContentHashes:
    """SHA-256 of files, read once and remembered while size, times of change and inode stay.

    A file that was copied, touched or moved is read again and has the hash that it had; one whose
    contents changed is read again and has another, even if its size and its time of modification
    are the same.

    Args:
        memory: the file that remembers; made by `save`, in a directory that is made when missing.
        threads: how many files are read at a time. Defaults to the number of processors.
    """

    def __init__(self, memory: str | os.PathLike, *, threads: int | None = None):
        self._memory = pathlib.Path(memory)
        self._threads = threads or os.cpu_count()
        self._known = self._load()
        self._asked: dict[str, tuple[_Identity, str]] = {}
        self.bytes_read = 0

    def of(self, paths: Iterable[str]) -> list[str]:
        """The hash of each file, in hexadecimal; "missing" where it cannot be read."""
        with concurrent.futures.ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(self._hash, paths))

    def save(self) -> None:
        """Remembers the files that were asked for, and forgets all others."""
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._memory.with_name(f"{self._memory.name}.{os.getpid()}.tmp")
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            for path, (identity, digest) in self._asked.items():
                if "\n" not in path:
                    file.write("\t".join([*map(str, identity), digest, path]) + "\n")
        temporary.replace(self._memory)

    def _load(self) -> dict[str, tuple[_Identity, str]]:
        try:
            with open(self._memory, encoding="utf-8", errors="surrogateescape") as file:
                rows = [line.rstrip("\n").split("\t", 5) for line in file]
            return {
                path: (_Identity(*map(int, numbers)), digest) for *numbers, digest, path in rows
            }
        except (OSError, TypeError, ValueError):
            return {}  # never written, or not by this version: everything is read again

    def _hash(self, path: str) -> str:
        try:
            status = os.stat(path)
            identity = _Identity(
                status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
            )
            known = self._known.get(path)
            if known and known[0] == identity:
                digest = known[1]
            else:
                digest = self._read(path)
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return MISSING
        if time.time_ns() - identity.changed_ns > _SETTLED_NS:
            self._asked[path] = identity, digest
        return digest

    def _read(self, path: str) -> str:
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                self.bytes_read += len(block)
        return digest.hexdigest()
