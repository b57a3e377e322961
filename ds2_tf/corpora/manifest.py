# SPDX-License-Identifier: Apache-2.0
"""The manifest: a corpus as JSON lines, one utterance a line."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

from ds2_tf.errors import UserError

# The fields with a meaning of their own; a line may have any others.
FIELDS = ("id", "audio", "transcript", "duration", "speaker", "split")
_TEXT_FIELDS = ("id", "audio", "transcript", "speaker", "split")
_REQUIRED_FIELDS = ("id", "audio", "transcript")
_OPTIONAL_FIELDS = ("duration", "speaker", "split")
# The further field of word times: a list of [word, start, end] in seconds.
WORDS_FIELD = "words"


class ManifestError(UserError):
    """A manifest line that is not an utterance.

    Attributes:
        line_number: counted from 1.
        problem: what is wrong with the line.
    """

    def __init__(self, path: str | os.PathLike, line_number: int, problem: str):
        super().__init__(f"{path}, line {line_number}: {problem}")
        self.line_number = line_number
        self.problem = problem


class EmptyManifest(UserError):
    """A manifest without a single utterance."""

    def __init__(self, path: str | os.PathLike):
        super().__init__(f"The manifest {path} is empty: an utterance takes a line of JSON.")


@dataclasses.dataclass(frozen=True)
class Utterance:
    """One recording and what is said in it.

    Attributes:
        id: unique within the corpus.
        audio: path of the recording, absolute or relative to the manifest.
        transcript: what is said, in the characters of the alphabet.
        duration: length in seconds, where known.
        speaker: who says it, where known.
        split: such as "train", "dev" or "test", where assigned.
        extra: any further fields of the line, kept as they are.
    """

    id: str
    audio: str
    transcript: str
    duration: float | None = None
    speaker: str | None = None
    split: str | None = None
    extra: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """The manifest line, without the fields that are not known."""
        known = {name: getattr(self, name) for name in FIELDS if getattr(self, name) is not None}
        return json.dumps({**known, **self.extra}, ensure_ascii=False)


def parse_utterance(line: str) -> Utterance:
    """Parses one manifest line.

    A duration, speaker or split of null is taken for one that is not there, since libraries write
    so what they lack.

    Raises:
        ValueError: the line is not JSON, lacks a field, or has one of the wrong type.
    """
    try:
        fields = json.loads(line)
        # Bytes that are not UTF-8 arrive as lone surrogates, and JSON can spell those out, too.
        json.dumps(fields, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("not an utterance: nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"not UTF-8 text, at character {error.start}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"expected a JSON object, got {type(fields).__name__}")
    missing = [name for name in _REQUIRED_FIELDS if name not in fields]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}; found {', '.join(fields) or 'nothing'}")
    for name in _OPTIONAL_FIELDS:
        if name in fields and fields[name] is None:
            del fields[name]
    for name in _TEXT_FIELDS:
        if not isinstance(fields.get(name, ""), str):
            raise ValueError(f"{name} must be text, got {_json(fields[name])}")
    if not fields["id"]:
        raise ValueError("id is empty")
    duration = fields.get("duration", 0.0)
    if (
        isinstance(duration, bool)
        or not isinstance(duration, (int, float))
        or not 0 <= duration < math.inf
    ):
        raise ValueError(f"duration must be a number of seconds, got {_json(duration)}")
    known = {name: fields.pop(name) for name in FIELDS if name in fields}
    return Utterance(**known, extra=fields)


def _json(value: object) -> str:
    """A value as it stands in the manifest."""
    return json.dumps(value, ensure_ascii=False)


def read_manifest(path: str | os.PathLike) -> Iterator[Utterance]:
    """Reads a manifest lazily; blank lines are passed over.

    Raises:
        ManifestError: at the first line that is not an utterance.
    """
    for line_number, line in manifest_lines(path):
        try:
            yield parse_utterance(line)
        except ValueError as error:
            raise ManifestError(path, line_number, str(error)) from error


def manifest_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """Yields the line numbers, from 1, and texts of a manifest's lines that are not blank."""
    try:
        file = open(path, encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"The manifest {path} cannot be read: {error.strerror}.") from error
    with file:
        for line_number, line in enumerate(file, start=1):
            if line.strip():
                yield line_number, line


def require_splits(splits: Iterable[str], *paths: str | os.PathLike) -> None:
    """Checks that manifests have splits, before any work that a misspelled name would waste.

    Reads no further than to an utterance of each split. Lines that are not utterances are passed
    over: they are another check's.

    Args:
        splits: names of splits, each of which must be in one of the manifests.
        paths: the manifests.

    Raises:
        UserError: there is no utterance of one of the splits; the message names the splits that
            there are.
        EmptyManifest: a manifest was read to its end and has no line.
    """
    missing, found = dict.fromkeys(splits), set()
    malformed = False
    for path in paths:
        line = None
        for _, line in manifest_lines(path):
            try:
                split = parse_utterance(line).split
            except ValueError:
                malformed = True
                continue
            found.add(split)
            missing.pop(split, None)
            if not missing:
                return
        if line is None:
            raise EmptyManifest(path)
    if malformed and not found:
        return
    names = sorted(name for name in found if name is not None)
    raise UserError(
        f"{', '.join(map(str, paths))} {'has' if len(paths) == 1 else 'have'} no split "
        f"{next(iter(missing))!r}; "
        + (f"found {names}." if names else "no utterance is assigned to a split.")
    )


def write_manifest(path: str | os.PathLike, utterances: Iterable[Utterance]) -> None:
    """Writes a manifest; it appears under its name only when it is whole."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for utterance in utterances:
                file.write(utterance.to_json() + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def resolve_audio(utterance: Utterance, manifest_path: str | os.PathLike) -> str:
    """The path of an utterance's recording, given where its manifest lies."""
    return os.path.join(os.path.dirname(os.fspath(manifest_path)), utterance.audio)


def moved(
    utterance: Utterance, manifest_path: str | os.PathLike, new_path: str | os.PathLike
) -> Utterance:
    """The same utterance for a manifest that lies elsewhere; an absolute path is kept."""
    if os.path.isabs(utterance.audio):
        return utterance
    audio = resolve_audio(utterance, manifest_path)
    relative = os.path.relpath(audio, os.path.dirname(os.path.abspath(new_path)))
    return dataclasses.replace(utterance, audio=relative)


def split_order(split: str) -> tuple[int, str]:
    """Sorts the names of splits: train, dev, test, then others by name."""
    usual = ("train", "dev", "test")
    return (usual.index(split) if split in usual else len(usual), split)
