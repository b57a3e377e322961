# SPDX-License-Identifier: Apache-2.0
"""Finished shards under their content keys, so that no shard is computed twice."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable, Iterable

from ds2_tf.corpora.rejection import Rejection


@dataclasses.dataclass(frozen=True)
class ShardContent:
    """What lies in a finished shard.

    Attributes:
        utterances: records in it.
        audio_seconds: sum of their lengths.
        rejections: the utterances that could not be used.
    """

    utterances: int
    audio_seconds: float
    rejections: list[Rejection]


class ShardStore:
    """A directory of finished shards, shared by all workers and by all runs on the same corpus.

    A shard is complete when its `.json` is there, which is written last; everything appears by
    renaming, so a killed worker leaves nothing that could be taken for a shard.

    Args:
        directory: on a file system that all workers see; made when missing.
    """

    def __init__(self, directory: str | os.PathLike):
        self._directory = pathlib.Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)

    def _records(self, key: str) -> pathlib.Path:
        return self._directory / f"{key}.gz"

    def _content(self, key: str) -> pathlib.Path:
        return self._directory / f"{key}.json"

    def find(self, key: str) -> ShardContent | None:
        """The content of a finished shard, or None."""
        if not self._records(key).exists():
            return None
        try:
            fields = json.loads(self._content(key).read_text("utf-8"))
        except FileNotFoundError:
            return None
        rejections = [Rejection(**rejection) for rejection in fields.pop("rejections")]
        return ShardContent(**fields, rejections=rejections)

    def create(self, key: str, write: Callable[[str], ShardContent]) -> ShardContent:
        """Runs `write` on a temporary path, then makes the result the shard of that key."""
        temporary = self._directory / f"{key}.{uuid.uuid4().hex}.tmp"
        try:
            content = write(str(temporary))
            temporary.replace(self._records(key))
            temporary.write_text(json.dumps(dataclasses.asdict(content), ensure_ascii=False))
            temporary.replace(self._content(key))
        finally:
            temporary.unlink(missing_ok=True)
        return content

    def place(self, key: str, target: pathlib.Path) -> None:
        """Puts a finished shard's records at `target`: a hard link, or a copy where none can be."""
        temporary = target.with_name(f".{target.name}.tmp")
        temporary.unlink(missing_ok=True)
        try:
            os.link(self._records(key), temporary)
        except OSError:
            shutil.copyfile(self._records(key), temporary)
        temporary.replace(target)

    def keep_only(self, keys: Iterable[str]) -> None:
        """Removes the shards of earlier runs and whatever killed workers left."""
        keep = {path.name for key in keys for path in (self._records(key), self._content(key))}
        for path in self._directory.iterdir():
            if path.name not in keep and path.suffix in (".gz", ".json", ".tmp"):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
